// Counting a million jobs reads a million entries of an index, about a second of a server's time, and dashboards and
// metrics ask every second. So a count of many jobs is used again for twenty times as long as it took: counting then
// costs a server one core's twentieth at most. Counters of our own would be cheaper to read, but they would drift: a
// crash between a job's change and the counter's, and on FerretDB every second concurrent `$inc`
// (docs/decisions/mongo-inserts-decide.md).
import type { Clock } from "../../domain/clock.ts";
import type { JobState } from "../../domain/job.ts";

type Counts = Record<string, Record<JobState, number>>;

/** Fewer jobs than these are counted whenever somebody asks. */
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

  /** What one asks for while a count of many is due is the last one; only the first who asks waits. */
  get(): Promise<Counts> {
    if (this.#last && this.#clock.now() < this.#last.until) return Promise.resolve(this.#last.counts);
    if (!this.#last) return this.#take();
    // Nobody waits for this one: if it fails, the next who asks tries again.
    this.#take().catch(() => {});
    return Promise.resolve(this.#last.counts);
  }

  #take(): Promise<Counts> {
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
