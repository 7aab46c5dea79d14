// Waiting for a job to end, woken by the event bus. Events are best effort, so the record is read again now and then.
import type { JobId } from "../../domain/ids.ts";
import { isFinal, type JobRecord } from "../../domain/job.ts";
import type { JobListener } from "../../events/event-bus.ts";
import type { Caller } from "../caller.ts";
import type { JobsContext } from "../jobs-context.ts";
import { requireJob } from "./view.ts";

/** How often the record is read while no event comes. */
const defaultRereadMs = 5_000;

export interface WaitOptions {
  waitMs: number;
  signal: AbortSignal;
  rereadMs?: number;
  /** Told of the record whenever it was read. */
  onRecord?: (record: JobRecord) => void;
}

/**
 * The job as it is when it has ended, when the time is over, or when the signal is aborted; whichever comes first.
 * @throws SluiceError `job_not_found`, and what the store throws.
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

/** Listens to a job from its making on, which may be before the job is stored. */
export class EndWatch {
  readonly #context: JobsContext;
  readonly #jobId: JobId;
  readonly #ended = new AbortController();
  readonly stop: () => void;

  /** @param listener told of every event of the job, its text included; without one only states are listened to */
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

  /** As `waitForEnd`. */
  async untilEnd(caller: Caller, options: WaitOptions): Promise<JobRecord> {
    const { clock } = this.#context;
    const deadline = clock.now() + options.waitMs;
    for (;;) {
      // Read after subscribing: a job that ended before is found here, one that ends later sends an event.
      const eventCame = this.#ended.signal.aborted;
      const record = await requireJob(this.#context, this.#jobId, caller);
      options.onRecord?.(record);
      const leftMs = deadline - clock.now();
      if (record.outcome || leftMs <= 0 || options.signal.aborted) return record;
      // An event without an outcome on record: do not spin on it.
      const signals = eventCame ? [options.signal] : [options.signal, this.#ended.signal];
      await sleep(Math.min(leftMs, options.rereadMs ?? defaultRereadMs), signals);
    }
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
