// Predicts when jobs end, from the average duration of the latest calls of each model. It reads the calls of every
// process from the store. Its methods never wait, and return values that are a little old.
import type { DurationForecast, JobsContext } from "../jobs-context.ts";

/** Calls that are averaged, of all models together, and their maximum age. */
const calls = 1000;
const longestMs = 3_600_000;
const shortestMs = 10_000;
/** Age at which the averages are read again, in milliseconds. They are read sooner for a model without an average. */
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

  /** Returns the average duration of calls of this alias in milliseconds, or undefined if none is known. */
  averageMs(model: string): number | undefined {
    const afterMs = this.#averages.has(model) ? refreshMs : impatientMs;
    if (this.#context.clock.now() - this.#readAt >= afterMs) {
      this.refresh().catch((error) => this.#context.log.debug({ err: error }, "failed to read how long calls take"));
    }
    return this.#averages.get(model);
  }

  /** Reads the latest calls. A model without any keeps its average. */
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
    // In a busy hour, the first ones are not the latest. The next read starts later.
    const window = next === undefined ? this.#windowMs * 2 : this.#windowMs / 4;
    this.#windowMs = Math.min(longestMs, Math.max(shortestMs, window));
  }
}
