// The queries that walk through many documents: their filter, their order, and the index that serves both. Each walks a
// section of one index from one end, so a page costs the same however many jobs there are.
import type { Db, Document } from "mongodb";
import { type JobState, jobStates } from "../../domain/job.ts";
import type { CursorKey } from "../cursor.ts";
import type { LineRange, ListQuery, UnfinishedQuery } from "../job-store.ts";
import type { EndedQuery } from "../upkeep-store.ts";
import { dateOf } from "./documents.ts";
import type { Collection, IndexKey, IndexName } from "./indexes.ts";
import { find } from "./reads.ts";

export interface Query {
  collection: Collection;
  filter: Document;
  sort: IndexKey;
  index: IndexName;
}

/** Key of a job in the order of submission. */
export type JobKey = readonly [submittedAt: number, jobId: string];
/** Key of an attempt in the order of charges. */
export type ChargeKey = readonly [chargedAt: number, jobId: string, n: number];

/** Leaves out the job's request, which is most of the document. */
export const withoutRequest = { request: 0 } as const;

/** Lists jobs, newest first, after the key of the previous page's last job. */
export function listQuery(environment: string, query: ListQuery, after: JobKey | undefined): Query {
  const { state, tenant, model, priority, lines } = query;
  const from = Math.max(query.submittedFrom ?? 0, lines?.submittedAt ?? 0);
  const to = Math.min(
    query.submittedTo ?? Number.POSITIVE_INFINITY,
    (lines?.submittedAt ?? Number.POSITIVE_INFINITY) + 1,
  );
  const range = lines ? { submittedFrom: from, submittedTo: to } : query;
  return {
    collection: "jobs",
    filter: {
      environment,
      ...defined({ state, tenant, model, priority }),
      ...defined({ submitted_at: timeRange(range, after && { $lte: dateOf(after[0]) }) }),
      ...(lines && { _id: { $gte: lines.from, $lt: lines.to } }),
      ...(after && { $or: [{ submitted_at: { $lt: dateOf(after[0]) } }, { _id: { $lt: after[1] } }] }),
    },
    sort: { submitted_at: -1, _id: -1 },
    index: listIndex(query),
  };
}

/**
 * The most selective filter chooses the index. The others are checked document by document. A state other than
 * completed is rare among many jobs, so it goes first. Most jobs are completed, so that state goes last.
 */
function listIndex({ state, tenant, model, priority }: ListQuery): IndexName {
  if (state !== undefined && state !== "completed") return "jobs_by_state";
  if (tenant !== undefined) return "jobs_by_tenant";
  if (model !== undefined) return "jobs_by_model";
  if (priority !== undefined) return "jobs_by_priority";
  return state !== undefined ? "jobs_by_state" : "jobs_all";
}

/**
 * Finds unfinished jobs, oldest first, after the key of the previous page's last job. Jobs that are due are few, or all
 * of them are wanted, so they are sorted after they were found.
 */
export function unfinishedQuery(environment: string, query: UnfinishedQuery, after: JobKey | undefined): Query {
  const due = query.expiresUntil;
  return {
    collection: "jobs",
    filter: {
      environment,
      ended: false,
      ...(due !== undefined && { expires_at: { $gte: dateOf(Number.NEGATIVE_INFINITY), $lte: dateOf(due) } }),
      ...defined({ submitted_at: timeRange(query, undefined, after && { $gte: dateOf(after[0]) }) }),
      ...(after && { $or: [{ submitted_at: { $gt: dateOf(after[0]) } }, { _id: { $gt: after[1] } }] }),
    },
    sort: { submitted_at: 1, _id: 1 },
    index: due === undefined ? "jobs_open" : "jobs_by_deadline",
  };
}

