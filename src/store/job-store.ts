// The port to the system of record. Every decision that is made once (a job, an attempt, an outcome) is an insert under a
// unique id, and the first insert wins. So a caller may repeat every operation whose reply was lost.
// A write survives a crash once its promise resolves. Adapters group concurrent writes into one commit.
// Every adapter passes test/store/conformance.ts.
import type { JobId } from "../domain/ids.ts";
import type {
  Attempt,
  AttemptEnd,
  Erasure,
  Job,
  JobHead,
  JobRecord,
  JobState,
  JobSummary,
  Outcome,
  Priority,
} from "../domain/job.ts";
import type { JobRequest } from "../domain/request.ts";
import type { UsageRow } from "../domain/usage.ts";
import type { BlobStore } from "./blob-store.ts";
import type { Page } from "./cursor.ts";
import type { RecordStore } from "./record-store.ts";
import type { UpkeepStore } from "./upkeep-store.ts";

export interface JobStore {
  /** Small records in the same databases. */
  readonly records: RecordStore;
  /** Bytes that are too large for a record. */
  readonly blobs: BlobStore;
  /** What retention needs. */
  readonly upkeep: UpkeepStore;

  /**
   * Inserts jobs. A job whose id exists stays as it is.
   * Returns one word per job, in the order of the argument. In SQLite, one call is atomic within an environment. In
   * MongoDB each job is atomic, and a call that failed with `fate_unknown` may have inserted some of its jobs.
   * @throws SluiceError `storage_full`, `unavailable` (nothing was written) or `fate_unknown`.
   */
  insertMany(jobs: readonly Job[]): Promise<("inserted" | "exists")[]>;

  /**
   * Returns a job of any environment with its attempts and outcome.
   * @param texts which large texts the caller needs; the others may be missing. Default: all
   */
  get(jobId: JobId, texts?: TextParts): Promise<JobRecord | undefined>;

  /**
   * Returns the requests of several jobs of one environment, without those of unknown ids. If requests are large, those
   * of the last ids may be missing too; at least one is returned, if there is one.
   */
  getRequests(environment: string, jobIds: readonly JobId[]): Promise<Map<JobId, JobRequest>>;

  /** Returns a page of jobs, newest first by (submittedAt, id). */
  list(query: ListQuery): Promise<Page<JobSummary>>;

  /**
   * Returns the jobs in a range of lines, in the order of their ids. If answers are large there may be fewer than
   * requested, but none only if there are none.
   */
  lines(query: LinesQuery): Promise<LineRecord[]>;

  /** Counts the jobs in a range of lines by state. Reads only an index: a million jobs take about half a second. */
  countLines(range: LineRange): Promise<Record<JobState, number>>;

  /**
   * Inserts the next attempt of a job, unless the job has ended or may not be tried again. Returns the request to send.
   * A repetition with the same grant returns the same attempt. Attempts are numbered from 1 without gaps.
   */
  beginAttempt(begin: BeginAttempt): Promise<BeginResult>;

  /** Inserts the end of an attempt of a job that returns to the queue. The first end wins. */
  endAttempt(environment: string, jobId: JobId, n: number, end: AttemptEnd): Promise<void>;

  /**
   * Inserts the outcome of a job in one step with the end of the attempt that led to it. The first outcome wins; the
   * result says whether it was this one, and holds the one that won.
   * @throws SluiceError `job_not_found`
   */
  finish(environment: string, outcome: Outcome, attempt?: { n: number; end: AttemptEnd }): Promise<FinishResult>;

  /**
   * Inserts the outcome of a job without an open attempt. The same step prevents further attempts: a call that has
   * started keeps its answer, and no other call starts. The first outcome wins here too.
   * @returns undefined if an attempt is open; then nothing was inserted
   * @throws SluiceError `job_not_found`
   */
  finishIdle(environment: string, outcome: Outcome): Promise<FinishResult | undefined>;

  /**
   * Erases a job that has ended, as `erasedRequest`, `erasedOutcome` and `erasedHead` say. Nothing else changes.
   * Does nothing if the job has not ended or does not exist. May be repeated.
   * @param erasure default: `texts`
   */
  eraseTexts(environment: string, jobId: JobId, erasure?: Erasure): Promise<void>;

  /**
   * Removes a job that has ended, with its request and answer. Its attempts stay without the provider's messages, because
   * quotas and usage count them. Does nothing if the job has not ended or does not exist. May be repeated.
   */
  remove(environment: string, jobId: JobId): Promise<void>;

  /**
   * Changes the priority or the earliest start of a job that has not ended; the last write wins. Attempts and outcomes stay
   * as they are. Returns the changed job, or undefined if it has ended or does not exist.
   */
  update(environment: string, jobId: JobId, change: JobChange): Promise<JobHead | undefined>;

  /** Returns a page of the jobs without an outcome, in the order of (submittedAt, id). */
  unfinished(query: UnfinishedQuery): Promise<Page<UnfinishedJob>>;

  /** Returns a page of the attempts that were charged at or after a time, in the order of that time. */
  attemptsSince(query: AttemptsQuery): Promise<Page<Attempt>>;

  /**
   * Returns a page of what attempts have used, by tenant, key, model and the UTC day of their charge, in the order of days.
   * The sums are updated as attempts begin and end, so the cost of reading them does not depend on the number of attempts.
   */
  usage(query: UsageQuery): Promise<Page<UsageRow>>;

