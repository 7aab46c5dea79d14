// What is known of one deployment besides its quotas: how many calls run there and whether it is well.
//
//   in service -> cooling down   capacity errors: 1 s, doubled each time, up to a minute (or what the provider asks for)
//   in service -> out of service misconfigured: tried again after five minutes, or when revived or reconfigured
//
// Either way it comes back on trial: one call at a time until one succeeds.

import type { Quota } from "./quota.ts";
import type { DeploymentConfig, DeploymentSnapshot } from "./scheduler.ts";

const coolDownBaseMs = 1_000;
const coolDownMaxMs = 60_000;
const outOfServiceMs = 5 * 60_000;

export class Deployment {
  config: DeploymentConfig;
  quotas: Quota[];
  running = 0;
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

  succeeded(now: number): void {
    // Nor does what they show in its favour count: 50 long calls that end well would cancel every cool-down.
    if (this.inService(now)) this.revive();
  }

  revive(): void {
    this.#trouble = undefined;
    this.#failures = 0;
    this.#onTrial = false;
  }

  coolDown(now: number, reason: string, retryAfterMs?: number): void {
    // Calls that were running when the trouble began say nothing new.
    if (!this.inService(now)) return;
    const backoff = Math.min(coolDownMaxMs, coolDownBaseMs * 2 ** Math.min(16, this.#failures));
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
