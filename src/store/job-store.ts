// The port to the system of record. Every decision that is taken once (a job, an attempt, an outcome) is an insert
// under a unique id and the first insert wins, so every operation may be repeated when its reply was lost.
// A promise that resolves means that the write survives a crash. Adapters group concurrent writes into one commit.
// Held to its word by test/store/conformance.ts, which every adapter runs.
import type { JobId } from "../domain/ids.ts";
import type {
  Attempt,
  AttemptEnd,
  Job,
  JobHead,
  JobRecord,
  JobState,
  JobSummary,
  Outcome,
  Priority,
} from "../domain/job.ts";
import type { CanonicalRequest } from "../domain/request.ts";
import type { UsageRow } from "../domain/usage.ts";
import type { BlobStore } from "./blob-store.ts";
import type { Page } from "./cursor.ts";
import type { RecordStore } from "./record-store.ts";

export interface JobStore {
  /** What else is kept in the same databases. */
  readonly records: RecordStore;
  /** What is too large for those. */
  readonly blobs: BlobStore;

  /**
   * Writes jobs. A job whose id is there already is left as it is.
   * The answer has one word per job, in the order of the argument. In SQLite one call is atomic within an environment; in
   * MongoDB each job is, and a call that failed with `fate_unknown` may have written some of its jobs.
   * @throws SluiceError `storage_full`, `unavailable` (nothing was written) or `fate_unknown`.
   */
  insertMany(jobs: readonly Job[]): Promise<("inserted" | "exists")[]>;

  /** A job with its attempts and outcome, whatever its environment. */
  get(jobId: JobId): Promise<JobRecord | undefined>;

  /** What was asked, for several jobs of one environment; ids that are unknown are missing from the answer. */
  getRequests(environment: string, jobIds: readonly JobId[]): Promise<Map<JobId, CanonicalRequest>>;

  /** Newest first by (submittedAt, id), a page at a time. */
  list(query: ListQuery): Promise<Page<JobSummary>>;

  /** The jobs in a range of lines, in the order of their ids. */
  lines(query: LinesQuery): Promise<LineRecord[]>;

  /** How many jobs in a range of lines are in each state. Reads an index and no job: a million take about half a second. */
  countLines(range: LineRange): Promise<Record<JobState, number>>;

  /**
   * Writes the next attempt of a job, unless the job has ended or may not be tried again, and returns what to send.
   * Repeating it with the same grant returns the same attempt. Attempts are numbered from 1 without gaps.
   */
  beginAttempt(begin: BeginAttempt): Promise<BeginResult>;

  /** Writes how an attempt ended when the job goes on (back to the queue). The first end that was written stays. */
  endAttempt(environment: string, jobId: JobId, n: number, end: AttemptEnd): Promise<void>;

  /**
   * Writes the outcome of a job, and with it the end of the attempt that led to it, in one step. The first outcome
   * wins; the answer tells whether it was this one, and which one stands.
   * @throws SluiceError `job_not_found`
   */
  finish(environment: string, outcome: Outcome, attempt?: { n: number; end: AttemptEnd }): Promise<FinishResult>;

  /**
   * Writes the outcome of a job no attempt of which is open, and decides in the same step that none is begun any more:
   * a call that has started keeps its answer, and one that has not never starts. The first outcome wins here too.
   * @returns undefined if an attempt is open; then nothing was written
   * @throws SluiceError `job_not_found`
   */
  finishIdle(environment: string, outcome: Outcome): Promise<FinishResult | undefined>;

  /**
   * Removes what was asked and answered from a job that has ended, as domain/erase.ts says; nothing else of it changes.
   * Does nothing to a job that has not ended or is not there. May be repeated.
   */
  eraseTexts(environment: string, jobId: JobId): Promise<void>;

  /**
   * Removes a job that has ended, with all that was asked and answered. What stays are its attempts, without the provider's
   * words: quotas and usage count them. Does nothing to a job that has not ended or is not there. May be repeated.
   */
  remove(environment: string, jobId: JobId): Promise<void>;

