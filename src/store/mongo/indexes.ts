// Every index of the store. They are created at start; creating one that exists is quick. A query names the index that
// serves it (mongo-queries.ts), so that no server can choose one that it would have to sort or scan after.
//
// No index is unique, because uniqueness is up to `_id`. Everything that belongs to a job is found by an `_id` that
// contains the job's: its outcome, its text, and its attempts, which are numbered without gaps.
//
// An index never changes under its name, because two versions of the service may run side by side. A new one gets a new
// name. The old one is dropped by hand once no process uses it any more.

import type { environmentCollections, serviceCollections } from "../record-store.ts";

/** 1 or -1 by field, in the order of the index. */
export type IndexKey = Readonly<Record<string, 1 | -1>>;

/** Every index of jobs ends with the order of submission. */
const bySubmission = { submitted_at: 1, _id: 1 } as const;

/** Index of every collection of small records (record-store.ts): the order in which they are listed. */
export const recordIndex = "records_by_order";
const records = { [recordIndex]: { order: 1, _id: 1 } } as const;

/** Lists of records name their index, so a collection of records without it cannot be listed. */
type Indexes<Records extends string> = Record<string, Record<string, IndexKey>> & Record<Records, typeof records>;

/** Indexes in the database of an environment, by collection. */
export const environmentIndexes = {
  jobs: {
    /** Jobs without an outcome: for rebuilding the queue, and for the reconciler's walks. */
    jobs_open: { environment: 1, ended: 1, ...bySubmission },
    /** Jobs whose deadline has passed. */
    jobs_by_deadline: { environment: 1, ended: 1, expires_at: 1 },
    /** Lists, by the filter that narrows them down most; and counts, which read only the index by state. */
    jobs_by_state: { environment: 1, state: 1, ...bySubmission },
    jobs_by_tenant: { environment: 1, tenant: 1, ...bySubmission },
    jobs_by_model: { environment: 1, model: 1, ...bySubmission },
    jobs_by_priority: { environment: 1, priority: 1, ...bySubmission },
    jobs_all: { environment: 1, ...bySubmission },
    /** Jobs in the order of their ends, for retention. */
    jobs_by_end: { environment: 1, ended: 1, finished_at: 1, _id: 1 },
  },
  attempts: {
    /** Recent charges: for rebuilding the use of quotas. */
    attempts_by_charge: { charged_at: 1, job_id: 1, n: 1 },
  },
  attempt_ends: {},
  outcomes: {},
  generated_texts: {
    /** For people who read answers in the database; the service itself does not. */
    generated_texts_by_job: { job_id: 1 },
  },
  batches: records,
  files: records,
  deliveries: records,
  usage: records,
  /** Sums of hours and days, by name. */
  usage_sums: {},
  ephemeral: records,
  vectors: records,
  blobs: {},
} as const satisfies Indexes<(typeof environmentCollections)[number]>;

/** Indexes in the service's own database, where names are `_id`s. */
export const serviceIndexes = {
  checkpoints: {},
  api_keys: records,
  idempotency_keys: records,
  controls: records,
  webhook_secrets: records,
  audit: records,
  history: records,
  sessions: records,
} as const satisfies Indexes<(typeof serviceCollections)[number]>;

export type Collection = keyof typeof environmentIndexes;
export type IndexName = { [C in Collection]: keyof (typeof environmentIndexes)[C] }[Collection];
