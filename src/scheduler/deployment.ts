// The state of one deployment besides its quotas: how many calls it runs and whether it is in service.
//
//   in service -> cooling down   capacity errors: 1 s, doubled each time, up to a minute; or the provider's
//                                Retry-After, up to a minute the first time, and up to twice as long each time after that
//   in service -> cooling down   tokens per day used up: 15 minutes, doubled each time, up to an hour
//   in service -> out of service misconfigured: tried again after five minutes, or when reinstated or reconfigured
//   in service -> out of service several jobs refused in a row (see suspicion.ts): 1 s, doubled each time, up to a
//                                minute
//
// A deployment returns on trial: one call at a time until one succeeds. If it refused several jobs and nothing shows
// whose fault that was, each trial tries twice as many jobs as the one before. So a trial soon includes a job that the
// deployment serves.

import type { Quota } from "./quota.ts";
import type { DeploymentChange, DeploymentSnapshot, DeploymentState } from "./scheduler.ts";
import type { DeploymentConfig } from "./scheduler-configuration.ts";
import { accusersAllowed, leftToOthersMs } from "./suspicion.ts";

const coolDown: Backoff = { baseMs: 1_000, maxMs: 60_000 };
const park: Backoff = { baseMs: 15 * 60_000, maxMs: 60 * 60_000 };
const outOfServiceMs = 5 * 60_000;

interface Backoff {
  baseMs: number;
  maxMs: number;
}

interface Outage {
  state: Exclude<DeploymentState, "in_service">;
  until: number;
  reason: string;
  /** When the outage began, if refusals of several jobs caused it. An answer to any later call ends it. */
  accusedSince?: number;
}

export class Deployment {
  config: DeploymentConfig;
  quotas: Quota[];
  running = 0;
  /** Whether an operator paused the deployment. */
  paused = false;
  /** Grant time of the latest answered call since the deployment was last out of service. */
  answeredAt = Number.NEGATIVE_INFINITY;
  #outage: Outage | undefined;
  #failures = 0;
  #onTrial = false;
  /** Maximum number of simultaneous calls on trial. */
  #trialSize = 1;
  /** Until when only jobs that it has not refused may use it. Undefined until a refused job first tries. */
  #leftUntil: number | undefined;
  /** Jobs that the deployment refused since its last answer; `#accusedAt` is when it refused the latest of them. */
  readonly #accusers = new Set<string>();
  #accusedAt = Number.NEGATIVE_INFINITY;
  /** The last state that `takeChange` returned. */
  #reported: { state: DeploymentState; reason: string } = { state: "in_service", reason: "" };

  constructor(config: DeploymentConfig, quotas: Quota[]) {
    this.config = config;
    this.quotas = quotas;
  }

  get id(): string {
    return this.config.id;
  }

  inService(now: number): boolean {
    return this.#outage === undefined || now >= this.#outage.until;
  }

  /** Returns why the deployment is not in service and until when, or undefined if it is in service. */
  outage(now: number): Outage | undefined {
    return this.inService(now) ? undefined : this.#outage;
  }

