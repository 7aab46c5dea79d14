// Every index of the store, in one place. They are created at start; creating one that is there is quick. A query names
// the index that serves it (queries.ts), so that no server can choose one that it would have to sort or scan after.
//
// Nothing here is unique: what has to be unique is `_id`. Whatever belongs to a job is found by an `_id` that is made of
// the job's: its outcome, its text, and its attempts, which are numbered without gaps.
// An index is never changed under its name: two versions of the service may run side by side. A new one gets a new name,
// and the old one is dropped by hand when no process uses it any more.

import type { environmentCollections, serviceCollections } from "../record-store.ts";

/** 1 or -1 by field, in the order of the index. */
export type IndexKey = Readonly<Record<string, 1 | -1>>;

/** Where each job ends up in the order of submission. */
const bySubmission = { submitted_at: 1, _id: 1 } as const;

/** Of every collection of small records (record-store.ts): the order in which they are listed. */
export const recordIndex = "records_by_order";
const records = { [recordIndex]: { order: 1, _id: 1 } } as const;

/** Lists of records name their index, so a collection of records without it cannot be listed. */
type Indexes<Records extends string> = Record<string, Record<string, IndexKey>> & Record<Records, typeof records>;

/** In the database of an environment, by collection. */
export const environmentIndexes = {
  jobs: {
    /** Jobs without an outcome: rebuilding the queue, and the reconciler's walks. */
    jobs_open: { environment: 1, ended: 1, ...bySubmission },
    /** Jobs whose deadline has passed. */
    jobs_by_deadline: { environment: 1, ended: 1, expires_at: 1 },
    /** Lists, by what narrows them down most; and counts, which read nothing but the index by state. */
    jobs_by_state: { environment: 1, state: 1, ...bySubmission },
    jobs_by_tenant: { environment: 1, tenant: 1, ...bySubmission },
    jobs_by_model: { environment: 1, model: 1, ...bySubmission },
    jobs_by_priority: { environment: 1, priority: 1, ...bySubmission },
    jobs_all: { environment: 1, ...bySubmission },
  },
  attempts: {
    /** What was charged lately: rebuilding the use of quotas. */
    attempts_by_charge: { charged_at: 1, job_id: 1, n: 1 },
  },
  attempt_ends: {},
  outcomes: {},
  generated_texts: {
    /** For those who read answers from the database; the service itself does not. */
    generated_texts_by_job: { job_id: 1 },
  },
  batches: records,
  files: records,
  deliveries: records,
  usage: records,
  /** Sums of hours and days, by name. */
  usage_sums: {},
  ephemeral: records,
  blobs: {},
} as const satisfies Indexes<(typeof environmentCollections)[number]>;

/** In the service's own database: names are `_id`s. */
export const serviceIndexes = {
  checkpoints: {},
  api_keys: records,
  idempotency_keys: records,
  controls: records,
  webhook_secrets: records,
} as const satisfies Indexes<(typeof serviceCollections)[number]>;

export type Collection = keyof typeof environmentIndexes;
export type IndexName = { [C in Collection]: keyof (typeof environmentIndexes)[C] }[Collection];
