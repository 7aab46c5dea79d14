// What a reload of the configuration changes, and what has to wait for a restart.
import { expect, test } from "vitest";
import { takeOver } from "../../src/config/reloadable.ts";
import { load } from "./support.ts";

const file = (more = "", limit = 3, second = "") => `
port: 8000
dataDir: /srv/data
models:
  a:
    deployments:
      - region: us-east-1
        modelId: amazon.nova-pro-v1:0
        quotas: [{ unit: requests, per: minute, limit: ${limit} }]
${second}
${more}`;
const before = () => load({ yaml: file() });

test("the same configuration changes nothing", async () => {
  const current = await before();
  expect(takeOver(current, await before())).toMatchObject({ changed: [], needsRestart: [] });
});

test("quotas, weights, deployments and limits change at once", async () => {
  const next = await load({
    yaml: file(
      "tenantWeights: { t: 2 }\ntimeouts: { idleMs: 5 }\nlimits: { maxPromptBytes: 9 }\nlogLevel: warn",
      800,
      "      - { region: us-west-2, modelId: amazon.nova-pro-v1:0 }",
    ),
  });
  const { settings, changed, needsRestart } = takeOver(await before(), next);
  expect(needsRestart).toEqual([]);
  const id = "bedrock/us-east-1/amazon.nova-pro-v1:0";
  expect(changed).toContain(`models.a.deployments.${id}.quotas.${id}:requests/minute.limit: 3 -> 800`);
  expect(changed).toContain(
    'models.a.deployments.bedrock/us-west-2/amazon.nova-pro-v1:0.region: (none) -> "us-west-2"',
  );
  expect(changed).toContain("tenantWeights.t: (none) -> 2");
  expect(changed).toContain("timeouts.idleMs: 60000 -> 5");
  expect(changed).toContain("limits.maxPromptBytes: 1048576 -> 9");
  expect(changed).toContain('logLevel: "info" -> "warn"');
  expect(settings.models.a!.deployments).toHaveLength(2);
});

test("ports, folders, databases, leases and what HTTP was built with stay, and the report names them", async () => {
  const current = await before();
  const next = await load({
    yaml: `${file().replace("port: 8000", "port: 8001").replace("/srv/data", "/srv/elsewhere")}

trustedProxies: [10.0.0.1]
environments: { UAT: { database: other, weight: 3 }, NEW: { database: new } }
limits: { maxRequestBytes: 5000000, maxWaitS: 10 }
scheduler: { leaseMs: 20000, networkJitterMs: 100 }
redis: { jobHashes: { ttlSeconds: 0 } }`,
  });
  const { settings, changed, needsRestart } = takeOver(current, next);
  expect(changed).toEqual(["environments.UAT.weight: 1 -> 3", "scheduler.networkJitterMs: 300 -> 100"]);
  expect(needsRestart.map((line) => line.split(":")[0])).toEqual(
    [
      "port",
      "trustedProxies",
      "dataDir",
      "environments.UAT.database",
      "environments.PROD.database",
      "environments.PROD.weight",
      "environments.NEW.database",
      "environments.NEW.weight",
      "limits.maxRequestBytes",
      "limits.maxWaitS",
      "scheduler.leaseMs",
      "redis.jobHashes.ttlSeconds",
      "runs",
    ].sort(
      (a, b) =>
        needsRestart.findIndex((l) => l.startsWith(`${a}:`)) - needsRestart.findIndex((l) => l.startsWith(`${b}:`)),
    ),
  );
  expect(settings).toMatchObject({
    port: 8000,
    dataDir: "/srv/data",
    environments: { UAT: { database: "SSP-dev", weight: 3 }, PROD: { database: "SSP-prod", weight: 4 } },
    limits: { maxWaitS: 60 },
    scheduler: { leaseMs: 30_000, networkJitterMs: 100 },
  });
  expect(Object.keys(settings.environments)).toEqual(["UAT", "PROD"]);
});

test("synthetic answers never replace real ones, or the reverse", async () => {
  const current = await before();
  expect(() => takeOver({ ...current, simulator: true }, current)).toThrow(
    "This configuration switches from the built-in simulator to Bedrock. Restart the service to apply it.",
  );
  expect(() => takeOver(current, { ...current, simulator: true })).toThrow(/Restart the service/);
});
