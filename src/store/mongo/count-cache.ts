// Caches the counts of jobs. Counting a million jobs reads a million entries of an index, about a second of a server's
// time, and dashboards and metrics ask every second. So a count of many jobs is reused for twenty times as long as it
// took. Counting then costs a server at most a twentieth of one core.
//
// Our own counters would be cheaper to read, but they would drift. A crash between a job's change and the counter's
// loses a change. FerretDB loses every second concurrent `$inc` (docs/decisions/mongo-inserts-decide.md).
import type { Clock } from "../../domain/clock.ts";
import type { JobState } from "../../domain/job.ts";

type Counts = Record<string, Record<JobState, number>>;

/** Fewer jobs than this are counted at every call. */
const few = 10_000;
const usedForTimes = 20;

export class CountCache {
  readonly #count: () => Promise<Counts>;
  readonly #clock: Clock;
  #counting: Promise<Counts> | undefined;
  #last: { counts: Counts; until: number } | undefined;

  constructor(count: () => Promise<Counts>, clock: Clock) {
    this.#count = count;
    this.#clock = clock;
  }

  /** Returns the last count of many jobs while a new one is due. Only the first call ever waits. */
  get(): Promise<Counts> {
    if (this.#last && this.#clock.now() < this.#last.until) return Promise.resolve(this.#last.counts);
    if (!this.#last) return this.#refresh();
    // No caller waits for this count. If it fails, the next call tries again.
    this.#refresh().catch(() => {});
    return Promise.resolve(this.#last.counts);
  }

  #refresh(): Promise<Counts> {
    this.#counting ??= this.#countOnce().finally(() => {
      this.#counting = undefined;
    });
    return this.#counting;
  }

  async #countOnce(): Promise<Counts> {
    const startedAt = this.#clock.now();
    const counts = await this.#count();
    const now = this.#clock.now();
    this.#last = total(counts) < few ? undefined : { counts, until: now + usedForTimes * (now - startedAt) };
    return counts;
  }
}

function total(counts: Counts): number {
  return Object.values(counts)
    .flatMap((states) => Object.values(states))
    .reduce((sum, jobs) => sum + jobs, 0);
}
