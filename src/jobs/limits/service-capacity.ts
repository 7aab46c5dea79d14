// The room that the whole service has for waiting jobs (limits.maxQueuedJobs), and the disk below them. Between a look
// at the room and taking of it nothing is waited for, so that many who ask at once do not all see the same room.
//
// A batch takes the room of all of its lines when it is checked. Its lines are never refused after that: what was checked
// as a whole is taken in as a whole. Only a full disk makes them wait.
import { statfs } from "node:fs/promises";
import type { Settings } from "../../config/settings.ts";
import type { BatchId } from "../../domain/batch.ts";
import type { Clock } from "../../domain/clock.ts";
import { SluiceError } from "../../domain/errors.ts";
import type { JobStore } from "../../store/job-store.ts";
import { Cached } from "../cached.ts";

/** How old the count of waiting jobs and the free bytes may be. */
const freshMs = 1000;

export class ServiceRoom {
  readonly #settings: Settings;
  readonly #waiting: Cached<void>;
  readonly #freeDisk: Cached<number> | undefined;
  /** Waiting jobs when they were last counted. */
  #counted = 0;
  /** Stored since that count began. Those that it has seen already count twice until the next one. */
  #stored = 0;
  /** Being stored now. */
  #underWay = 0;
  /** Lines of batches that are not stored yet. */
  readonly #held = new Map<BatchId, { environment: string; lines: number }>();

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
        // A disk that cannot be asked is not taken for a full one.
        const found = await statfs(settings.dataDir).catch(() => undefined);
        return found ? found.bavail * found.bsize : Number.POSITIVE_INFINITY;
      });
    }
  }

  /**
   * Whether so many jobs would be taken now.
   * @throws SluiceError `limit_exceeded`, `storage_full`
   */
  async check(jobs: number): Promise<void> {
    await this.#look();
    this.#refuse(jobs);
  }

  /**
   * Takes room for jobs that are about to be stored; `stored` or `giveBack` has to follow.
   * @param batchId of lines, which only a full disk refuses
   * @throws SluiceError as `check`; then nothing is taken
   */
  async take(jobs: number, batchId?: BatchId): Promise<void> {
    await this.#look();
    if (batchId === undefined) this.#refuse(jobs);
    this.#move(jobs, batchId);
  }

  stored(jobs: number): void {
    this.#underWay -= jobs;
    this.#stored += jobs;
  }

  /** Of jobs that were not stored after all. */
  giveBack(jobs: number, batchId?: BatchId): void {
    this.#move(-jobs, batchId);
  }

  /**
   * Takes room for the lines of a batch, until they are stored or it is let go. Repeating it changes nothing.
   * @throws SluiceError as `check`; then nothing is taken
   */
  async hold(batchId: BatchId, environment: string, lines: number): Promise<void> {
    await this.#look();
    if (this.#held.has(batchId)) return;
    this.#refuse(lines);
    this.#held.set(batchId, { environment, lines });
  }

  /** The same for a batch that was checked by another process, or before a restart: it is not refused any more. */
  holdChecked(batchId: BatchId, environment: string, lines: number): void {
    if (!this.#held.has(batchId)) this.#held.set(batchId, { environment, lines });
  }

  letGo(batchId: BatchId): void {
    this.#held.delete(batchId);
  }

  get held(): [batchId: BatchId, environment: string][] {
    return [...this.#held].map(([batchId, { environment }]) => [batchId, environment]);
  }

  #move(jobs: number, batchId: BatchId | undefined): void {
    this.#underWay += jobs;
    const held = batchId === undefined ? undefined : this.#held.get(batchId);
    if (held) held.lines -= jobs;
  }

  /** @throws SluiceError `storage_full` */
  async #look(): Promise<void> {
    await this.#waiting.get();
    const { minFreeDiskBytes } = this.#settings.limits;
    const free = (await this.#freeDisk?.get()) ?? Number.POSITIVE_INFINITY;
    if (free < minFreeDiskBytes) {
      throw new SluiceError(
        "storage_full",
        `The disk of the data folder has ${free} bytes left; below ${minFreeDiskBytes} (limits.minFreeDiskBytes) no job is taken.`,
      );
    }
  }

  /** @throws SluiceError `limit_exceeded` */
  #refuse(jobs: number): void {
    const { maxQueuedJobs } = this.#settings.limits;
    let waiting = this.#counted + this.#stored + this.#underWay;
    // Lines that are stored a second time, after a crash, are more than what was held.
    for (const { lines } of this.#held.values()) waiting += Math.max(0, lines);
    if (waiting + jobs > maxQueuedJobs) {
      throw new SluiceError(
        "limit_exceeded",
        `The service takes up to ${maxQueuedJobs} waiting jobs (limits.maxQueuedJobs); ${waiting} wait now.`,
      );
    }
  }
}