  /** Counts jobs by environment and state. Cheap enough to call every second with a million jobs. */
  counts(): Promise<Record<string, Record<JobState, number>>>;

  /** Saves a small named value of the service itself, such as learned limits. The last write wins. */
  saveCheckpoint(name: string, value: unknown): Promise<void>;
  /** Returns the value that was saved last under the name, or undefined. */
  loadCheckpoint(name: string): Promise<unknown>;

  /**
   * Finds unfinished jobs that no environment of the configuration runs, because a database or an environment was renamed
   * or removed.
   */
  leftBehind(): Promise<LeftBehind[]>;

  /** Resolves if the store can be written to. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Texts of a job that a read returns however large they are: those of request and answer, only the answer, or neither.
 * A request or an answer without its texts still has its numbers, and does not count as erased.
 */
export type TextParts = "all" | "answer" | "none";

/** Unfinished jobs of one environment in one database. */
export interface LeftBehind {
  database: string;
  environment: string;
  jobs: number;
}

export interface ListQuery {
  environment?: string;
  state?: JobState;
  tenant?: string;
  model?: string;
  priority?: Priority;
  /** Earliest time of submission, included, in milliseconds since the epoch. */
  submittedFrom?: number;
  /** Latest time of submission, not included, in milliseconds since the epoch. */
  submittedTo?: number;
  /** Only the lines of a batch; `environment` is that of the batch. */
  lines?: LineRange;
  /** Only jobs that have all of these labels. A page examines a bounded number of jobs; see examined-filters.ts. */
  metadata?: Record<string, string>;
  /** Only jobs that ended with this error code. Examined in the same way, so set `state` as well. */
  error?: string;
  /** Largest number of results, from 1 to 1,000. */
  limit: number;
  cursor?: string | undefined;
}

/** Lines of a batch: jobs that were submitted at the same time, by a range of their ids (domain/batch.ts). */
export interface LineRange {
  environment: string;
  /** Time of submission, in milliseconds since the epoch. */
  submittedAt: number;
  /** First id, included. */
  from: JobId;
  /** Last id, not included. */
  to: JobId;
}

export interface LinesQuery extends LineRange {
  /** Only jobs in this state. */
  state?: JobState;
  /** Whether large answers are needed too. Default: their texts may be missing. */
  answers?: boolean;
  /** Largest number of results, from 1 to 1,000. */
  limit: number;
}

/** A job without its request. */
export interface LineRecord {
  job: JobHead;
  state: JobState;
  outcome?: Outcome;
}

export interface BeginAttempt {
  environment: string;
  jobId: JobId;
  grant: string;
  deployment: string;
  model: string;
  worker: string;
  /** Time of the charge, in milliseconds since the epoch. */
  chargedAt: number;
  reserved: { input: number; output: number };
  /** Cost of the reservation, in billionths of a US dollar; absent if no price is known. */
  reservedNanoUsd?: number;
  /** A job with this many failed tries is not tried again (see `mayTry`). */
  maxFailedTries: number;
}

export type BeginResult =
  | { status: "begun"; job: Job; attempt: Attempt; earlier: Attempt[] }
  /** The job has an outcome. */
  | { status: "ended"; outcome: Outcome }
  /** The rules of `mayTry` forbid another attempt; nothing was written. */
  | { status: "refused"; error: { code: "tries_exhausted" | "unknown_end"; message: string } }
  | { status: "not_found" };

export interface FinishResult {
  /** Whether the outcome of this call won. Also true for a repetition of the call that won. */
  first: boolean;
  outcome: Outcome;
}

export interface UnfinishedQuery {
  environment?: string;
  /** Largest number of results, from 1 to 10,000. */
  limit: number;
  cursor?: string;
  /** Earliest time of submission, included, in milliseconds since the epoch. */
  submittedFrom?: number;
  /** Latest time of submission, not included, in milliseconds since the epoch. */
  submittedTo?: number;
  /** Only jobs whose deadline is at or before this time, in milliseconds since the epoch. */
  expiresUntil?: number;
}

export interface UnfinishedJob {
  job: JobHead;
  state: "queued" | "in_progress";
}

export interface AttemptsQuery {
  /** Earliest time of the charge, included, in milliseconds since the epoch. */
  chargedFrom: number;
  /** Largest number of results, from 1 to 10,000. */
  limit: number;
  cursor?: string;
}

export interface UsageQuery {
  environment: string;
  /** First day, included, in whole UTC days since 1970. */
  fromDay: number;
  /** Last day, included, in whole UTC days since 1970. */
  toDay: number;
  /** Largest number of results, from 1 to 10,000. */
  limit: number;
  cursor?: string;
}

/** A change of a waiting job. Absent fields stay as they are. */
export interface JobChange {
  priority?: Priority;
  /** Earliest start, in milliseconds since the epoch; null for at once. */
  notBefore?: number | null;
}

/** Returns the head of a job after a change. */
export function changedHead(head: JobHead, { priority = head.priority, notBefore }: JobChange): JobHead {
  const { notBefore: before, ...rest } = head;
  const at = notBefore === undefined ? before : notBefore;
  return { ...rest, priority, ...(at !== undefined && at !== null && { notBefore: at }) };
}
