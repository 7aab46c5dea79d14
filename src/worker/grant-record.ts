// What one grant writes down: its attempt, the end of it or the outcome, and the settlement. Every write is held and
// repeated while the store or the scheduler is away, and told to listeners once it is durable.
import { SluiceError } from "../domain/errors.ts";
import type { AttemptEnd, Job, JobState, Outcome } from "../domain/job.ts";
import { announceEnd } from "../jobs/webhooks/records.ts";
import type { Grant, RestampResult, Settlement } from "../scheduler/scheduler.ts";
import type { BeginResult } from "../store/job-store.ts";
import type { WorkerContext } from "./context.ts";
import { persistently } from "./persistently.ts";

export class GrantRecord {
  readonly #context: WorkerContext;
  readonly #grant: Grant;
  readonly #giveUp: AbortSignal;
  /** Known once its attempt has begun. */
  #job?: Job;

  /** @param giveUp aborted when the process can wait no longer for a store that is away */
  constructor(context: WorkerContext, grant: Grant, giveUp: AbortSignal) {
    this.#context = context;
    this.#grant = grant;
    this.#giveUp = giveUp;
  }

  async beginAttempt(): Promise<BeginResult> {
    const { store, clock, workerId, settings } = this.#context;
    const { environment, jobId, grant, deployment, model, reserved } = this.#grant;
    const attempt = {
      environment,
      jobId,
      grant,
      deployment,
      model,
      reserved,
      worker: workerId,
      chargedAt: clock.wall(),
      maxFailedTries: settings.worker.maxFailedTries,
    };
    const result = await this.#persist("Beginning an attempt", () => store.beginAttempt(attempt));
    if (result.status === "begun") this.#job = result.job;
    return result;
  }

  /** The end of an attempt after which the job goes on. */
  async endAttempt(n: number, end: AttemptEnd): Promise<void> {
    const { environment, jobId } = this.#grant;
    await this.#persist("Storing an attempt's end", () => this.#context.store.endAttempt(environment, jobId, n, end));
  }

  /** The outcome, with the attempt that led to it if there was one. Another outcome that was first stands. */
  async finish(outcome: Omit<Outcome, "jobId">, attempt?: { n: number; end: AttemptEnd }): Promise<void> {
    const { environment, jobId } = this.#grant;
    try {
      const { outcome: standing } = await this.#persist("Storing an outcome", () =>
        this.#context.store.finish(environment, { jobId, ...outcome }, attempt),
      );
      void this.#context.limits?.ended(environment, standing);
      if (this.#job) void announceEnd(this.#context, this.#job);
      this.publishState(standing.status, standing.at);
    } catch (error) {
      if (!(error instanceof SluiceError && error.code === "job_not_found")) throw error;
      this.#context.log.warn({ jobId, environment }, "a job that ran is not in the store any more");
    }
  }

  /** Moves the charge to now, if the quotas admit that. `at` tells this request from an earlier one. */
  restamp(at: number): Promise<RestampResult> {
    const { jobId, grant } = this.#grant;
    const request = { operation: `${grant}/${at}`, jobId, grant };
    return this.#persist("Moving a charge", () => this.#context.scheduler.restamp(request));
  }

  async settle(settlement: Pick<Settlement, "job" | "charge" | "signal">): Promise<void> {
    const { jobId, grant } = this.#grant;
    await this.#persist("Settling a grant", () => this.#context.scheduler.settle([{ jobId, grant, ...settlement }]));
  }

  publishState(state: JobState, at = this.#context.clock.wall()): void {
    const { jobId, environment } = this.#grant;
    this.#context.events.publish({ type: "state", jobId, environment, state, at });
  }

  #persist<T>(what: string, operation: () => Promise<T>): Promise<T> {
    return persistently(this.#context, what, this.#giveUp, operation);
  }
}
