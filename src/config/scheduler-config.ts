// The part of the configuration that the scheduler uses.
import { createHash } from "node:crypto";
import type { QuotaConfig, SchedulerConfig } from "../scheduler/scheduler-configuration.ts";
import type { DeploymentSettings, Settings } from "./settings.ts";

/**
 * Returns the scheduler's configuration. The version is a hash of its content, so processes with the same configuration
 * agree without communicating.
 */
export function schedulerConfigOf(settings: Settings): SchedulerConfig {
  const deployments = Object.values(settings.models).flatMap((model) => model.deployments);
  const quotas = new Map<string, QuotaConfig>();
  for (const { name, unit, per, limit, burst, resetHourUtc } of deployments.flatMap((d) => d.quotas)) {
    quotas.set(name, { name, unit, per, limit, burst, ...(resetHourUtc !== undefined && { resetHourUtc }) });
  }
  const content: Omit<SchedulerConfig, "version"> = {
    deployments: deployments.map((d) => ({
      id: d.id,
      region: d.region,
      ...(d.baseModel !== undefined && { baseModel: d.baseModel }),
      maxConcurrency: d.maxConcurrency,
      quotas: d.quotas.map((q) => q.name),
      outputBurndown: d.outputBurndown,
      dailyPool: dailyPoolOf(d),
    })),
    quotas: [...quotas.values()],
    models: Object.fromEntries(
      Object.entries(settings.models).map(([alias, model]) => [
        alias,
        { deployments: model.deployments.map((d) => d.id), choice: model.choice },
      ]),
    ),
    weights: {
      environments: Object.fromEntries(Object.entries(settings.environments).map(([name, e]) => [name, e.weight])),
      priorities: settings.priorityWeights,
      tenants: settings.tenantWeights,
    },
    ...settings.scheduler,
  };
  const version = createHash("sha256").update(JSON.stringify(content)).digest("hex").slice(0, 16);
  return { version, ...content };
}

/**
 * Returns the name of the daily token pool. Bedrock keeps one pool for all models of an account and Region. Other
 * providers are not known to share pools.
 */
function dailyPoolOf({ provider, id, region, account }: DeploymentSettings): string {
  if (provider !== "bedrock") return id;
  return account ? `${region}@${account.label}` : region;
}
