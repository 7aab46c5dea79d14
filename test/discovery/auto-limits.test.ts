// Limits that the configuration leaves to AWS: listed now, listed last, the fallback, or none.
import { pino } from "pino";
import { expect, test } from "vitest";
import type { FileQuota } from "../../src/config/config-schema.ts";
import { readAutoLimits } from "../../src/discovery/auto-limits.ts";
import { testSettings } from "../support/jobs-context.ts";
import { account, llama, startAccount } from "./support.ts";

function memoryStore(saved: unknown = undefined) {
  let value = saved;
  return {
    loadCheckpoint: async () => value,
    saveCheckpoint: async (_: string, next: unknown) => {
      value = next;
    },
  };
}

const perMinute = (more: Partial<FileQuota> = {}): FileQuota => ({
  unit: "requests",
  per: "minute",
  limit: "auto",
  ...more,
});

async function read(quotas: FileQuota[], store = memoryStore(), modelId = llama) {
  const settings = testSettings({
    models: { m: { maxOutputTokens: 100, deployments: [{ region: "us-east-1", modelId, quotas }] } },
    defaultModel: "m",
  });
  const warnings: string[] = [];
  const log = pino({ level: "warn" }, { write: (line: string) => warnings.push(JSON.parse(line).reason) });
  await readAutoLimits(settings, { store, log });
  const found = settings.models.m!.deployments[0]!.quotas.map(({ limit, burst }) => [limit, burst]);
  return { found, warnings };
}

test("uses what AWS lists, and the burst that follows from it", async () => {
  await startAccount();
  const quotas = [perMinute(), perMinute({ unit: "tokens" }), perMinute({ unit: "tokens", per: "day", burst: 5 })];
  const { found, warnings } = await read(quotas);
  expect(found).toEqual([
    [80, 80],
    [600_000, 60_000],
    [700_000_000, 5],
  ]);
  expect(warnings).toEqual([]);
});

test("if AWS cannot be read, uses what it listed last, even in preference to the fallback", async () => {
  const store = memoryStore();
  const simulator = await startAccount();
  await read([perMinute()], store);
  await simulator.stop();
  const { found, warnings } = await read([perMinute({ fallback: 7 })], store);
  expect(found).toEqual([[80, 80]]);
  expect(warnings).toEqual([
    "models.m.deployments[0].quotas[0].limit is auto, but the quotas of us-east-1 cannot be read. " +
      "servicequotas:ListServiceQuotas cannot be reached: ECONNREFUSED. Sluice uses what AWS listed last.",
  ]);
});

test("else uses the fallback, also for a name that is not listed, and for a quota of 0", async () => {
  const row = "Cross-region model inference requests per minute for Meta Llama 3.3 70B Instruct";
  await startAccount({ listedQuotas: { [row]: { default: 0 } } });
  expect(await read([perMinute({ fallback: 7 })])).toMatchObject({
    found: [[7, 7]],
    warnings: [
      expect.stringContaining(`AWS lists 0 as "${row}": the account has no such quota. Sluice uses its fallback.`),
    ],
  });
  expect(await read([perMinute({ fallback: 7 })], memoryStore("nonsense"), "brand.new")).toMatchObject({
    found: [[7, 7]],
    warnings: [expect.stringContaining("AWS lists no requests per minute for brand.new in us-east-1.")],
  });
});

test("without any of these the start fails with the key, the reason and what to do", async () => {
  await startAccount({ ...account, denied: true });
  await expect(read([{ unit: "tokens", per: "minute", limit: 5000 }, perMinute()])).rejects.toMatchObject({
    name: "ConfigError",
    message: expect.stringMatching(
      /^Sluice cannot use the limits that AWS lists:\n {2}models\.m\.deployments\[0\]\.quotas\[1\]\.limit is auto, but the quotas of us-east-1 cannot be read\. servicequotas:ListServiceQuotas was refused .*\nReplace auto by a number, or add a fallback\. `sluice quotas` shows what AWS lists\.$/,
    ),
  });
});

test("a listed limit under which no job could run is a mistake like any other", async () => {
  const row = "Cross-region model inference tokens per minute for Meta Llama 3.3 70B Instruct";
  await startAccount({ listedQuotas: { [row]: { default: 50 } } });
  await expect(read([perMinute({ unit: "tokens" })])).rejects.toThrow(
    /models\.m\.deployments\[0\]\.quotas\[0\]\.limit must be more than 100, or no job with the model's 100 output tokens can run; got 50/,
  );
});
