// The settings of the metrics: from the file and from variables, and what is refused.
import { expect, test } from "vitest";
import { takeOver } from "../../src/config/reloadable.ts";
import { load, mistakesIn } from "./support.ts";

test("by default the HTTP API serves the metrics, without a key and without tenants", async () => {
  const { metrics, metricsKey } = await load({});
  expect({ metrics, metricsKey }).toEqual({
    metrics: { enabled: true, host: "127.0.0.1", tenants: 0 },
    metricsKey: undefined,
  });
});

test("variables win over the file", async () => {
  const key = "a-key-of-20-letters!";
  const { metrics, metricsKey } = await load({
    yaml: "metrics: { host: 127.0.0.2, port: 9464, tenants: 20 }",
    env: { SLUICE_METRICS_PORT: "9999", SLUICE_METRICS_KEY: key },
  });
  expect(metrics).toEqual({ enabled: true, host: "127.0.0.2", port: 9999, tenants: 20 });
  expect(metricsKey).toBe(key);
  const { metrics: fromVariables } = await load({ env: { SLUICE_METRICS_HOST: "0.0.0.0", SLUICE_METRICS_PORT: "0" } });
  expect(fromVariables).toEqual({ enabled: true, host: "0.0.0.0", port: 0, tenants: 0 });
});

test.each([
  [{ yaml: "metrics: { host: 0.0.0.0 }" }, /metrics\.host needs metrics\.port/],
  [{ env: { SLUICE_METRICS_HOST: "0.0.0.0" } }, /SLUICE_METRICS_HOST needs metrics\.port/],
  [{ env: { SLUICE_METRICS_PORT: "8000" } }, /SLUICE_METRICS_PORT must differ from the port of the HTTP API; got 8000/],
  [{ env: { SLUICE_METRICS_PORT: "high" } }, /SLUICE_METRICS_PORT must be .*65535.*got "high"/],
  [{ yaml: "metrics: { tenants: 1001 }" }, /metrics\.tenants must be .*1000; got 1001 \(line 1\)/],
  [{ yaml: "metrics: 5", env: { SLUICE_METRICS_PORT: "1" } }, /metrics must be/],
])("refuses %j", async (given, message) => {
  expect(await mistakesIn(given)).toMatch(message);
});

test.each(["short", "a key of many words and letters", "k".repeat(201)])("refuses the key %s, unseen", async (key) => {
  const message = await mistakesIn({ env: { SLUICE_METRICS_KEY: key } });
  expect(message).toBe("SLUICE_METRICS_KEY must have 16 to 200 printable ASCII characters without spaces.");
});

test("a reload changes none of them, and does not show the key", async () => {
  const current = await load({ env: { SLUICE_METRICS_KEY: "the-first-secret-key" } });
  const { dataDir } = current;
  const changes = await load({
    yaml: "metrics: { tenants: 3 }",
    env: { SLUICE_METRICS_KEY: "the-second-secret-key" },
  });
  const next = { ...changes, dataDir };
  const { settings, changed, needsRestart } = takeOver(current, next);
  expect(settings).toMatchObject({ metrics: { tenants: 0 }, metricsKey: "the-first-secret-key" });
  expect(changed).toEqual([]);
  expect(needsRestart).toEqual(["metrics.tenants: 0 -> 3"]);
});
