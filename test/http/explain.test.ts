// What a job says about itself while it waits and runs, and what a dry run says before there is one.
import { describe, expect } from "vitest";
import { test } from "../support/fixtures.ts";
import type { ServerUnderTest } from "./server-under-test.ts";

let days = 0;
/** Time stands still unless a test moves it. */
class TestClock {
  ms = Date.UTC(2030, 0, ++days);
  now = () => this.ms;
  wall = () => this.ms;
}

const model = "llama3-3-70b";
const deployment = "bedrock/us-east-1/us.meta.llama3-3-70b-instruct-v1:0";
const file = (quota: object) => ({
  models: {
    [model]: {
      maxOutputTokens: 500,
      deployments: [{ region: "us-east-1", modelId: "us.meta.llama3-3-70b-instruct-v1:0", quotas: [quota] as never }],
    },
  },
});

let clock: TestClock;
let server: ServerUnderTest;
let start: (quota: object) => Promise<void>;
test.beforeEach(({ startServer }) => {
  clock = new TestClock();
  start = async (quota) => {
    server = await startServer(file(quota), { clock });
  };
});

const perMinute = { unit: "requests", per: "minute", limit: 60, burst: 6 };
const slotMs = 6000;
const status = async (id: string) => (await server.get(`/status/${id}`)).body;
const at = (time: string) => Date.parse(time) - clock.ms;

test("a steady backlog starts when it was foretold: within 15 % of the wait, or one quota slot", async () => {
  await start(perMinute);
  const ids: string[] = [];
  for (let i = 0; i < 60; i++) ids.push(await server.enqueue());
  const asked = [3, 10, 20, 35, 50];
  const foretold = new Map<string, number>();
  for (const i of asked) {
    const { eta, position } = await status(ids[i]!);
    foretold.set(ids[i]!, at(eta));
    expect(Math.abs(position - (i + 1))).toBeLessThanOrEqual(1);
  }
  expect(await status(ids[50]!)).toMatchObject({ waiting_on: { kind: "fairness" }, expected_finish: null });

  const begun = clock.ms;
  const started = new Map<string, number>();
  while (started.size < 51 && clock.ms < begun + 300_000) {
    const { grants } = await server.context.scheduler.acquire({ operation: String(clock.ms), worker: "w", max: 10 });
    for (const { jobId, grant, reserved } of grants) {
      started.set(jobId, clock.ms - begun);
      const settled = { jobId, grant, job: "ended", charge: reserved, signal: { kind: "ok" } } as const;
      await server.context.scheduler.settle([settled]);
    }
    clock.ms += 200;
  }
  for (const i of asked) {
    const [said, was] = [foretold.get(ids[i]!)!, started.get(ids[i]!)!];
    expect(Math.abs(said - was), `job ${i}: ${said}, ${was}`).toBeLessThanOrEqual(Math.max(slotMs, 0.15 * was) + 200);
  }
});

test("the end is foretold by how long calls took, for jobs that wait and that run", async () => {
  await start(perMinute);
  const [before, running, waiting] = [await server.enqueue(), await server.enqueue(), await server.enqueue()];
  expect((await status(waiting)).expected_finish).toBeNull();
  await server.context.begin(before);
  await server.context.end(before, { status: "completed", text: "x" }, { result: "completed", durationMs: 4000 });
  await server.context.durations.refresh();
  const { eta, expected_finish } = await status(waiting);
  expect(at(expected_finish) - at(eta)).toBe(4000);

  await server.context.scheduler.acquire({ operation: "a", worker: "w", max: 1 });
  await server.context.begin(running);
  expect(await status(running)).toMatchObject({ status: "in_progress", eta: null });
  expect(at((await status(running)).expected_finish)).toBe(4000);
  clock.ms += 10_000;
  expect(at((await status(running)).expected_finish)).toBe(0);
  expect((await status(before)).expected_finish).toBeNull();
});