  /**
   * Changes the priority or the earliest start of a job that has not ended; the last write wins. Answers with the job as it
   * is then; undefined if it has ended or is not there. Attempts and outcomes are left alone.
   */
  update(environment: string, jobId: JobId, change: JobChange): Promise<JobHead | undefined>;

  /** Jobs without an outcome, in the order of (submittedAt, id), a page at a time. */
  unfinished(query: UnfinishedQuery): Promise<Page<UnfinishedJob>>;

  /** Attempts charged at or after a time (milliseconds since the epoch), in the order of that time, a page at a time. */
  attemptsSince(query: AttemptsQuery): Promise<Page<Attempt>>;

  /**
   * What attempts have used, by the UTC day on which they were charged, tenant, key and model; in the order of days, a page
   * at a time. The sums are kept as attempts begin and end, so reading them costs the same however many attempts there are.
   */
  usage(query: UsageQuery): Promise<Page<UsageRow>>;

  /** How many jobs are in each state, by environment. Cheap enough to ask for every second with a million jobs. */
  counts(): Promise<Record<string, Record<JobState, number>>>;

  /** Small named values of the service itself (learned limits, daily usage). The last write wins. */
  saveCheckpoint(name: string, value: unknown): Promise<void>;
  loadCheckpoint(name: string): Promise<unknown>;

  /**
   * Finds unfinished jobs that no environment of the configuration runs, because a database or an environment was renamed
   * or taken away.
   */
  leftBehind(): Promise<LeftBehind[]>;

  /** Resolves if the store can be written to. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

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
  /** Milliseconds since the epoch; from is included, to is not. */
  submittedFrom?: number;
  submittedTo?: number;
  /** Only the lines of a batch; `environment` is theirs. */
  lines?: LineRange;
  /** Only jobs that have all of these labels. A page looks at a bounded number of jobs; see metadata-filter.ts. */
  metadata?: Record<string, string>;
  /** 1 to 1,000. */
  limit: number;
  cursor?: string | undefined;
}

/** Jobs that were submitted at one moment, by a range of their ids: the lines of a batch (domain/batch.ts). */
export interface LineRange {
  environment: string;
  /** Milliseconds since the epoch. */
  submittedAt: number;
  /** Included. */
  from: JobId;
  /** Not included. */
  to: JobId;
}

export interface LinesQuery extends LineRange {
  /** Only those in this state. */
  state?: JobState;
  /** 1 to 1,000. */
  limit: number;
}

/** A job without what was asked. */
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
  /** Milliseconds since the epoch. */
  chargedAt: number;
  reserved: { input: number; output: number };
  /** What that would cost, in billionths of a US dollar; absent if no price is known. */
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
  /** Whether this call's outcome is the one that stands. True as well when the very same call is repeated. */
  first: boolean;
  outcome: Outcome;
}

export interface UnfinishedQuery {
  environment?: string;
  /** 1 to 10,000. */
  limit: number;
  cursor?: string;
  /** Only jobs submitted in this range; milliseconds since the epoch; from is included, to is not. */
  submittedFrom?: number;
  submittedTo?: number;
  /** Only jobs whose deadline is at or before this time. */
  expiresUntil?: number;
}

export interface UnfinishedJob {
  job: JobHead;
  state: "queued" | "in_progress";
}

export interface AttemptsQuery {
  chargedFrom: number;
  /** 1 to 10,000. */
  limit: number;
  cursor?: string;
}

export interface UsageQuery {
  environment: string;
  /** Whole days since 1970 (UTC); both are included. */
  fromDay: number;
  toDay: number;
  /** 1 to 10,000. */
  limit: number;
  cursor?: string;
}

/** What is absent stays as it is. */
export interface JobChange {
  priority?: Priority;
  /** Milliseconds since the epoch; null: at once. */
  notBefore?: number | null;
}

export function changedHead(head: JobHead, { priority = head.priority, notBefore }: JobChange): JobHead {
  const { notBefore: before, ...rest } = head;
  const at = notBefore === undefined ? before : notBefore;
  return { ...rest, priority, ...(at !== undefined && at !== null && { notBefore: at }) };
}
