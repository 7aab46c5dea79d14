// What the service says about itself: deployments, stats, probes, index.
import { expect } from "vitest";
import { SluiceError } from "../../src/domain/errors.ts";
import { test } from "../support/fixtures.ts";
import type { ServerUnderTest } from "./server-under-test.ts";

let server: ServerUnderTest;
test.beforeEach(async ({ startServer }) => {
  server = await startServer();
});

test("deployments, with models and quotas", async () => {
  const { status, body } = await server.get("/v1/deployments");
  expect(status).toBe(200);
  const id = "bedrock/us-east-1/us.meta.llama3-3-70b-instruct-v1:0";
  expect(body.models[0]).toEqual({
    name: "llama3-3-70b",
    default: true,
    max_output_tokens: 512,
    max_output_tokens_limit: 2048,
    context_tokens: 50_000,
    deployments: [id],
    tokens_seen: null,
  });
  expect(body.deployments[0]).toEqual({
    id,
    region: "us-east-1",
    account: null,
    model_id: "us.meta.llama3-3-70b-instruct-v1:0",
    state: "in_service",
    reason: null,
    until: null,
    paused: false,
    running: 0,
    max_concurrency: 50,
    quotas: body.quotas.slice(0, 2).map((q: { name: string }) => q.name),
    lifecycle: {
      status: expect.stringMatching(/^(legacy|end_of_life)$/),
      legacy_since: null,
      end_of_life: "2027-03-30",
      alternative: null,
    },
  });
  expect(body.deployments[1].lifecycle).toMatchObject({ status: "active", end_of_life: null });
  expect(body.quotas[0]).toMatchObject({
    unit: "requests",
    per: "minute",
    configured_limit: 3,
    effective_limit: 3,
    used: 0,
    reserved: 0,
    settled: 0,
    next_free_at: null,
  });
});

test("stats count by environment and state", async () => {
  const { jobs: before } = (await server.get("/v1/stats")).body;
  await server.enqueue();
  await server.enqueue({ environment: "PROD", priority: "batch" });
  const failed = await server.enqueue();
  await server.context.end(failed, { status: "failed", error: { code: "internal", message: "x" } });
  const { body } = await server.get("/v1/stats");
  expect(Object.keys(before.UAT)).toEqual(["queued", "in_progress", "completed", "failed", "cancelled", "expired"]);
  expect(body.jobs).toEqual({
    UAT: { ...before.UAT, queued: before.UAT.queued + 1, failed: before.UAT.failed + 1 },
    PROD: { ...before.PROD, queued: before.PROD.queued + 1 },
  });
  expect(body.queue).toContainEqual({
    environment: "PROD",
    priority: "batch",
    model: "llama3-3-70b",
    ready: 1,
    delayed: 0,
    oldest_at: expect.stringMatching(/^20/),
    waiting_on: expect.objectContaining({ kind: "turn" }),
    starts_at: expect.stringMatching(/^20/),
  });
  expect(body.models).toEqual([{ model: "llama3-3-70b", empty_at: expect.stringMatching(/^20/) }]);
  expect(body).toMatchObject({ next_ready_at: null, running: 0, scheduler: { open: true } });
});

test("ready, and not ready with the reasons", async () => {
  expect(await server.get("/readyz")).toMatchObject({ status: 200, body: { status: "ok", reasons: [] } });
  await server.context.scheduler.beginRebuild();
  expect(await server.get("/readyz")).toMatchObject({
    status: 200,
    body: { status: "degraded", reasons: ["the queue is being rebuilt"] },
  });
  server.context.store.ping = () => Promise.reject(new Error("secret path"));
  const { status, body, headers, text } = await server.get("/readyz");
  expect(status).toBe(503);
  expect(body.error).toMatchObject({
    code: "unavailable",
    message: "Not ready: the store cannot be written to.",
  });
  expect(headers["retry-after"]).toBe("5");
  expect(text).not.toContain("secret");
  expect(await server.get("/healthz")).toMatchObject({ status: 200, body: { status: "ok" } });
});

test("what the store refuses comes through, with when to come back", async () => {
  server.context.store.insertMany = () =>
    Promise.reject(new SluiceError("unavailable", "The database is unreachable.", { retryAfterS: 2.5 }));
  const { status, body, headers } = await server.post("/enqueue", { prompt: "x", environment: "UAT" });
  expect(status).toBe(503);
  expect(headers["retry-after"]).toBe("3");
  expect(body).toMatchObject({
    success: false,
    error: { code: "unavailable", message: "The database is unreachable." },
  });
});

test("a write whose fate is unknown names the job", async () => {
  server.context.store.insertMany = () => Promise.reject(new SluiceError("fate_unknown", "The reply was lost."));
  const { status, body } = await server.post("/enqueue", { prompt: "x", environment: "UAT" });
  expect(status).toBe(503);
  expect(body.error).toMatchObject({ code: "fate_unknown", job_id: expect.stringMatching(/^[0-9a-f-]{36}$/) });
});

test("a full disk is a 507", async () => {
  server.context.store.insertMany = () => Promise.reject(new SluiceError("storage_full", "The disk is full."));
  expect((await server.post("/enqueue", { prompt: "x", environment: "UAT" })).status).toBe(507);
});

test("a bug is a 500 that gives nothing away, and is in the log under the request's id", async () => {
  server.context.store.insertMany = () => Promise.reject(new TypeError("undefined is not a secret"));
  const { status, body, text } = await server.post("/enqueue", { prompt: "my prompt", environment: "UAT" });
  expect(status).toBe(500);
  expect(body.error.code).toBe("internal");
  expect(text).not.toMatch(/secret|at /);
  const line = server.context.logged.find((l) => l.includes(body.error.request_id));
  expect(line).toContain("undefined is not a secret");
  expect(server.context.logged.join("")).not.toContain("my prompt");
});

test("a job that could not be queued is accepted all the same", async () => {
  server.context.scheduler.enqueue = () => Promise.reject(new Error("away"));
  const jobId = await server.enqueue();
  expect((await server.context.store.get(jobId))?.state).toBe("queued");
  expect(server.context.logged.join("")).toContain("the reconciler adds them");
});

test("the index points to everything", async () => {
  const { status, headers, text } = await server.get("/");
  expect(status).toBe(200);
  expect(headers["content-type"]).toBe("text/html; charset=utf-8");
  for (const [, path] of text.matchAll(/href="([^"]+)"/g)) expect((await server.get(path!)).status).toBe(200);
});
