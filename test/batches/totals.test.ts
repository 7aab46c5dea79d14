// A dry run of a batch adds up its lines. It reads a file only while its caller waits, and two files at a time.
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { FileSettings } from "../../src/config/config-schema.ts";
import { newJobId } from "../../src/domain/ids.ts";
import { type Job, priorities } from "../../src/domain/job.ts";
import { costNanoUsd } from "../../src/domain/money.ts";
import { createBatchDryRun } from "../../src/jobs/batches/batch-dry-run.ts";
import { LineTotals } from "../../src/jobs/batches/totals.ts";
import { keylessCaller } from "../../src/jobs/caller.ts";
import { newFileId, writeFile } from "../../src/jobs/files/files.ts";
import { lineFormats } from "../../src/wire/openai/line-formats.ts";
import { openTestContext, type TestContext } from "../support/jobs-context.ts";
import { endpoint, lineOf } from "./support.ts";

const quota = (unit: "tokens" | "requests", limit: number) => ({ unit, per: "minute" as const, limit, burst: limit });
const at = (region: string, ...quotas: ReturnType<typeof quota>[]) => ({
  region,
  modelId: "us.meta.llama3-3-70b-instruct-v1:0",
  quotas,
});
const file: FileSettings = {
  defaultModel: "a",
  models: {
    a: { deployments: [at("us-east-1", quota("tokens", 30_000)), at("us-west-2", quota("tokens", 10_000))] },
    b: { deployments: [at("us-east-2", quota("requests", 10), quota("tokens", 1_000_000))] },
    free: { deployments: [at("eu-west-1")] },
  },
};

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

let context: TestContext;
beforeAll(async () => {
  context = await openTestContext(file);
});
afterAll(() => context.close());

function job(fields: Partial<Job>): Job {
  const model = fields.model ?? "a";
  return {
    ...{ id: newJobId(), environment: "UAT", tenant: "t", priority: "batch", model, fallbackModels: [] },
    ...{ tokens: { input: 100, output: 300 }, submittedAt: 0, onUnknown: "retry" },
    request: { messages: [], parameters: { maxTokens: 300 } },
    ...fields,
  } as Job;
}

function totalsOf(jobs: readonly Job[]) {
  const totals = new LineTotals(context.settings);
  for (const one of jobs) totals.add(one);
  return totals;
}

test("lines go to the deployments of their model so that all are done at the same time", () => {
  const { sum, quotaMs } = totalsOf(Array.from({ length: 1000 }, () => job({}))).end();
  // 400,000 tokens, of 40,000 a minute in both together.
  expect(sum.binding!.takes / sum.binding!.limit).toBeCloseTo(10, 5);
  expect(quotaMs).toBeCloseTo(9 * 60_000, 0);
});

test("regions, and quotas in other units than tokens", () => {
  const one = totalsOf(Array.from({ length: 100 }, () => job({ regions: ["us-west-2"] }))).end();
  expect(one.sum.binding).toMatchObject({ takes: 40_000, limit: 10_000 });
  const requests = totalsOf(Array.from({ length: 50 }, () => job({ model: "b" }))).end();
  expect(requests.sum.binding).toMatchObject({ unit: "requests", takes: 50, limit: 10 });
  const free = totalsOf([job({ model: "free" })]).end();
  expect(free.sum.binding).toBeUndefined();
  expect(free.quotaMs).toBe(0);
});

