// What is known of one deployment besides its quotas: how many calls run there and whether it is well.
//
//   in service -> cooling down   capacity errors: 1 s, doubled each time, up to a minute (or what the provider asks for)
//   in service -> cooling down   tokens per day used up: 15 minutes, doubled each time, up to an hour
//   in service -> out of service misconfigured: tried again after five minutes, or when revived or reconfigured
//
// Either way it comes back on trial: one call at a time until one succeeds.

import type { Quota } from "./quota.ts";
import type { DeploymentConfig, DeploymentSnapshot } from "./scheduler.ts";

const coolDown: Backoff = { baseMs: 1_000, maxMs: 60_000 };
const park: Backoff = { baseMs: 15 * 60_000, maxMs: 60 * 60_000 };
const outOfServiceMs = 5 * 60_000;

interface Backoff {
  baseMs: number;
  maxMs: number;
}

export class Deployment {
  config: DeploymentConfig;
  quotas: Quota[];
  running = 0;
  /** By an operator. */
  paused = false;
  #trouble: { state: "cooling_down" | "out_of_service"; until: number; reason: string } | undefined;
  #failures = 0;
  #onTrial = false;

  constructor(config: DeploymentConfig, quotas: Quota[]) {
    this.config = config;
    this.quotas = quotas;
  }

  get id(): string {
    return this.config.id;
  }

  inService(now: number): boolean {
    return this.#trouble === undefined || now >= this.#trouble.until;
  }

  /** Why it is not in service, and until when. */
  trouble(now: number): { state: "cooling_down" | "out_of_service"; until: number; reason: string } | undefined {
    return this.inService(now) ? undefined : this.#trouble;
  }

  hasRoom(): boolean {
    return this.running < (this.#onTrial ? 1 : this.config.maxConcurrency);
  }

  /** A call that was granted at that time ended well. */
  succeeded(grantedAt: number): void {
    // What began before the trouble was over shows nothing: 50 long calls that end well would cancel every cool-down.
    if (this.#isFresh(grantedAt)) this.revive();
  }

  revive(): void {
    this.#trouble = undefined;
    this.#failures = 0;
    this.#onTrial = false;
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

  /** Whether a call says something new: not if it was running when the trouble began. */
  #isFresh(grantedAt: number): boolean {
    return this.#trouble === undefined || grantedAt >= this.#trouble.until;
  }

  #pause(now: number, reason: string, { baseMs, maxMs }: Backoff, retryAfterMs?: number): void {
    if (!this.inService(now)) return;
    const backoff = Math.min(maxMs, baseMs * 2 ** Math.min(16, this.#failures));
    this.#failures += 1;
    this.#onTrial = true;
    this.#trouble = { state: "cooling_down", until: now + (retryAfterMs ?? backoff), reason };
  }

  takeOut(now: number, reason: string): void {
    this.#onTrial = true;
    this.#trouble = { state: "out_of_service", until: now + outOfServiceMs, reason };
  }

  snapshot(now: number): DeploymentSnapshot {
    const trouble = this.trouble(now);
    return {
      id: this.id,
      running: this.running,
      maxConcurrency: this.config.maxConcurrency,
      state: trouble?.state ?? "in_service",
      ...(trouble && { reason: trouble.reason, forMs: trouble.until - now }),
    };
  }
}
