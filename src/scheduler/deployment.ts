// What is known of one deployment besides its quotas: how many calls run there and whether it is well.
//
//   in service -> cooling down   capacity errors: 1 s, doubled each time, up to a minute; or what the provider asks for, up to
//                                a minute the first time, and up to twice as long each time after that
//   in service -> cooling down   tokens per day used up: 15 minutes, doubled each time, up to an hour
//   in service -> out of service misconfigured: tried again after five minutes, or when reinstated or reconfigured
//   in service -> out of service several jobs refused in a row (see suspicion.ts): 1 s, doubled each time, up to a minute
//
// It comes back on trial: one call at a time until one succeeds. Where several jobs were refused and nothing tells that it
// was not by their own fault, each trial asks twice as many jobs as the one before: one that is served is among them soon.

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
  /** When it began, if refusals of several jobs are the reason: an answer to any later call ends it. */
  accusedSince?: number;
}

export class Deployment {
  config: DeploymentConfig;
  quotas: Quota[];
  running = 0;
  /** By an operator. */
  paused = false;
  /** When the latest call was granted that it answered since it was last out of service. */
  answeredAt = Number.NEGATIVE_INFINITY;
  #outage: Outage | undefined;
  #failures = 0;
  #onTrial = false;
  /** Calls at a time while on trial. */
  #trialSize = 1;
  /** Until when it is left to jobs that it has not refused; undefined before the first other job asks. */
  #leftUntil: number | undefined;
  /** Jobs that it refused since it last answered one, and when it refused the last of them. */
  readonly #accusers = new Set<string>();
  #accusedAt = Number.NEGATIVE_INFINITY;
  /** What was last told of it. */
  #told: { state: DeploymentState; reason: string } = { state: "in_service", reason: "" };

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

  /** Why it is not in service, and until when. */
  outage(now: number): Outage | undefined {
    return this.inService(now) ? undefined : this.#outage;
  }

  /**
   * Whether it is in service again, but on trial and left to jobs that it has not refused: why, and until when. The time
   * counts from when a job that it has refused could go, and anew after a call that told nothing.
   */
  leftToOthers(now: number): { reason: string; until: number } | undefined {
    if (!this.#onTrial || !this.#outage || !this.inService(now)) return undefined;
    this.#leftUntil ??= now + leftToOthersMs;
    return now < this.#leftUntil ? { reason: this.#outage.reason, until: this.#leftUntil } : undefined;
  }

  hasRoom(): boolean {
    const { maxConcurrency } = this.config;
    return this.running < (this.#onTrial ? Math.min(this.#trialSize, maxConcurrency) : maxConcurrency);
  }

  /** A call ended that does not say whether the deployment is well. */
  toldNothing(): void {
    this.#leftUntil = undefined;
  }

  /** A call that was granted at that time ended well. */
  succeeded(grantedAt: number): void {
    if (grantedAt >= this.#accusedAt) this.#accusers.clear();
    // What began before the outage was over shows nothing: 50 long calls that end well would cancel every cool-down.
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

  /** What its tokens per day are shared with. */
  get dailyPool(): string {
    return this.config.dailyPool ?? this.config.region;
  }

  /** @param grantedAt of the call that showed it */
  coolDown(now: number, reason: string, grantedAt: number, retryAfterMs?: number): void {
    if (this.#isFresh(grantedAt)) this.#pause(now, reason, coolDown, retryAfterMs);
  }

  /** Leaves it alone for long: what it has per day is used up. */
  park(now: number, reason: string, retryAfterMs?: number): void {
    this.#pause(now, reason, park, retryAfterMs);
  }

  /** Whether a call says something new: not if it was running when the outage began. */
  #isFresh(grantedAt: number): boolean {
    if (this.#outage === undefined) return true;
    const { accusedSince, until } = this.#outage;
    return accusedSince === undefined ? grantedAt >= until : grantedAt > accusedSince;
  }

  #pause(now: number, reason: string, { baseMs, maxMs }: Backoff, retryAfterMs?: number): void {
    if (!this.inService(now)) return;
    const backoff = Math.min(maxMs, baseMs * 2 ** Math.min(16, this.#failures));
    const longestAsked = maxMs * 2 ** Math.min(16, this.#failures);
    this.#failures += 1;
    this.#enter({ state: "cooling_down", until: now + Math.min(longestAsked, retryAfterMs ?? backoff), reason });
  }

  takeOut(now: number, reason: string): void {
    this.#enter({ state: "out_of_service", until: now + outOfServiceMs, reason });
  }

  /**
   * It refused a job, and nothing shows yet whose fault that was.
   * @param grantedAt of the call that was refused
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
    // An account that was closed in the middle of a batch has just answered calls of the same moment.
    if (outage.state === "out_of_service") this.answeredAt = Number.NEGATIVE_INFINITY;
  }

  /** What has not been told yet of whether it serves. */
  takeChange(): DeploymentChange | undefined {
    const outage = this.#onTrial ? this.#outage : undefined;
    const state = outage?.state ?? "in_service";
    if (state === this.#told.state) return undefined;
    const reason = outage?.reason ?? this.#told.reason;
    this.#told = { state, reason };
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
