// What counts against the limits of one key, as sums in memory. Pure. Apart from `spend`, repeating a change makes no
// difference, so a change that may already be in the sums can be made again.
//
// A batch reserves for all of its lines together. What it has left passes to the lines as they reserve for themselves, so
// a line counts once at any time.
import type { BatchId } from "../../domain/batch.ts";
import type { JobId } from "../../domain/ids.ts";
import { type Amounts, type KeyUsage, nothing, plus } from "../reservation.ts";

interface JobOrLine {
  id: JobId;
  batchId?: BatchId | undefined;
}

interface BatchShare {
  /** Reserved for lines that have nothing reserved of their own; below zero only if these became more expensive. */
  left: Amounts;
  /** Lines that have taken their share, also those that have ended since. */
  lines: Set<JobId>;
}

export class KeySums {
  readonly #jobs = new Map<JobId, Amounts>();
  /** The sum of `#jobs`. */
  #reserved = nothing;
  readonly #batches = new Map<BatchId, BatchShare>();
  /** By UTC day. */
  readonly #spent = new Map<string, Amounts>();

  /**
   * Returns what counts on a day.
   * @param day the current UTC day, as YYYY-MM-DD
   */
  usage(day: string): KeyUsage {
    let reserved = this.#reserved;
    for (const { left } of this.#batches.values()) reserved = plus(reserved, atLeastNothing(left));
    let month = nothing;
    for (const [when, used] of this.#spent) if (when.slice(0, 7) === day.slice(0, 7)) month = plus(month, used);
    return { reserved, today: this.#spent.get(day) ?? nothing, month };
  }

  /** Returns whether the job has a reservation, or had one as a line of a batch that still has lines left. */
  has({ id, batchId }: JobOrLine): boolean {
    return this.#jobs.has(id) || this.#batchOf(batchId)?.lines.has(id) === true;
  }

  reserve(job: JobOrLine, amounts: Amounts): void {
    if (!this.#jobs.has(job.id)) this.#set(job.id, amounts);
    this.takeShare(job, amounts);
  }

  /** Gives back what was reserved for a job that was not stored; the share of a line returns to its batch. */
  release({ id, batchId }: JobOrLine): void {
    const amounts = this.#jobs.get(id);
    const batch = this.#batchOf(batchId);
    if (amounts && batch?.lines.delete(id)) batch.left = plus(batch.left, amounts);
    this.settle(id, undefined);
  }

  /** Replaces what counts for a job that has a reservation; undefined removes it. */
  settle(jobId: JobId, amounts: Amounts | undefined): void {
    if (this.#jobs.has(jobId)) this.#set(jobId, amounts);
  }

  /** Adds to what was used on a UTC day. */
  spend(day: string, used: Amounts): void {
    this.#spent.set(day, plus(this.#spent.get(day) ?? nothing, used));
  }

  hasBatch(batchId: BatchId): boolean {
    return this.#batches.has(batchId);
  }

  reserveBatch(batchId: BatchId, total: Amounts): void {
    if (!this.#batches.has(batchId)) this.#batches.set(batchId, { left: total, lines: new Set() });
  }

  releaseBatch(batchId: BatchId): void {
    this.#batches.delete(batchId);
  }

  /** Moves a line's share from its batch to the line. */
  takeShare({ id, batchId }: JobOrLine, share: Amounts): void {
    const batch = this.#batchOf(batchId);
    if (!batch || batch.lines.has(id)) return;
    batch.lines.add(id);
    batch.left = plus(batch.left, share, -1);
  }

  #set(jobId: JobId, amounts: Amounts | undefined): void {
    this.#reserved = plus(plus(this.#reserved, this.#jobs.get(jobId) ?? nothing, -1), amounts ?? nothing);
    if (amounts) this.#jobs.set(jobId, amounts);
    else this.#jobs.delete(jobId);
  }

  #batchOf(batchId: BatchId | undefined): BatchShare | undefined {
    return batchId === undefined ? undefined : this.#batches.get(batchId);
  }
}

function atLeastNothing({ jobs, tokens, nanoUsd }: Amounts): Amounts {
  return { jobs: Math.max(0, jobs), tokens: Math.max(0, tokens), nanoUsd: Math.max(0, nanoUsd) };
}
