// The limits of keys and of the service, as the use cases that accept, run and end jobs need them. `limits.ts` keeps them.
import type { BatchId, BatchRequest } from "../domain/batch.ts";
import type { JobId } from "../domain/ids.ts";
import type { Attempt, Job, Outcome } from "../domain/job.ts";
import type { Claim } from "./reservation.ts";

/** The parts of a batch that limits need. */
export type HeldBatch = Pick<BatchRequest, "id" | "environment" | "keyId">;

export interface LimitsGate {
  /**
   * Whether the jobs would be taken now; sets nothing aside.
   * @throws SluiceError `limit_exceeded`, `budget_exceeded`, `storage_full`, `forbidden` (no price is known)
   */
  check(jobs: readonly Job[]): Promise<void>;

  /** Whether something is set aside for the jobs of the key. */
  isLimited(keyId: string | undefined): boolean;

  /**
   * What would be set aside for a job: nothing if its key has no limits.
   * @throws SluiceError `forbidden` (no price is known)
   */
  claimOf(job: Job): Claim;

  /**
   * Whether so much would be taken now, all of it together; sets nothing aside.
   * @throws SluiceError as `check`
   */
  checkTotal(keyId: string | undefined, total: Claim): Promise<void>;

  /**
   * Sets aside what all lines of a batch may use together, before it has any job. It goes over to the lines as these are
   * reserved; what is left is given back by `releaseBatch`. Repeating it for the same batch changes nothing.
   * @throws SluiceError as `check`, then nothing is set aside; or what the store throws, then it is to be repeated
   */
  holdBatch(batch: HeldBatch, total: Claim): Promise<void>;

  /**
   * Takes room for lines of a batch that was checked elsewhere or before a restart. What its key has set aside is on record.
   */
  resumeBatch(batch: HeldBatch, lines: number): void;

  /**
   * Gives back what is set aside for lines of a batch that will not be jobs any more. Never throws; what fails here is made
   * good by `tidy`.
   */
  releaseBatch(batch: HeldBatch): Promise<void>;

  /**
   * Sets aside what the jobs may use, before they are stored; `stored` or `release` has to follow. Repeating it for the
   * same job changes nothing. Lines are not refused: their batch was checked as a whole, see `holdBatch`.
   * @param jobs lines of one batch, or none of them one
   * @throws SluiceError as `check`, and what the store throws; then nothing is set aside
   */
  reserve(jobs: readonly Job[]): Promise<void>;

  /**
   * The same for lines whose key has no limits; `stored` or `releaseRoom` has to follow.
   * @throws SluiceError `storage_full`
   */
  reserveRoom(lines: number, batchId: BatchId): Promise<void>;

  /** Of lines that were not stored after all. */
  releaseRoom(lines: number, batchId: BatchId): void;

  /** So many jobs that were reserved are stored now, or may be. */
  stored(jobs: number): void;

  /** Of jobs that were not stored after all. */
  release(jobs: readonly Job[]): Promise<void>;

  /**
   * A job has ended: what its calls have used takes the place of what was set aside. Never throws; `tidy` repeats what
   * fails here.
   * @param attempts all of the job's; absent: they are read
   */
  ended(environment: string, outcome: Outcome, attempts?: readonly Attempt[]): Promise<void>;

  /** A call has ended, and its job may go on: what it used counts from now on. Never throws, as `ended`. */
  attempted(environment: string, jobId: JobId, attempts?: readonly Attempt[]): Promise<void>;
}
