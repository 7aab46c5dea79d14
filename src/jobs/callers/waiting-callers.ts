// Tracks the callers that wait in this process for synchronous calls. One rule applies when the last caller of a job
// disconnects:
//
//   a call runs for the job            it finishes, and its answer is stored (unless `store: false`)
//   the caller cannot come back        the job is cancelled
//   the caller can come back           the job is parked; without a return within `callerGraceS` it is cancelled
//   it was asked to come back          the same, but the job is not parked
//
// If this process dies, the worker applies the same rule to its jobs (worker/recovery/orphans.ts).
import { newToken } from "../../domain/ids.ts";
import { isFinal, type Job, type JobRecord, type WaitingCaller } from "../../domain/job.ts";
import type { Caller } from "../caller.ts";
import type { JobsContext } from "../jobs-context.ts";
import type { KnownPauses } from "../pause.ts";
import { type AbandonContext, abandon, park, unpark } from "./abandon.ts";
import { awaitRetry, putHolder, readHolders } from "./caller-records.ts";

/** The context of calls whose callers wait. */
export interface CallersContext extends JobsContext {
  callers: WaitingCallers;
  pauses: KnownPauses;
}

interface Waiting {
  job: Job;
  /** Number of connected callers. */
  callers: number;
  /** When the last caller disconnected, by the monotonic clock in milliseconds. */
  disconnectedAt?: number;
  isParked: boolean;
  /** Whether the caller requested to keep the job. */
  isKept: boolean;
  /** Whether the caller was asked to come back, so that the job may start meanwhile. */
  isExpected?: boolean;
  stopListening?: () => void;
}

export class WaitingCallers {
  readonly processId: string;
  readonly #context: AbandonContext;
  readonly #waiting = new Map<string, Waiting>();
  /** Calls whose callers have disconnected, until that is recorded. */
  readonly #leaving = new Set<Promise<unknown>>();

  /**
   * Creates the registry.
   * @param processId id of this run of the process. Default: a new one
   */
  constructor(context: AbandonContext, processId: string = newToken()) {
    this.#context = context;
    this.processId = processId;
  }

  /** Returns how many callers wait for a job in this process. */
  callersOf(jobId: string): number {
    return this.#waiting.get(jobId)?.callers ?? 0;
  }

  /** Returns the `waitingCaller` of a new synchronous call's job. */
  mark(returnsBy: WaitingCaller["returnsBy"]): WaitingCaller {
    return { processId: this.processId, ...(returnsBy && { returnsBy }) };
  }

