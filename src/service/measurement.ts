// Puts the parts of telemetry together for one process.

import type { Settings } from "../config/settings.ts";
import { version } from "../config/version.ts";
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
  /** Returns all metrics as text. */
  scrape(format: TextFormat): Promise<string>;
}

/** Starts to measure this process, unless the configuration says not to. */
export function startMeasurement(settings: Settings, teardown: Teardown): Measurement | undefined {
  if (!settings.metrics.enabled) return undefined;
  const registry = new Registry();
  teardown.defer(addProcessMetrics(registry));
  addBuildInfo(registry, settings);
  return {
    metrics: createMetrics({ registry, settings }),
    observe: (context) => addQueueGauges(registry, { ...context, settings }),
    scrape: (format) => registry.scrape(format),
  };
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
