// Writes what one grant leads to: the attempt, its end or the outcome, and the settlement. It retries every write while
// the store or the scheduler is unavailable, and notifies listeners once the write is durable.
import { definedFields } from "../../domain/defined-fields.ts";
import { SluiceError } from "../../domain/errors.ts";
import type { Attempt, AttemptEnd, Job, JobError, JobState, Outcome } from "../../domain/job.ts";
import { outcomeCost } from "../../domain/usage.ts";
import type { CancelledBatches } from "../../jobs/batches/cancelled-batches.ts";
import { logEnd } from "../../jobs/control/end-job.ts";
import { announceEnd } from "../../jobs/webhooks/webhook-records.ts";
import type { Grant, RechargeResult, SettleAnswer, Settlement } from "../../scheduler/scheduler.ts";
import type { BeginResult } from "../../store/job-store.ts";
import { cannotBeStored, retryForever } from "../retry-forever.ts";
import type { WorkerContext } from "../worker-context.ts";
import type { Begun } from "./call-provider.ts";
import { reservedNanoUsd } from "./call-usage.ts";
import type { EndedAttempt } from "./disposition.ts";
import type { RunningCall } from "./running-call.ts";

const notStored: JobError = {
  code: "internal",
  message: "The result of the call could not be stored; the service's log has the details.",
};
const notBegun: JobError = {
  code: "internal",
  message: "The job could not be read from the store; the service's log has the details.",
};

type NewOutcome = Omit<Outcome, "jobId">;

export class GrantRecord {
  readonly #context: WorkerContext;
  readonly #call: RunningCall;
  readonly #grant: Grant;
  readonly #giveUp: AbortSignal;
  /** Resolves once the charge of a call that left late was moved. Until then, the charge must not be settled. */
  #moved: Promise<unknown> | undefined;
  /** Whether `settle` was called. */
  #isSettled = false;
  /** Set once the attempt has begun. */
  #begun?: { job: Job; attempt: Attempt; earlier: readonly Attempt[] };

  /**
   * Creates the record of a call.
   * @param giveUp aborts when the process can no longer wait for an unavailable store
   */
  constructor(context: WorkerContext, call: RunningCall, giveUp: AbortSignal) {
    this.#context = context;
    this.#call = call;
    this.#grant = call.grant;
    this.#giveUp = giveUp;
  }

