// Writing what must not be lost while the store is away: the process holds it and tries again until it succeeds. How
// much is held is bounded by the worker's concurrency, because the job keeps its slot meanwhile.
import { SluiceError } from "../domain/errors.ts";
import type { WorkerContext } from "./worker-context.ts";

const firstPauseMs = 100;
const longestPauseMs = 5000;

/** The store calls an error `internal` that it does not know. After so many failures in a row it is taken to be lasting. */
const maxInternalFailures = 12;

/**
 * Returns whether repeating a write to the store is pointless: the store is reachable, and what is written cannot be.
 * Errors of our own code, such as JSON that is nested too deeply, are no errors of the store.
 */
export function cannotBeStored(error: unknown, failures: number): boolean {
  if (!(error instanceof SluiceError)) return true;
  return error.code === "job_not_found" || (error.code === "internal" && failures >= maxInternalFailures);
}

/**
 * Repeats the operation, with growing pauses, until it succeeds.
 * @param what names the operation in the log
 * @param giveUp aborted when the process can wait no longer
 * @param isFinal whether it is pointless to repeat the operation after so many failures. Default: never.
 * @throws what the operation threw, once `giveUp` is aborted or the error is final
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

function pause(timers: WorkerContext["timers"], ms: number, until: AbortSignal): Promise<void> {
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