/** Finds jobs in the order of their ends, from a time or after the key of the previous page's last job. */
export function endedQuery({ environment, finishedFrom, finishedTo }: EndedQuery, after: JobKey | undefined): Query {
  const from = dateOf(after?.[0] ?? finishedFrom ?? Number.NEGATIVE_INFINITY);
  return {
    collection: "jobs",
    filter: {
      environment,
      ended: true,
      finished_at: { $gte: from, $lt: dateOf(finishedTo) },
      ...(after && { $or: [{ finished_at: { $gt: from } }, { _id: { $gt: after[1] } }] }),
    },
    sort: { finished_at: 1, _id: 1 },
    index: "jobs_by_end",
  };
}

/** Finds attempts in the order of charges, from a time or after the key of the previous page's last attempt. */
export function chargesQuery(chargedFrom: number, after: ChargeKey | undefined): Query {
  const at = dateOf(after?.[0] ?? chargedFrom);
  return {
    collection: "attempts",
    filter: {
      charged_at: { $gte: at },
      ...(after && {
        $or: [{ charged_at: { $gt: at } }, { job_id: { $gt: after[1] } }, { job_id: after[1], n: { $gt: after[2] } }],
      }),
    },
    sort: { charged_at: 1, job_id: 1, n: 1 },
    index: "attempts_by_charge",
  };
}

/**
 * Finds attempts of one environment in the order of charges, from a time or after the key of the last one that was
 * read.
 */
export function usageQuery(environment: string, from: number, to: number, after: ChargeKey | undefined): Query {
  const query = chargesQuery(from, after);
  const { charged_at } = query.filter;
  const filter = { ...query.filter, environment, charged_at: { ...charged_at, $lt: dateOf(to) } };
  return { ...query, filter };
}

/** Finds jobs that were submitted at one moment, by their ids. */
export function linesQuery({ environment, submittedAt, from, to, state }: LineRange & { state?: JobState }): Query {
  return {
    collection: "jobs",
    filter: {
      environment,
      ...(state !== undefined && { state }),
      submitted_at: dateOf(submittedAt),
      _id: { $gte: from, $lt: to },
    },
    sort: { _id: 1 },
    index: state === undefined ? "jobs_all" : "jobs_by_state",
  };
}

/** Counts these jobs by state. Reads only the index `countIndex`. */
export function countLinesPipeline(range: LineRange): Document[] {
  // The index begins with the state, so each state is a section of it.
  const $match = { ...linesQuery(range).filter, state: { $in: [...jobStates] } };
  return [{ $match }, { $group: { _id: "$state", jobs: { $sum: 1 } } }];
}

/** Counts jobs by state. Reads only the index. */
export function countPipeline(environment: string): Document[] {
  return [{ $match: { environment } }, { $group: { _id: "$state", jobs: { $sum: 1 } } }];
}
export const countIndex: IndexName = "jobs_by_state";

function timeRange(
  { submittedFrom, submittedTo }: { submittedFrom?: number; submittedTo?: number },
  atMost?: { $lte: Date },
  atLeast?: { $gte: Date },
): Document | undefined {
  const from = submittedFrom === undefined ? undefined : dateOf(submittedFrom);
  const range = {
    ...(from && { $gte: from }),
    ...(atLeast && (!from || from < atLeast.$gte) && atLeast),
    ...(submittedTo !== undefined && { $lt: dateOf(submittedTo) }),
    ...atMost,
  };
  return Object.keys(range).length > 0 ? range : undefined;
}

function defined(fields: Document): Document {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

export function isBefore(a: CursorKey, b: CursorKey): boolean {
  const at = a.findIndex((part, i) => part !== b[i]);
  return at >= 0 && a[at]! < b[at]!;
}

/**
 * Returns the documents that a query finds, at most `limit`.
 * @throws SluiceError
 */
export function walk<T extends Document>(db: Db, query: Query, limit: number, projection?: Document): Promise<T[]> {
  const { collection, filter, sort, index } = query;
  const options = { sort, limit, hint: index, batchSize: limit + 1, ...(projection && { projection }) };
  return find((limited) =>
    db
      .collection(collection)
      .find<T>(filter, { ...options, ...limited })
      .toArray(),
  );
}
