// GET /status/{job_id} in every state of a job.
import { expect } from "vitest";
import { test } from "../support/fixtures.ts";
import type { ServerUnderTest } from "./server-under-test.ts";

const deployment = "bedrock/us-east-1/us.meta.llama3-3-70b-instruct-v1:0";
const isoTime = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);

let server: ServerUnderTest;
test.beforeEach(async ({ startServer }) => {
  server = await startServer();
});

async function statusOf(jobId: string) {
  const { status, body } = await server.get(`/status/${jobId}`);
  expect(status).toBe(200);
  return body;
}

/** Takes the job out of the queue, as acquire does for a worker. */
async function grantNext() {
  const { grants } = await server.context.scheduler.acquire({ operation: crypto.randomUUID(), worker: "test", max: 1 });
  return grants[0]!;
}

const queued = {
  status: "queued",
  environment: "UAT",
  tenant: "default",
  model: "llama3-3-70b",
  priority: "standard",
  error: null,
  created_at: isoTime,
  finished_at: null,
  not_before: null,
  expires_at: null,
  retry_of: null,
  metadata: null,
  text: null,
  tool_calls: null,
  reasoning: null,
  native: null,
  embeddings: null,
  finish_reason: null,
  usage: null,
  cost_usd: null,
  cost_usd_estimated: null,
  deployment: null,
  answered_by: null,
  synthetic: false,
  erased: false,
  max_tokens: 512,
  temperature: null,
  top_p: null,
  service_tier: null,
  position: 1,
  waiting_on: {
    message: "It may start at any moment.",
    kind: "turn",
    deployment: null,
    quota: null,
    reason: null,
  },
  eta: isoTime,
  expected_finish: null,
  attempts: [],
};

test("queued: every field is there, and it says what it waits for", async () => {
  const jobId = await server.enqueue();
  expect(await statusOf(jobId)).toEqual({ job_id: jobId, ...queued });
});

test("an id in upper case is the same id", async () => {
  const jobId = await server.enqueue();
  expect((await statusOf(jobId.toUpperCase())).job_id).toBe(jobId);
});

test("waiting for a quota: names it, with a position and a time", async () => {
  for (let i = 0; i < 3; i++) await server.enqueue();
  for (let i = 0; i < 3; i++) await grantNext();
  const jobId = await server.enqueue();
  const { position, waiting_on, eta } = await statusOf(jobId);
  expect(position).toBe(1);
  expect(waiting_on).toMatchObject({ kind: "quota", deployment });
  expect(waiting_on.message).toBe(`It waits for free capacity in the quota ${waiting_on.quota} of ${deployment}.`);
  expect(Date.parse(eta)).toBeGreaterThan(Date.now());
});

test("waiting for its time", async () => {
  const { body } = await server.post("/v1/jobs", { prompt: "x", environment: "UAT", not_before: 60 });
  expect(body.waiting_on).toMatchObject({ kind: "delay" });
  expect(Date.parse(body.not_before)).toBeGreaterThan(Date.now() + 50_000);
});

test("stored, but the queue does not know it yet", async () => {
  const jobId = await server.enqueue();
  await server.context.scheduler.remove([jobId]);
  expect(await statusOf(jobId)).toMatchObject({
    status: "queued",
    position: null,
    eta: null,
    waiting_on: { kind: "not_queued_yet" },
  });
});

test("granted, but the call has not begun", async () => {
  const jobId = await server.enqueue();
  await grantNext();
  expect(await statusOf(jobId)).toMatchObject({
    status: "queued",
    position: null,
    waiting_on: { kind: "starting", deployment },
  });
});

test("in progress", async () => {
  const jobId = await server.enqueue();
  await grantNext();
  await server.context.begin(jobId);
  expect(await statusOf(jobId)).toMatchObject({
    status: "in_progress",
    position: null,
    waiting_on: null,
    eta: null,
    attempts: [
      {
        number: 1,
        deployment,
        model: "llama3-3-70b",
        started_at: isoTime,
        result: "in_progress",
        error: null,
        usage: null,
        duration_ms: null,
        first_token_ms: null,
        tokens_per_second: null,
        service_tier: null,
        cost_usd: null,
      },
    ],
  });
});

