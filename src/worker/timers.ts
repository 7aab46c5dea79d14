// Defines timers that are passed in like the clock, so that a test can run an hour of retries in a millisecond.

import { longestTimeoutMs } from "../domain/clock.ts";

export interface Timers {
  /** Runs the function once after `ms` milliseconds. Returns the function that cancels it. */
  after(ms: number, run: () => void): () => void;
}

export const systemTimers: Timers = {
  after(ms, run) {
    const timeout = setTimeout(run, Math.min(ms, longestTimeoutMs));
    return () => clearTimeout(timeout);
  },
};

/**
 * Runs the task every `ms` milliseconds, counted from the end of the previous run, so that runs never overlap. Returns
 * the function that stops it; its promise resolves when a running task ends.
 */
export function repeat(timers: Timers, ms: number, task: () => Promise<void>, onError: (error: unknown) => void) {
  let stopped = false;
  let underWay: Promise<void> | undefined;
  let cancel = timers.after(ms, run);

  function run(): void {
    underWay = task()
      .catch(onError)
      .finally(() => {
        if (!stopped) cancel = timers.after(ms, run);
      });
  }

  return async (): Promise<void> => {
    stopped = true;
    cancel();
    await underWay;
  };
}
