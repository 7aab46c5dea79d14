// How many jobs the whole service accepts to wait (limits.maxQueuedJobs), and the free disk below which it accepts none.
// Nothing is awaited between a check and its reservation, so that many requests at once do not all see the same capacity.
//
// A batch reserves for all of its lines when it is checked. Its lines are never refused after that: what was checked as a
// whole is accepted as a whole. Only a full disk makes them wait.
import { statfs } from "node:fs/promises";
import type { Settings } from "../../config/settings.ts";
import type { BatchId } from "../../domain/batch.ts";
import type { Clock } from "../../domain/clock.ts";
import { SluiceError } from "../../domain/errors.ts";
import type { JobStore } from "../../store/job-store.ts";
import { Cached } from "../cached.ts";
import type { BatchTotal, LimitedBatch } from "../job-limits.ts";
import type { LimitedJob } from "../reservation.ts";

/** How old the count of waiting jobs and the free bytes may be, in ms. */
const freshMs = 1000;

export class ServiceCapacity {
  readonly #settings: Settings;
  readonly #waiting: Cached<void>;
  readonly #freeDisk: Cached<number> | undefined;
  /** Waiting jobs when they were last counted. */
  #counted = 0;
  /** Stored since that count began. Jobs that it has seen already count twice until the next one. */
  #stored = 0;
  /** Being stored now. */
  #reserved = 0;
  /** Lines of batches that are not stored yet. */
  readonly #batches = new Map<BatchId, { batch: LimitedBatch; lines: number }>();

  constructor(settings: Settings, store: Pick<JobStore, "counts">, clock: Pick<Clock, "now">) {
    this.#settings = settings;
    this.#waiting = new Cached(clock, freshMs, async () => {
      const before = this.#stored;
      const counts = await store.counts();
      this.#counted = Object.values(counts).reduce((sum, { queued }) => sum + queued, 0);
      this.#stored -= before;
    });
    if (!settings.distributed) {
      this.#freeDisk = new Cached(clock, freshMs, async () => {
        // Free bytes that cannot be read refuse nothing.
        const found = await statfs(settings.dataDir).catch(() => undefined);
        return found ? found.bavail * found.bsize : Number.POSITIVE_INFINITY;
      });
    }
  }

  /** Batches with lines that are not stored yet. */
  get batches(): LimitedBatch[] {
    return [...this.#batches.values()].map(({ batch }) => batch);
  }

  /**
   * Checks a number of jobs.
   * @throws SluiceError `limit_exceeded` if they are too many, `storage_full`
   */
  async check(jobs: number): Promise<void> {
    await this.#refresh();
    this.#refuse(jobs);
  }

  /**
   * Reserves for jobs that are about to be stored; `commit` or `release` has to follow. Only a full disk refuses lines.
   * @throws SluiceError as `check`; then nothing is reserved
   */
  async reserve(jobs: readonly LimitedJob[]): Promise<void> {
    await this.#refresh();
    if (jobs[0]?.batchId === undefined) this.#refuse(jobs.length);
    this.#move(jobs, 1);
  }

  /** Notes that jobs are stored. */
  commit({ length }: readonly LimitedJob[]): void {
    this.#reserved -= length;
    this.#stored += length;
  }

  /** Gives back what was reserved for jobs that were not stored. */
  release(jobs: readonly LimitedJob[]): void {
    this.#move(jobs, -1);
  }

  /**
   * Reserves for the lines of a batch, until they are stored or the batch is released. Repeating it changes nothing.
   * @throws SluiceError as `check`; then nothing is reserved
   */
  async reserveBatch({ id, environment, keyId, total, resumed = false }: BatchTotal): Promise<void> {
    if (!resumed) await this.#refresh();
    if (this.#batches.has(id)) return;
    if (!resumed) this.#refuse(total.jobs);
    this.#batches.set(id, { batch: { id, environment, keyId }, lines: total.jobs });
  }

  releaseBatch(batchId: BatchId): void {
    this.#batches.delete(batchId);
  }

  /** Moves lines from their batch to what is being stored, or back. */
  #move(jobs: readonly LimitedJob[], sign: 1 | -1): void {
    this.#reserved += sign * jobs.length;
    const batch = this.#batches.get(jobs[0]?.batchId ?? "");
    if (batch) batch.lines -= sign * jobs.length;
  }

  /**
   * Updates the counts.
   * @throws SluiceError `storage_full`
   */
  async #refresh(): Promise<void> {
    await this.#waiting.get();
    const { minFreeDiskBytes } = this.#settings.limits;
    const free = (await this.#freeDisk?.get()) ?? Number.POSITIVE_INFINITY;
    if (free < minFreeDiskBytes) {
      throw new SluiceError(
        "storage_full",
        `The disk of the data folder has ${free} bytes free; accepting a job requires at least ${minFreeDiskBytes} (limits.minFreeDiskBytes).`,
      );
    }
  }

  /**
   * Refuses jobs over the limit.
   * @throws SluiceError `limit_exceeded`
   */
  #refuse(jobs: number): void {
    const { maxQueuedJobs } = this.#settings.limits;
    let waiting = this.#counted + this.#stored + this.#reserved;
    // Lines that are stored a second time, after a crash, are more than what was reserved.
    for (const { lines } of this.#batches.values()) waiting += Math.max(0, lines);
    if (waiting + jobs > maxQueuedJobs) {
      throw new SluiceError(
        "limit_exceeded",
        `The service accepts at most ${maxQueuedJobs} waiting jobs (limits.maxQueuedJobs); it has ${waiting} now.`,
      );
    }
  }
}
