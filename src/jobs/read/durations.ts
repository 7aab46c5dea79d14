// How long calls take, so that a job can say when it is expected to be done: the average over the latest calls of each
// model, read from the record, which knows those of every process. Asking never waits; what was read is up to a while old.
import type { DurationForecast, JobsContext } from "../jobs-context.ts";

/** Calls that are averaged over, of all models together, and how old they may be. */
const calls = 1000;
const longestMs = 3_600_000;
const shortestMs = 10_000;
/** What was read is read again after this long, and sooner while nothing is known of the model that is asked about. */
const refreshMs = 10_000;
const impatientMs = 1000;

export class CallDurations implements DurationForecast {
  readonly #context: Pick<JobsContext, "store" | "clock" | "log">;
  readonly #averages = new Map<string, number>();
  #windowMs = longestMs;
  #readAt = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | undefined;

  constructor(context: Pick<JobsContext, "store" | "clock" | "log">) {
    this.#context = context;
  }

  /** Of calls of this alias, in milliseconds; undefined while none is known. */
  averageMs(model: string): number | undefined {
    const afterMs = this.#averages.has(model) ? refreshMs : impatientMs;
    if (this.#context.clock.now() - this.#readAt >= afterMs) {
      this.refresh().catch((error) => this.#context.log.debug({ err: error }, "failed to read how long calls take"));
    }
    return this.#averages.get(model);
  }

  /** Reads the latest calls. A model without any keeps the average that it had. */
  refresh(): Promise<void> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #read(): Promise<void> {
    const { store, clock } = this.#context;
    this.#readAt = clock.now();
    const { items, next } = await store.attemptsSince({ chargedFrom: clock.wall() - this.#windowMs, limit: calls });
    const sums = new Map<string, { ms: number; calls: number }>();
    for (const { model, end } of items) {
      if (end?.result !== "completed" || end.durationMs === undefined) continue;
      const sum = sums.get(model) ?? { ms: 0, calls: 0 };
      sums.set(model, { ms: sum.ms + end.durationMs, calls: sum.calls + 1 });
    }
    for (const [model, sum] of sums) this.#averages.set(model, sum.ms / sum.calls);
    // The first so many of a busy hour are not the latest: next time from closer by.
    const window = next === undefined ? this.#windowMs * 2 : this.#windowMs / 4;
    this.#windowMs = Math.min(longestMs, Math.max(shortestMs, window));
  }
}