test("its worker was lost: it waits again, and the attempt is unknown", async () => {
  const jobId = await server.enqueue();
  const { grant } = await grantNext();
  await server.context.begin(jobId);
  const settlement = { jobId, grant, job: { requeueAfterMs: 0 }, charge: "keep", signal: { kind: "none" } } as const;
  await server.context.scheduler.settle([settlement]);
  expect(await statusOf(jobId)).toMatchObject({ status: "queued", position: 1, attempts: [{ result: "unknown" }] });
});

test("a second attempt makes the first one unknown", async () => {
  const jobId = await server.enqueue();
  await grantNext();
  await server.context.begin(jobId);
  await server.context.begin(jobId);
  expect(await statusOf(jobId)).toMatchObject({ attempts: [{ result: "unknown" }, { result: "in_progress" }] });
});

test("completed", async () => {
  const jobId = await server.enqueue({ metadata: { ticket: "A-1" }, temperature: 0.5, expires_in: 60 });
  await server.context.begin(jobId);
  await server.context.end(
    jobId,
    {
      status: "completed",
      text: "Because.",
      finishReason: "length",
      usage: { input: 10, output: 3, cacheRead: 2 },
      deployment,
      model: "llama3-3-70b",
      attempt: 1,
    },
    {
      result: "completed",
      usage: { input: 10, output: 3 },
      durationMs: 120,
      serviceTier: "priority",
      costNanoUsd: 12_300,
      firstTokenMs: 40,
    },
  );
  expect(await statusOf(jobId)).toEqual({
    job_id: jobId,
    ...queued,
    status: "completed",
    finished_at: isoTime,
    expires_at: isoTime,
    metadata: { ticket: "A-1" },
    temperature: 0.5,
    text: "Because.",
    finish_reason: "length",
    cost_usd: 0.0000123,
    cost_usd_estimated: 0,
    usage: {
      input_tokens: 10,
      output_tokens: 3,
      cache_read_tokens: 2,
      cache_write_tokens: null,
      reasoning_tokens: null,
    },
    deployment,
    answered_by: "llama3-3-70b",
    position: null,
    waiting_on: null,
    eta: null,
    attempts: [
      {
        number: 1,
        deployment,
        model: "llama3-3-70b",
        started_at: isoTime,
        result: "completed",
        error: null,
        tokens_reserved: { input: expect.any(Number), output: 512 },
        usage: {
          input_tokens: 10,
          output_tokens: 3,
          cache_read_tokens: null,
          cache_write_tokens: null,
          reasoning_tokens: null,
        },
        usage_estimated: false,
        waited_ms: expect.any(Number),
        waited: expect.any(Array),
        duration_ms: 120,
        first_token_ms: 40,
        tokens_per_second: 25,
        service_tier: "priority",
        cost_usd: 0.0000123,
      },
    ],
  });
});

test("an answer of the simulator says that it is synthetic", async () => {
  const jobId = await server.enqueue();
  await server.context.begin(jobId);
  const simulator = "simulator/us-east-1/us.meta.llama3-3-70b-instruct-v1:0";
  await server.context.end(jobId, { status: "completed", text: "Lorem.", deployment: simulator });
  expect(await statusOf(jobId)).toMatchObject({ deployment: simulator, synthetic: true });
});

test("failed is not completed", async () => {
  const jobId = await server.enqueue();
  await server.context.begin(jobId);
  const error = { code: "provider_rejected", message: "The model said no." };
  await server.context.end(jobId, { status: "failed", error }, { result: "permanent", error });
  expect(await statusOf(jobId)).toMatchObject({
    status: "failed",
    text: null,
    error,
    finished_at: isoTime,
    attempts: [{ result: "permanent", error }],
  });
});

test("answers of any text come back as they are", async () => {
  const text = `"quotes"\n\u0000 \u2028 漢字 😀 </script> ${"x".repeat(100_000)}`;
  const jobId = await server.enqueue();
  await server.context.end(jobId, {
    status: "completed",
    text,
    toolCalls: [{ id: "1", name: "f", arguments: '{"a": [1, null]}' }],
  });
  const body = await statusOf(jobId);
  expect(body.text).toBe(text);
  expect(body.tool_calls).toEqual([{ id: "1", name: "f", arguments: '{"a": [1, null]}' }]);
});

test("a scheduler that cannot be asked does not keep the record from being read", async () => {
  const jobId = await server.enqueue();
  server.context.scheduler.explain = () => Promise.reject(new Error("away"));
  expect(await statusOf(jobId)).toMatchObject({ status: "queued", position: null, waiting_on: null, eta: null });
});
