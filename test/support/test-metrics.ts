// Metrics of a test, and their samples.
import type { Settings } from "../../src/config/settings.ts";
import { KnownTenants } from "../../src/telemetry/known-names.ts";
import type { Metrics } from "../../src/telemetry/metrics.ts";
import { Registry } from "../../src/telemetry/registry.ts";
import { createMetrics } from "../../src/telemetry/service-metrics.ts";

export interface TestMetrics {
  metrics: Metrics;
  /** Returns the samples of a metric that are not 0, such as `{kind="expired"} 1`. */
  samples(name: string): Promise<string[]>;
}

export function testMetrics(settings: Settings): TestMetrics {
  const registry = new Registry();
  const tenants = new KnownTenants(settings.metrics.tenants);
  return {
    metrics: createMetrics({ registry, settings, tenants }),
    async samples(name) {
      const text = await registry.scrape("prometheus");
      const lines = text.split("\n").filter((line) => line.startsWith(name) && !line.endsWith(" 0"));
      return lines.map((line) => line.slice(name.length));
    },
  };
}
