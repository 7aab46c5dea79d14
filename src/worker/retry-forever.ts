// Retries writes that must not be lost until the store answers. The worker's concurrency limits how much is retried,
// because a job keeps its slot meanwhile.
import { SluiceError } from "../domain/errors.ts";
import type { WorkerContext } from "./worker-context.ts";

const firstPauseMs = 100;
const longestPauseMs = 5000;

/**
 * Consecutive `internal` errors, which the store reports for unknown errors, before the failure counts as permanent.
 */
const maxInternalFailures = 12;

/**
 * Returns whether retrying a write is pointless, because the store is reachable but cannot store the value. Errors of
 * Sluice's own code, such as JSON that is nested too deeply, are not errors of the store.
 */
export function cannotBeStored(error: unknown, failures: number): boolean {
  if (!(error instanceof SluiceError)) return true;
  return error.code === "job_not_found" || (error.code === "internal" && failures >= maxInternalFailures);
}

/**
 * Retries the operation with increasing pauses until it succeeds.
 * @param what the operation's name in the log
 * @param giveUp aborts when the process can no longer wait
 * @param isFinal whether a retry is pointless after this many failures. Default: never
 * @throws the operation's error, once `giveUp` aborts or the error is final
 */
export async function retryForever<T>(
  context: Pick<WorkerContext, "log" | "timers" | "random">,
  what: string,
  giveUp: AbortSignal,
  operation: () => Promise<T>,
  isFinal: (error: unknown, failures: number) => boolean = () => false,
): Promise<T> {
  for (let failures = 1; ; failures++) {
    try {
      return await operation();
    } catch (error) {
      if (giveUp.aborted || isFinal(error, failures)) throw error;
      context.log.warn({ err: error, failures, operation: what }, "failed to reach store or queue; trying again");
      const ceiling = Math.min(longestPauseMs, firstPauseMs * 2 ** (failures - 1));
      await pause(context.timers, ceiling * (0.5 + context.random() / 2), giveUp);
    }
  }
}

/** Resolves after the time, in milliseconds, or at once when the signal aborts. */
export function pause(timers: WorkerContext["timers"], ms: number, until: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      cancel();
      until.removeEventListener("abort", done);
      resolve();
    };
    const cancel = timers.after(ms, done);
    until.addEventListener("abort", done);
  });
}
