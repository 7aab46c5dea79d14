// Waits for a job to end. The event bus wakes it. Events are best effort, so it also reads the record from time to
// time.
import type { JobId } from "../../domain/ids.ts";
import { isFinal, type JobRecord } from "../../domain/job.ts";
import type { JobListener } from "../../events/event-bus.ts";
import type { TextParts } from "../../store/job-store.ts";
import type { Caller } from "../caller.ts";
import type { JobsContext } from "../jobs-context.ts";
import { requireJob } from "./view.ts";

/** Interval at which the record is read without an event, in milliseconds. */
const defaultRereadMs = 5_000;

export interface WaitOptions {
  waitMs: number;
  signal: AbortSignal;
  rereadMs?: number;
  /** Which large texts of the ended job are needed. Default: those of the answer. */
  texts?: TextParts | undefined;
  /** Called with the record after every read. */
  onRecord?: (record: JobRecord) => void;
}

/**
 * Returns the job when it has ended, the time is over, or the signal aborts, whichever is first.
 * @throws SluiceError `job_not_found`, and what the store throws
 */
export async function waitForEnd(
  context: JobsContext,
  jobId: JobId,
  caller: Caller,
  options: WaitOptions,
): Promise<JobRecord> {
  const watch = new EndWatch(context, jobId);
  try {
    return await watch.untilEnd(caller, options);
  } finally {
    watch.stop();
  }
}

/** Listens to a job from its creation on, even before it is stored. */
export class EndWatch {
  readonly #context: JobsContext;
  readonly #jobId: JobId;
  readonly #ended = new AbortController();
  readonly stop: () => void;

  /**
   * Starts listening.
   * @param listener receives every event of the job with its text; without one only states are received
   */
  constructor(context: JobsContext, jobId: JobId, listener?: JobListener) {
    this.#context = context;
    this.#jobId = jobId;
    this.stop = context.events.subscribe(
      jobId,
      (event) => {
        listener?.(event);
        if (event.type === "state" && isFinal(event.state)) this.#ended.abort();
      },
      listener ? "all" : "states",
    );
  }

  /** Waits like `waitForEnd`. */
  async untilEnd(caller: Caller, options: WaitOptions): Promise<JobRecord> {
    const { clock } = this.#context;
    const deadline = clock.now() + options.waitMs;
    for (;;) {
      // Read after subscribing, so that a job that ended earlier is found, and a later end sends an event.
      const eventCame = this.#ended.signal.aborted;
      const record = await requireJob(this.#context, this.#jobId, caller);
      options.onRecord?.(record);
      const leftMs = deadline - clock.now();
      if (record.outcome && options.texts) return requireJob(this.#context, this.#jobId, caller, options.texts);
      if (record.outcome || leftMs <= 0 || options.signal.aborted) return record;
      // Without a stored outcome, the event must not cause a busy loop.
      const signals = eventCame ? [options.signal] : [options.signal, this.#ended.signal];
      await sleep(Math.min(leftMs, options.rereadMs ?? defaultRereadMs), signals);
    }
  }
}

/** Resolves after the time, or at once when one of the signals aborts. */
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
