// The limits of API keys and of the whole service, as the use cases that accept, run and end jobs need them.
// `limits/limits.ts` keeps them.
import type { BatchRequest } from "../domain/batch.ts";
import type { JobId } from "../domain/ids.ts";
import type { Attempt, Outcome } from "../domain/job.ts";
import type { KeyLimits } from "./caller.ts";
import type { Amounts, KeyUsage, LimitedJob } from "./reservation.ts";

/** The parts of a batch that limits need. */
export type LimitedBatch = Pick<BatchRequest, "id" | "environment"> & { keyId?: string | undefined };

/** All lines of a batch together, before any of them is a job. */
export interface BatchTotal extends LimitedBatch {
  total: Amounts;
  /** The batch was accepted before, by another process or before a restart. Default: false. */
  resumed?: boolean;
}

export interface JobLimits {
  /** Returns the limits of a key; undefined if it has none. */
  readonly keys: { limitsOf(keyId: string): KeyLimits | undefined };

  /**
   * Returns what counts against the limits of a key now; undefined if it has none. With several processes it may be
   * seconds old.
   */
  usageOf(keyId: string): Promise<KeyUsage | undefined>;

  /**
   * Checks whether the jobs, or so much in total, would be accepted now; reserves nothing.
   * @throws SluiceError `limit_exceeded`, `budget_exceeded`, `storage_full`, `forbidden` (no price is known)
   */
  check(wanted: readonly LimitedJob[] | Pick<BatchTotal, "keyId" | "total">): Promise<void>;

  /**
   * Reserves what jobs may use, before they are stored; `commit` or `release` has to follow. Or reserves what all lines of
   * a batch may use, before it has any job: that passes to the lines as they are reserved. Repeating a call changes
   * nothing. Lines are not refused, because their batch was checked as a whole, and neither is a batch that is resumed.
   * @param wanted lines of one batch, jobs that are no lines, or a batch
   * @throws SluiceError as `check`, and then nothing is reserved; or what the store throws, and then the call may be repeated
   */
  reserve(wanted: readonly LimitedJob[] | BatchTotal): Promise<void>;

  /** Notes that jobs that were reserved are stored, or may be. */
  commit(jobs: readonly LimitedJob[]): void;

  /**
   * Gives back what was reserved for jobs that were not stored, or what is left for lines of a batch that will not become
   * jobs. What the store does not take now is made good by `tidy`; then it throws for jobs, and logs for a batch.
   */
  release(reserved: readonly LimitedJob[] | LimitedBatch): Promise<void>;

  /**
   * Settles a job whose call, or which itself, has ended: what its calls used takes the place of what was reserved. Never
   * throws; `tidy` repeats what fails.
   * @param known all attempts of the job, and its outcome if it has one; what is absent is read
   */
  ended(environment: string, jobId: JobId, known?: KnownJob): Promise<void>;
}

export interface KnownJob {
  attempts?: readonly Attempt[] | undefined;
  outcome?: Outcome | undefined;
}