test("sums are those of the lines, however many kinds of lines there are; and few of them are held", () => {
  for (const { deployments } of Object.values(context.settings.models)) {
    for (const { traits } of deployments) traits.prices = { input: 0.72, output: 3, tiers: { flex: 0.5 } };
  }
  const line = fc.record({
    model: fc.constantFrom("a", "b", "free"),
    priority: fc.constantFrom(...priorities),
    tokens: fc.record({ input: fc.integer({ min: 1, max: 50_000 }), output: fc.integer({ min: 1, max: 4000 }) }),
    tier: fc.constantFrom(undefined, "default" as const, "flex" as const),
    fallbackModels: fc.array(fc.string({ maxLength: 3 }), { maxLength: 3 }),
  });
  fc.assert(
    fc.property(fc.array(line, { minLength: 1, maxLength: 600 }), (lines) => {
      const jobs = lines.map(({ tier, ...rest }) => {
        const request = { messages: [], parameters: { maxTokens: 1 }, ...(tier && { serviceTier: tier }) };
        return job({ ...rest, request });
      });
      const totals = totalsOf(jobs);
      const { sum, models } = totals.end();
      expect(totals.kinds(Number.POSITIVE_INFINITY).length).toBeLessThan(300);
      const add = (of: (one: Job) => number) => jobs.reduce((all, one) => all + of(one), 0);
      expect(sum).toMatchObject({ lines: jobs.length, tokens: { input: add((one) => one.tokens.input) } });
      expect(sum.tokens.output).toBe(models.reduce((all, { tokens }) => all + tokens.output, 0));
      const max = add((one) => {
        const { prices } = context.settings.models[one.model]!.deployments[0]!.traits;
        return costNanoUsd(prices!, one.tokens, { tier: one.request.serviceTier })!;
      });
      // Each line is rounded to a billionth of a dollar.
      expect(Math.abs(sum.cost!.max - max)).toBeLessThanOrEqual(jobs.length / 2 + 1);
      expect(sum.cost!.min).toBeLessThan(sum.cost!.max);
    }),
    { numRuns: 30 },
  );
});

test("a file is read only while its caller waits, two at a time", async () => {
  const { id } = await writeFile(
    context,
    { id: newFileId(), environment: "UAT" },
    (async function* () {
      yield Buffer.from(lineOf("one", "x", { model: "a" }));
    })(),
    () => ({ tenant: "default", filename: "f", purpose: "batch" }),
  );
  const large = "x ".repeat(2_000);
  let reading = 0;
  let most = 0;
  let n = 0;
  const endless = vi.spyOn(context.store.blobs, "read").mockImplementation(async () => {
    most = Math.max(most, ++reading);
    return (async function* () {
      try {
        for (;;) yield Buffer.from(`${lineOf(`line ${n++}`, large, { model: "a" })}\n`);
      } finally {
        reading--;
      }
    })();
  });
  const dryRun = createBatchDryRun(context, lineFormats(context.settings));
  const input = { inputFileId: id, endpoint, completionWindow: "24h" };
  const start = () => {
    const gone = new AbortController();
    const ended = dryRun(input, keylessCaller, gone.signal).catch((error: unknown) => error);
    return { leave: () => gone.abort("gone"), ended };
  };
  const [a, b, c, d] = [start(), start(), start(), start()];
  const kept = () => {
    collectGarbage();
    return process.memoryUsage().heapUsed;
  };
  await vi.waitFor(() => expect(n).toBeGreaterThan(100), { timeout: 15_000 });
  const before = kept();
  const from = n;
  await vi.waitFor(() => expect(n).toBeGreaterThan(from + 5_000), { timeout: 30_000 });
  // Of twenty megabytes that were read meanwhile.
  expect(kept() - before).toBeLessThan(4_000_000);
  // One that waits for its turn leaves, and then the first that has it.
  c.leave();
  expect(await c.ended).toBe("gone");
  a.leave();
  expect(await a.ended).toBe("gone");
  await vi.waitFor(() => expect(reading).toBe(2), { timeout: 15_000 });
  for (const one of [b, d]) {
    one.leave();
    expect(await one.ended).toBe("gone");
  }
  expect([reading, most]).toEqual([0, 2]);
  endless.mockRestore();
  const { estimate } = await dryRun(input, keylessCaller, new AbortController().signal);
  expect(estimate).toMatchObject({ lines: 1, tokens: { output: expect.any(Number) } });
});
