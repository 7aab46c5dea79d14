// The deployments and quotas of a configuration, with their state. Quotas are matched by name and deployments by id, so
// a new configuration keeps usage and what was learned. Those that a configuration leaves out are kept too: they may
// return while their calls still run, and the provider still counts their usage.

import { reservedCost, settledCost } from "../cost.ts";
import { Deployment } from "../deployment.ts";
import { type Charge, Quota } from "../quota.ts";
import type { RestoredCharge, SchedulerSnapshot } from "../scheduler.ts";
import type { SchedulerConfig } from "../scheduler-configuration.ts";

const dayMs = 24 * 60 * 60_000;
const hourMs = 60 * 60_000;

export class Fleet {
  readonly quotas = new Map<string, Quota>();
  readonly deployments = new Map<string, Deployment>();
  #config: SchedulerConfig;

  constructor(config: SchedulerConfig) {
    this.#config = config;
    this.reconfigure(config);
  }

  reconfigure(config: SchedulerConfig): void {
    this.#config = config;
    const guardMs = config.sendWithinMs + config.networkJitterMs;
    for (const quota of config.quotas) {
      const known = this.quotas.get(quota.name);
      if (known && known.config.per === quota.per && known.config.unit === quota.unit)
        known.reconfigure(quota, guardMs);
      else this.quotas.set(quota.name, new Quota(quota, guardMs));
    }
    for (const deployment of config.deployments) {
      const quotas = deployment.quotas.map((name) => this.quotas.get(name)!);
      const known = this.deployments.get(deployment.id);
      if (known) {
        known.config = deployment;
        known.quotas = quotas;
        known.reinstate();
      } else this.deployments.set(deployment.id, new Deployment(deployment, quotas));
    }
  }

  /** Resets all usage and state. */
  clear(): void {
    this.quotas.clear();
    this.deployments.clear();
    this.reconfigure(this.#config);
  }

  resetLearnedLimits(name?: string): void {
    for (const quota of this.quotas.values())
      if (name === undefined || quota.config.name === name) quota.resetLearnedLimits();
  }

  reinstate(id: string): void {
    const deployment = this.deployments.get(id);
    if (!deployment) return;
    deployment.reinstate();
    for (const quota of deployment.quotas) quota.learning.reopen();
  }

  /** Charges a call that was made before a restart. Call it in the order of time. */
  restoreCharge(restored: RestoredCharge, now: number, wallMs: number): { quota: Quota; charge: Charge }[] {
    const deployment = this.deployments.get(restored.deployment);
    if (!deployment) return [];
    const { outputBurndown } = deployment.config;
    return deployment.quotas
      .filter((quota) => restored.agoMs <= Math.min(quota.spanMs, intoDay(quota, wallMs) ?? quota.spanMs))
      .map((quota) => {
        const cost = restored.settled
          ? settledCost(quota.config.unit, restored.tokens, outputBurndown)
          : reservedCost(quota.config.unit, restored.tokens, outputBurndown);
        const at = now - Math.max(0, Math.floor(restored.agoMs));
        return { quota, charge: quota.charge(cost, at, !restored.settled) };
      });
  }

  /** Empties the daily quotas whose reset hour has passed. */
  rollDays(now: number, wallMs: number): void {
    for (const quota of this.quotas.values()) {
      const into = intoDay(quota, wallMs);
      if (into !== undefined) quota.rollDay(Math.round((wallMs - into) / hourMs), now + Math.ceil(dayMs - into));
    }
  }

  snapshot(now: number): Pick<SchedulerSnapshot, "deployments" | "quotas"> {
    return {
      deployments: this.#config.deployments.map(({ id }) => this.deployments.get(id)!.snapshot(now)),
      quotas: this.#config.quotas.map(({ name }) => {
        const quota = this.quotas.get(name)!;
        const nextFree = quota.nextFree(now);
        const { throttledAt, closedUntil } = quota.learning;
        return {
          name: quota.config.name,
          unit: quota.config.unit,
          per: quota.config.per,
          configuredLimit: quota.config.limit,
          effectiveLimit: quota.effectiveLimit,
          configuredBurst: quota.config.burst,
          effectiveBurst: quota.learning.burst,
          probing: quota.learning.isProbing,
          ...(Number.isFinite(throttledAt) && { throttledAgoMs: now - throttledAt }),
          ...(closedUntil > now && { closedForMs: closedUntil - now }),
          used: quota.used(now),
          reserved: quota.reserved(now),
          settled: quota.used(now) - quota.reserved(now),
          ...(nextFree !== undefined && { nextFreeInMs: Math.max(0, nextFree - now) }),
        };
      }),
    };
  }
}

/**
 * Returns the time since the provider reset the quota, in milliseconds. Undefined if it does not reset at a fixed hour.
 */
function intoDay(quota: Quota, wallMs: number): number | undefined {
  const { per, resetHourUtc } = quota.config;
  if (per !== "day" || resetHourUtc === undefined) return undefined;
  const since = (wallMs - resetHourUtc * hourMs) % dayMs;
  return since < 0 ? since + dayMs : since;
}