  /** Writes the attempt. A job that cannot be read from the store is refused, because a retry would not help. */
  async beginAttempt(): Promise<BeginResult | { status: "refused"; error: JobError }> {
    const { store, clock, workerId, settings } = this.#context;
    const { environment, jobId, grant, deployment, model, reserved } = this.#grant;
    const attempt = {
      environment,
      jobId,
      grant,
      deployment,
      model,
      reserved,
      reservedNanoUsd: reservedNanoUsd(settings, this.#grant),
      worker: workerId,
      chargedAt: clock.wall(),
      maxFailedTries: settings.worker.maxFailedTries,
    };
    try {
      const result = await this.store("begin an attempt", () => store.beginAttempt(attempt));
      if (result.status !== "begun") return result;
      this.#begun = result;
      const { earlier, attempt: own } = result;
      // An earlier attempt may have been lost with its process.
      if (earlier.length > 0) void this.#context.limits?.ended(environment, jobId, { attempts: [...earlier, own] });
      return result;
    } catch (error) {
      if (this.#giveUp.aborted) throw error;
      this.#context.log.error({ err: error, jobId, environment }, "failed to begin an attempt");
      return { status: "refused", error: notBegun };
    }
  }

  /** Returns whether the job is a line of a cancelled batch. */
  async isOfCancelledBatch(cancelled: CancelledBatches): Promise<boolean> {
    const { environment, batchId } = this.#begun!.job;
    if (batchId === undefined) return false;
    return this.#persist("read a batch", () => cancelled.has(environment, batchId));
  }

  /**
   * Writes the result of an attempt and settles its grant. The record comes first: after a crash in between, the job is
   * not called again, and its charge ages out.
   */
  async conclude({ job, attempt, earlier }: Begun, { disposition, ...ended }: EndedAttempt): Promise<void> {
    const { deployment, model, n } = attempt;
    const { outcome, settlement, rejection } = disposition;
    const retryInMs = settlement.job === "ended" ? 0 : Math.round(settlement.job.requeueAfterMs);
    const retryAt = retryInMs > 0 ? Math.round(ended.end.at) + retryInMs : undefined;
    const end = definedFields<AttemptEnd>(ended.end, { retryAt });
    const throttle = settlement.signal.kind === "throttled" ? settlement.signal.throttle : undefined;
    this.#context.metrics?.callEnded({ job, attempt, end, tier: job.request.serviceTier, throttle });
    const caller = end.result === "not_sent" ? {} : { deployment, model, attempt: n };
    const cost = outcomeCost([...earlier, definedFields<Attempt>(attempt, { end })]);
    const from = definedFields<Partial<NewOutcome> & Pick<NewOutcome, "at">>({ at: end.at }, caller, cost);
    if (outcome) {
      await this.finish(definedFields<NewOutcome>(outcome, from), { n, end });
    } else {
      await this.#endAttempt(n, end);
      // If the lease was lost, another worker publishes the job's state.
      if (settlement.job !== "ended" && !this.#call.leaseLost) this.publishState("queued");
    }
    const answer = await this.settle(settlement);
    if (answer === "rejected" && rejection) await this.finish({ status: "failed", error: rejection, ...from });
  }

  async #endAttempt(n: number, end: AttemptEnd): Promise<void> {
    const { environment, jobId } = this.#grant;
    const write = (ended: AttemptEnd) =>
      this.store("store an attempt's end", () => this.#context.store.endAttempt(environment, jobId, n, ended));
    await write(end).catch((error) => {
      this.#giveUpOn(error);
      return write(plainEnd(end));
    });
    void this.#context.limits?.ended(environment, jobId, { attempts: this.#attempts(end) });
  }

  /**
   * Writes the outcome, with the attempt that led to it if there is one. The first outcome wins. If the store cannot
   * take this outcome, the job fails with an error instead.
   */
  async finish(outcome: NewOutcome, attempt?: { n: number; end: AttemptEnd }): Promise<void> {
    const { environment, jobId } = this.#grant;
    const write = (ended: NewOutcome, of: typeof attempt) =>
      this.store("store an outcome", () => this.#context.store.finish(environment, { jobId, ...ended }, of));
    try {
      const { outcome: winning, first } = await write(outcome, attempt).catch((error) => {
        this.#giveUpOn(error);
        return write(plainFailure(outcome), attempt && { n: attempt.n, end: plainEnd(attempt.end) });
      });
      const attempts = () => (first ? this.#attempts(attempt?.end) : undefined);
      void this.#context.limits?.ended(environment, jobId, { attempts: attempts(), outcome: winning });
      const job = this.#begun?.job ?? { id: jobId, environment, model: this.#grant.model };
      if (first) {
        logEnd(this.#context.log, job, winning);
        this.#context.metrics?.jobFinished(job, winning.status);
      }
      if (this.#begun) void announceEnd(this.#context, this.#begun.job);
      this.publishState(winning.status, winning.at);
    } catch (error) {
      if (!(error instanceof SluiceError && error.code === "job_not_found")) throw error;
      this.#context.log.warn({ jobId, environment }, "found no job in the store for a call that ran");
    }
  }

  /** Moves the charge to now, if the quotas admit it. `at` distinguishes this request from an earlier one. */
  recharge(at: number): Promise<RechargeResult> {
    return this.#moveCharge(at, false);
  }

  /**
   * Records that the call has left. Moves the charge to now if the call left later than its charge allows, because the
   * process was busy or a connection took long.
   */
  readonly noteSent = (): void => {
    const now = this.#context.clock.now();
    // A server may answer before it has read the whole request.
    if (!this.#isSettled && now > this.#call.sendBy) this.#moved = this.#moveCharge(now, true).catch(() => {});
  };

  #moveCharge(at: number, isSent: boolean): Promise<RechargeResult> {
    const { jobId, grant } = this.#grant;
    const request = { operation: `${grant}/${at}`, jobId, grant, isSent };
    return this.#persist("move a charge", () => this.#context.scheduler.recharge(request));
  }

  async settle(settlement: Pick<Settlement, "job" | "charge" | "signal">): Promise<SettleAnswer> {
    this.#isSettled = true;
    await this.#moved;
    const { jobId, grant } = this.#grant;
    const settlements = [{ jobId, grant, ...settlement }];
    const [answer] = await this.#persist("settle a grant", () => this.#context.scheduler.settle(settlements));
    return answer!;
  }

  publishState(state: JobState, at = this.#context.clock.wall()): void {
    const { jobId, environment } = this.#grant;
    this.#context.events.publish({ type: "state", jobId, environment, state, at });
  }

  /**
   * Decides whether another outcome may be stored instead.
   * @throws the error, if not
   */
  #giveUpOn(error: unknown): void {
    if (this.#giveUp.aborted || (error instanceof SluiceError && error.code === "job_not_found")) throw error;
    const { jobId, environment } = this.#grant;
    this.#context.log.error({ err: error, jobId, environment }, "failed to store the result of a call");
  }

  /**
   * Retries an operation of the store until it succeeds.
   * @throws the operation's error, once the process can no longer wait or a retry is pointless
   */
  store<T>(what: string, operation: () => Promise<T>): Promise<T> {
    return retryForever(this.#context, what, this.#giveUp, operation, cannotBeStored);
  }

  /** Whether the process can no longer wait for an unavailable store. */
  get hasGivenUp(): boolean {
    return this.#giveUp.aborted;
  }

  /** Returns all attempts of the job, or undefined if another worker may have begun one. */
  #attempts(end: AttemptEnd | undefined): Attempt[] | undefined {
    if (!this.#begun || !end || this.#call.leaseLost) return undefined;
    return [...this.#begun.earlier, definedFields<Attempt>(this.#begun.attempt, { end })];
  }

  #persist<T>(what: string, operation: () => Promise<T>): Promise<T> {
    return retryForever(this.#context, what, this.#giveUp, operation);
  }
}

/** Returns the end without the provider's texts. Usage and cost stay. */
function plainEnd({ error: _error, requestId: _id, serviceTier: _tier, ...plain }: AttemptEnd): AttemptEnd {
  return plain;
}

/** Returns the outcome of a job whose own outcome cannot be stored. */
function plainFailure(outcome: NewOutcome): NewOutcome {
  const {
    text: _text,
    toolCalls: _calls,
    reasoning: _thoughts,
    vectors: _vectors,
    finishReason: _reason,
    usage: _usage,
    ...plain
  } = outcome;
  return { ...plain, status: "failed", error: notStored };
}