  /**
   * Returns why and until when a deployment on trial accepts only jobs that it has not refused. Undefined if it accepts
   * all. The time counts from when a job that it refused could run, and restarts after an inconclusive call.
   */
  leftToOthers(now: number): { reason: string; until: number } | undefined {
    if (!this.#onTrial || !this.#outage || !this.inService(now)) return undefined;
    this.#leftUntil ??= now + leftToOthersMs;
    return now < this.#leftUntil ? { reason: this.#outage.reason, until: this.#leftUntil } : undefined;
  }

  hasFreeSlot(): boolean {
    const { maxConcurrency } = this.config;
    return this.running < (this.#onTrial ? Math.min(this.#trialSize, maxConcurrency) : maxConcurrency);
  }

  /** Records a call that ended without showing whether the deployment works. */
  noteInconclusive(): void {
    this.#leftUntil = undefined;
  }

  /** Records a successful call that was granted at `grantedAt`. */
  succeeded(grantedAt: number): void {
    if (grantedAt >= this.#accusedAt) this.#accusers.clear();
    // Calls that began before the outage ended prove nothing: 50 long calls that succeed would cancel every cool-down.
    if (!this.#isFresh(grantedAt)) return;
    this.answeredAt = Math.max(this.answeredAt, grantedAt);
    this.reinstate();
  }

  reinstate(): void {
    this.#outage = undefined;
    this.#failures = 0;
    this.#onTrial = false;
    this.#accusers.clear();
  }

  /** The pool of deployments that share this one's tokens per day. */
  get dailyPool(): string {
    return this.config.dailyPool ?? this.config.region;
  }

  /**
   * Starts a cool-down after a capacity error.
   * @param grantedAt when the failed call was granted
   */
  coolDown(now: number, reason: string, grantedAt: number, retryAfterMs?: number): void {
    if (this.#isFresh(grantedAt)) this.#pause(now, reason, coolDown, retryAfterMs);
  }

  /** Parks the deployment for 15 minutes to an hour, because its tokens per day are used up. */
  park(now: number, reason: string, retryAfterMs?: number): void {
    this.#pause(now, reason, park, retryAfterMs);
  }

  /** Whether a call shows something new: it does not if it was already running when the outage began. */
  #isFresh(grantedAt: number): boolean {
    if (this.#outage === undefined) return true;
    const { accusedSince, until } = this.#outage;
    return accusedSince === undefined ? grantedAt >= until : grantedAt > accusedSince;
  }

  #pause(now: number, reason: string, { baseMs, maxMs }: Backoff, retryAfterMs?: number): void {
    if (!this.inService(now)) return;
    const backoff = Math.min(maxMs, baseMs * 2 ** Math.min(16, this.#failures));
    const longestWait = maxMs * 2 ** Math.min(16, this.#failures);
    this.#failures += 1;
    this.#enter({ state: "cooling_down", until: now + Math.min(longestWait, retryAfterMs ?? backoff), reason });
  }

  takeOut(now: number, reason: string): void {
    this.#enter({ state: "out_of_service", until: now + outOfServiceMs, reason });
  }

  /**
   * Records that the deployment refused a job and that nothing shows yet whose fault that was.
   * @param grantedAt when the refused call was granted
   */
  accuse(job: string, now: number, reason: string, grantedAt: number): void {
    const { accusedSince, until = grantedAt, state } = this.#outage ?? {};
    if (!this.inService(now) || grantedAt < until) return;
    this.#accusers.add(job);
    this.#accusedAt = now;
    const isTrial = this.#onTrial && state === "out_of_service";
    if (!isTrial && this.#accusers.size < accusersAllowed) return;
    const wait = Math.min(coolDown.maxMs, coolDown.baseMs * 2 ** Math.min(16, this.#failures));
    const trialSize = 2 ** Math.min(16, this.#failures);
    this.#failures += 1;
    this.#enter({ state: "out_of_service", until: now + wait, reason, accusedSince: accusedSince ?? now }, trialSize);
  }

  #enter(outage: Outage, trialSize = 1): void {
    this.#outage = outage;
    this.#onTrial = true;
    this.#trialSize = trialSize;
    this.#leftUntil = undefined;
    this.#accusers.clear();
    // If the account was closed in the middle of a batch, calls of the same moment have just been answered.
    if (outage.state === "out_of_service") this.answeredAt = Number.NEGATIVE_INFINITY;
  }

  /** Returns a change of state since the previous call, or undefined if there is none. */
  takeChange(): DeploymentChange | undefined {
    const outage = this.#onTrial ? this.#outage : undefined;
    const state = outage?.state ?? "in_service";
    if (state === this.#reported.state) return undefined;
    const reason = outage?.reason ?? this.#reported.reason;
    this.#reported = { state, reason };
    return { deployment: this.id, state, reason };
  }

  snapshot(now: number): DeploymentSnapshot {
    const isOut = this.#onTrial && this.#outage?.state === "out_of_service";
    const outage = isOut ? this.#outage : this.outage(now);
    return {
      id: this.id,
      running: this.running,
      maxConcurrency: this.config.maxConcurrency,
      state: outage?.state ?? "in_service",
      ...(outage && { reason: outage.reason, forMs: Math.max(0, outage.until - now) }),
    };
  }
}