  /**
   * Registers a caller that waits for the job until `disconnect`. Ignores jobs without a recorded waiting caller.
   * @param returned whether the job existed already because its caller came back, perhaps from another process
   * @param keep whether the caller requests to keep the job
   * @throws what store and scheduler throw; call `disconnect` in any case
   */
  async connect(job: Job, { returned, keep }: { returned: boolean; keep: boolean }): Promise<void> {
    if (!job.waitingCaller) return;
    const waiting = this.#waiting.get(job.id) ?? { job, callers: 0, isParked: false, isKept: false };
    this.#waiting.set(job.id, waiting);
    waiting.callers++;
    waiting.stopListening?.();
    delete waiting.stopListening;
    delete waiting.disconnectedAt;
    if (!returned) return;
    await putHolder(this.#context, job.id, { processId: this.processId, ...(keep && { isKept: true }) });
    waiting.isKept ||= keep;
    waiting.isParked = false;
    await unpark(this.#context, job.id);
  }

  /**
   * Waits for a job by its id, as a reader of its events does. While this process knows the job, a reader counts as a
   * caller that came back, unless it has a read-only key.
   */
  async whileRead(job: Job, { readOnly }: Caller, wait: () => Promise<JobRecord>): Promise<JobRecord> {
    const isKnown = this.#waiting.has(job.id) || this.#context.settings.distributed === undefined;
    if (!job.waitingCaller || !isKnown || readOnly) return wait();
    let record: JobRecord | undefined;
    try {
      await this.connect(job, { returned: true, keep: false });
      record = await wait();
      return record;
    } finally {
      await this.disconnect(job, { ended: record?.outcome !== undefined });
    }
  }

  /**
   * Removes a caller that disconnected or was answered. Never throws: `tidy` repeats what fails.
   * @param ended whether the job has ended
   * @param isAnswered whether the caller may have received the answer of a job that has ended. Default: true
   * @param isExpected whether the caller was asked to send its request again. Then the job is not parked, so it may
   *   start before the caller is back. Default: false
   */
  async disconnect(
    job: Job,
    { ended, isAnswered = true, isExpected = false }: { ended: boolean; isAnswered?: boolean; isExpected?: boolean },
  ): Promise<void> {
    const waiting = this.#waiting.get(job.id);
    if (!waiting || --waiting.callers > 0) return;
    const returnsByRetry = job.waitingCaller?.returnsBy === "retry";
    if (ended || waiting.isKept) {
      this.#drop(waiting);
      // The job ended while its caller disconnected. The text of an ephemeral one is erased.
      if (ended && !isAnswered && returnsByRetry && !job.ephemeral) await this.#awaitRetry(job);
      return;
    }
    waiting.disconnectedAt = this.#context.clock.now();
    waiting.isExpected = isExpected;
    waiting.stopListening = this.#context.events.subscribe(
      job.id,
      (event) => {
        if (event.type !== "state") return;
        if (isFinal(event.state)) this.#drop(waiting);
        else if (event.state === "queued") void this.#apply(waiting);
      },
      "states",
    );
    // Recorded at once: a client comes back after half a second.
    const recorded = returnsByRetry && this.#awaitRetry(job);
    await this.#apply(waiting);
    await recorded;
  }

  /** Notes that the caller of a running call has disconnected. @param call settles once that is recorded */
  leaves(call: Promise<unknown>): void {
    this.#leaving.add(call);
    const forget = () => this.#leaving.delete(call);
    call.then(forget, forget);
  }

  /** Resolves when every caller that has disconnected so far can come back for its job. Never throws. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#leaving);
  }

  /** Applies the rule to jobs whose callers disconnected. Call it every second. */
  async tidy(): Promise<void> {
    await Promise.all(
      [...this.#waiting.values()]
        .filter(({ disconnectedAt }) => disconnectedAt !== undefined)
        .map((w) => this.#apply(w)),
    );
  }

  /** Ends the subscriptions. The next process handles the jobs. */
  close(): void {
    for (const waiting of this.#waiting.values()) this.#drop(waiting);
  }

  async #apply(waiting: Waiting): Promise<void> {
    const { job, disconnectedAt } = waiting;
    if (disconnectedAt === undefined) return;
    const graceMs = job.waitingCaller?.returnsBy ? this.#context.settings.limits.callerGraceS * 1000 : 0;
    try {
      if (this.#context.clock.now() < disconnectedAt + graceMs) {
        if (!waiting.isParked && !waiting.isExpected) waiting.isParked = await park(this.#context, job.id);
        // The caller came back meanwhile.
        if (waiting.isParked && waiting.disconnectedAt === undefined) await unpark(this.#context, job.id);
        return;
      }
      const holder = (await readHolders(this.#context, [job])).get(job.id);
      // If this is the only process, no worker of its own jobs can have died.
      const isOwn = job.waitingCaller?.processId === this.processId;
      const mayBeLost = this.#context.settings.distributed !== undefined || !isOwn;
      const isElsewhere = holder?.isKept || holder?.processId !== this.processId;
      if (waiting.disconnectedAt === undefined) return;
      if (isElsewhere || (await abandon(this.#context, job.id, mayBeLost))) this.#drop(waiting);
    } catch (error) {
      this.#failed(error, job);
    }
  }

  #awaitRetry(job: Job): Promise<void> {
    return awaitRetry(this.#context, job).catch((error) => this.#failed(error, job));
  }

  #drop(waiting: Waiting): void {
    waiting.stopListening?.();
    delete waiting.stopListening;
    if (waiting.callers === 0) this.#waiting.delete(waiting.job.id);
  }

  #failed(error: unknown, { id: jobId }: Job): void {
    this.#context.log.warn({ err: error, jobId }, "failed to settle a job whose caller disconnected; trying again");
  }
}
