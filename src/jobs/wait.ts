// Waiting for a job to end, woken by the event bus. Events are best effort, so the record is read again now and then.
import type { JobId } from "../domain/ids.ts";
import { isFinal, type JobRecord } from "../domain/job.ts";
import type { Caller } from "./caller.ts";
import type { JobsContext } from "./context.ts";
import { requireJob } from "./view.ts";

/** How often the record is read while no event comes. */
const defaultRereadMs = 5_000;

/**
 * The job as it is when it has ended, when the time is over, or when the signal is aborted; whichever comes first.
 * @throws SluiceError `job_not_found`, and what the store throws.
 */
export async function waitForEnd(
  context: JobsContext,
  jobId: JobId,
  caller: Caller,
  options: { waitMs: number; signal: AbortSignal; rereadMs?: number },
): Promise<JobRecord> {
  const deadline = context.clock.now() + options.waitMs;
  const ended = new AbortController();
  const unsubscribe = context.events.subscribe(
    jobId,
    (event) => {
      if (event.type === "state" && isFinal(event.state)) ended.abort();
    },
    "states",
  );
  try {
    for (;;) {
      // Read after subscribing: a job that ended before is found here, one that ends later sends an event.
      const eventCame = ended.signal.aborted;
      const record = await requireJob(context, jobId, caller);
      const leftMs = deadline - context.clock.now();
      if (record.outcome || leftMs <= 0 || options.signal.aborted) return record;
      // An event without an outcome on record: do not spin on it.
      const signals = eventCame ? [options.signal] : [options.signal, ended.signal];
      await sleep(Math.min(leftMs, options.rereadMs ?? defaultRereadMs), signals);
    }
  } finally {
    unsubscribe();
  }
}

/** Resolves after the time, or at once when one of the signals is aborted. */
function sleep(ms: number, signals: readonly AbortSignal[]): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      for (const signal of signals) signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    for (const signal of signals) {
      if (signal.aborted) return done();
      signal.addEventListener("abort", done);
    }
  });
}