describe("a dry run", () => {
  const body = { prompt: "Why is the sky blue?", environment: "UAT", max_tokens: 100 };
  const jobs = () => server.context.countJobs();

  test("says tokens, cost, the quota that binds and when it would start; and writes nothing", async () => {
    await start({ unit: "tokens", per: "minute", limit: 2000 });
    server.context.settings.models[model]!.deployments[0]!.traits.prices = { input: 1, output: 2, tiers: {} };
    const before = await jobs();
    for (const [url, field] of [
      ["/v1/jobs?dry_run=true", {}],
      ["/enqueue?dry_run=true", {}],
      ["/v1/jobs", { dry_run: true }],
      ["/enqueue?dry_run=false", { dry_run: true }],
    ] as const) {
      const { status, body: answer, headers } = await server.post(url, { ...body, ...field });
      expect(status).toBe(200);
      expect(headers["content-type"]).toMatch(/^application\/json/);
      const { input, input_reserved } = answer.tokens;
      expect(input).toBeGreaterThan(3);
      expect(input_reserved).toBeGreaterThanOrEqual(input);
      expect(answer).toEqual({
        dry_run: true,
        environment: "UAT",
        tenant: "default",
        model,
        priority: "standard",
        tokens: { input, input_reserved, max_output: 100 },
        cost_usd: { min: input / 1e6, max: (input_reserved + 200) / 1e6 },
        quota: {
          name: expect.any(String),
          deployment,
          unit: "tokens",
          per: "minute",
          limit: 2000,
          takes: input_reserved + 100,
        },
        position: 1,
        waiting_on: { kind: "turn", message: expect.any(String), deployment: null, quota: null, reason: null },
        expected_start: new Date(clock.ms).toISOString(),
        expected_finish: null,
      });
    }
    expect(await jobs()).toBe(before);
    expect((await server.get("/v1/stats")).body.queue).toEqual([]);
  });

  test("what is counted is never more than what is reserved, however the model counts", async () => {
    await start(perMinute);
    // The bound of one pass is too low for these; and a model that makes less of a text than we do.
    const prompts = [body.prompt, "\u4e01\u4e02\u4e03\u4e04".repeat(50), "\uac02\uac05".repeat(80)];
    for (const factor of [1, 0.5, 3]) {
      server.context.settings.models[model]!.tokenFactor = factor;
      for (const prompt of prompts) {
        const { tokens, quota, cost_usd } = (await server.post("/v1/jobs", { ...body, prompt, dry_run: true })).body;
        expect(tokens.input_reserved).toBeGreaterThanOrEqual(tokens.input);
        expect(tokens.input).toBeGreaterThan(0);
        expect(quota.unit === "requests" || quota.takes >= tokens.input).toBe(true);
        expect(cost_usd === null || cost_usd.max >= cost_usd.min).toBe(true);
      }
    }
  });

  test("knows what waits before it, and its own delay", async () => {
    await start({ unit: "requests", per: "minute", limit: 2 });
    for (let i = 0; i < 4; i++) await server.enqueue();
    const before = await jobs();
    const run = async (fields = {}) => (await server.post("/v1/jobs?dry_run=true", { ...body, ...fields })).body;
    const { expected_start, position } = await run();
    expect(at(expected_start)).toBeGreaterThan(60_000);
    expect(position).toBe(5);
    const later = new Date(clock.ms + 3_600_000).toISOString();
    expect(at((await run({ not_before: later })).expected_start)).toBe(3_600_000);
    expect(await jobs()).toBe(before);
  });

  test.each([
    [{ environment: "DEV" }, "unknown_environment"],
    [{ model: "gpt" }, "unknown_model"],
    [{ max_tokens: 0 }, "invalid_request"],
    [{ prompt: "word ".repeat(10_000) }, "exceeds_quota"],
  ])("refuses what a submit refuses: %o", async (fields, code) => {
    await start({ unit: "tokens", per: "minute", limit: 2000 });
    const answer = await server.post("/v1/jobs?dry_run=true", { ...body, ...fields });
    expect(answer.body.error.code).toBe(code);
  });

  test("dry_run must be true or false; false is an ordinary submit", async () => {
    await start(perMinute);
    const before = await jobs();
    for (const url of ["/v1/jobs", "/enqueue"]) {
      expect((await server.post(`${url}?dry_run=perhaps`, body)).body.error).toMatchObject({ field: "dry_run" });
      expect((await server.post(`${url}?dryrun=true`, body)).body.error).toMatchObject({ field: "dryrun" });
      expect((await server.post(url, { ...body, dry_run: "true" })).body.error).toMatchObject({ field: "dry_run" });
    }
    expect((await server.post("/v1/jobs?dry_run=false", body)).body.status).toBe("queued");
    expect(await jobs()).toBe(before + 1);
  });
});
