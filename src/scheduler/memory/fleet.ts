// The deployments and quotas of a configuration, with their state. Quotas are matched by name and deployments by id, so
// that a new configuration keeps the usage and what was learned.
import { reservedCost, settledCost } from "../cost.ts";
import { Deployment } from "../deployment.ts";
import { type Charge, Quota } from "../quota.ts";
import type { RestoredCharge, SchedulerConfig, SchedulerSnapshot } from "../scheduler.ts";

const dayMs = 24 * 60 * 60_000;
const hourMs = 60 * 60_000;

export class Fleet {
  readonly quotas = new Map<string, Quota>();
  readonly deployments = new Map<string, Deployment>();
  #config: SchedulerConfig;
  readonly #dayOf = new Map<string, number>();

  constructor(config: SchedulerConfig) {
    this.#config = config;
    this.reconfigure(config);
  }

  reconfigure(config: SchedulerConfig): void {
    this.#config = config;
    const guardMs = config.sendWithinMs + config.networkJitterMs;
    const names = new Set(config.quotas.map((quota) => quota.name));
    for (const name of this.quotas.keys()) if (!names.has(name)) this.quotas.delete(name);
    for (const quota of config.quotas) {
      const known = this.quotas.get(quota.name);
      if (known && known.config.per === quota.per && known.config.unit === quota.unit) known.reconfigure(quota);
      else this.quotas.set(quota.name, new Quota(quota, guardMs));
    }
    const ids = new Set(config.deployments.map((deployment) => deployment.id));
    for (const id of this.deployments.keys()) if (!ids.has(id)) this.deployments.delete(id);
    for (const deployment of config.deployments) {
      const quotas = deployment.quotas.map((name) => this.quotas.get(name)!);
      const known = this.deployments.get(deployment.id);
      if (known) {
        known.config = deployment;
        known.quotas = quotas;
        known.succeeded();
      } else this.deployments.set(deployment.id, new Deployment(deployment, quotas));
    }
  }

  /** Forgets all usage and state. */
  clear(): void {
    this.quotas.clear();
    this.deployments.clear();
    this.reconfigure(this.#config);
  }

  forget(name?: string): void {
    for (const quota of this.quotas.values()) if (name === undefined || quota.config.name === name) quota.forget();
  }

  /** Charges what was called before a restart. To be given in the order of time. */
  restoreCharge(restored: RestoredCharge, now: number): { quota: Quota; charge: Charge }[] {
    const deployment = this.deployments.get(restored.deployment);
    if (!deployment) return [];
    const { outputBurndown } = deployment.config;
    return deployment.quotas
      .filter((quota) => restored.agoMs <= quota.spanMs)
      .map((quota) => {
        const cost = restored.settled
          ? settledCost(quota.config.unit, restored.tokens, outputBurndown)
          : reservedCost(quota.config.unit, restored.tokens, outputBurndown);
        return { quota, charge: quota.charge(cost, now - Math.max(0, Math.floor(restored.agoMs))) };
      });
  }

  /** Empties the daily quotas whose reset hour has passed. */
  resetDays(wallMs: number): void {
    for (const quota of this.quotas.values()) {
      const { per, resetHourUtc, name } = quota.config;
      if (per !== "day" || resetHourUtc === undefined) continue;
      const day = Math.floor((wallMs - resetHourUtc * hourMs) / dayMs);
      const before = this.#dayOf.get(name);
      if (before !== undefined && day > before) quota.reset();
      this.#dayOf.set(name, day);
    }
  }

  snapshot(now: number): Pick<SchedulerSnapshot, "deployments" | "quotas"> {
    return {
      deployments: [...this.deployments.values()].map((deployment) => deployment.snapshot(now)),
      quotas: [...this.quotas.values()].map((quota) => {
        const nextFree = quota.nextFree(now);
        return {
          name: quota.config.name,
          unit: quota.config.unit,
          per: quota.config.per,
          configuredLimit: quota.config.limit,
          effectiveLimit: quota.effectiveLimit,
          used: quota.used(now),
          ...(nextFree !== undefined && { nextFreeInMs: Math.max(0, nextFree - now) }),
        };
      }),
    };
  }
}
