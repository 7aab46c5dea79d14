// A clock and timers that stand still until a test moves them.
import type { Clock } from "../../../src/domain/clock.ts";
import type { Timers } from "../../../src/worker/timers.ts";

export class ManualTime implements Clock, Timers {
  #now = 0;
  #sequence = 0;
  readonly #timers = new Set<{ due: number; sequence: number; run: () => void }>();

  now(): number {
    return this.#now;
  }

  wall(): number {
    return Date.UTC(2026, 0, 1) + this.#now;
  }

  after(ms: number, run: () => void): () => void {
    const timer = { due: this.#now + Math.max(0, ms), sequence: this.#sequence++, run };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Time passes but nothing runs: a frozen process, or a disk that does not answer. */
  stall(ms: number): void {
    this.#now += ms;
  }

  /** Runs the next timer that is due by then, at its time. False if there is none: then it is that time. */
  runNext(until: number): boolean {
    const [next] = [...this.#timers]
      .filter((timer) => timer.due <= until)
      .sort((a, b) => a.due - b.due || a.sequence - b.sequence);
    this.#now = Math.max(this.#now, next?.due ?? until);
    if (next === undefined) return false;
    this.#timers.delete(next);
    next.run();
    return true;
  }
}
