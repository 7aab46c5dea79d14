// Puts the parts of telemetry together for one process.

import type { Settings } from "../config/settings.ts";
import { version } from "../config/version.ts";
import type { KeyRegistry } from "../jobs/keys/key-registry.ts";
import type { Limits } from "../jobs/limits/limits.ts";
import { KnownTenants } from "../telemetry/known-names.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { addProcessMetrics } from "../telemetry/process-metrics.ts";
import { addQueueGauges, type GaugesContext } from "../telemetry/queue-gauges.ts";
import { Registry, type TextFormat } from "../telemetry/registry.ts";
import { createMetrics } from "../telemetry/service-metrics.ts";
import type { Teardown } from "./teardown.ts";

export interface Measurement {
  metrics: Metrics;
  /** Adds what is read for each scrape, once store and queue are open. */
  observe(context: Omit<GaugesContext, "settings">): void;
  /** Adds the used parts of keys' limits. */
  observeLimits(limits: Pick<Limits, "usedShares">, keys: Pick<KeyRegistry, "tenantOf">): void;
  /** Returns all metrics as text. */
  scrape(format: TextFormat): Promise<string>;
}

/** Starts to measure this process, unless the configuration says not to. */
export function startMeasurement(settings: Settings, teardown: Teardown): Measurement | undefined {
  if (!settings.metrics.enabled) return undefined;
  const registry = new Registry();
  teardown.defer(addProcessMetrics(registry));
  addBuildInfo(registry, settings);
  const tenants = new KnownTenants(settings.metrics.tenants);
  return {
    metrics: createMetrics({ registry, settings, tenants }),
    observeLimits: (limits, keys) => addLimitGauge(registry, { tenants, limits, keys }),
    observe: (context) => addQueueGauges(registry, { ...context, settings }),
    scrape: (format) => registry.scrape(format),
  };
}

/** Adds the most used limit among the keys of each tenant. */
function addLimitGauge(
  registry: Registry,
  {
    tenants,
    limits,
    keys,
  }: { tenants: KnownTenants; limits: Pick<Limits, "usedShares">; keys: Pick<KeyRegistry, "tenantOf"> },
): void {
  const name = "sluice_key_limit_used_ratio";
  const help = "Used part of a limit, of the API key of the tenant that has used most of it.";
  const used = registry.gauge(name, help, ["tenant", "limit"]);
  registry.onScrape(() => {
    used.clear();
    for (const { keyId, limit, ratio } of limits.usedShares()) {
      const series = used.with(tenants.label(keys.tenantOf(keyId) ?? ""), limit);
      series.set(Math.max(series.value, ratio));
    }
  });
}

function addBuildInfo(registry: Registry, { distributed, role, runs }: Settings): void {
  const info = registry.gauge("sluice_build_info", "Version and form of this process.", ["version", "mode", "role"]);
  info.with(version, distributed ? "distributed" : "embedded", role).set(1);
  const environments = registry.gauge(
    "sluice_worker_environment",
    "1 for each environment whose jobs this process runs.",
    ["environment"],
  );
  if (role !== "api") for (const environment of runs) environments.with(environment).set(1);
}
