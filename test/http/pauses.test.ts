// Pausing and resuming, over HTTP: who may, what waits, and that it lasts.
import { expect } from "vitest";
import { followPauses } from "../../src/jobs/control/pauses.ts";
import { test } from "../support/fixtures.ts";
import type { ServerUnderTest } from "./server-under-test.ts";

/** Two servers on one store, each with a queue of its own: as two embedded ones, one after the other. */
let server: ServerUnderTest;
let next: ServerUnderTest;
test.beforeAll(async ({ shareServer }) => {
  server = await shareServer();
  next = await shareServer();
});

const model = "llama3-3-70b";
const deployment = "bedrock/us-east-1/us.meta.llama3-3-70b-instruct-v1:0";

async function take({ context }: ServerUnderTest) {
  const { grants } = await context.scheduler.acquire({ operation: crypto.randomUUID(), worker: "w", max: 10 });
  const given = { job: "ended", charge: "void", signal: { kind: "none" } } as const;
  await context.scheduler.settle(grants.map(({ jobId, grant }) => ({ jobId, grant, ...given })));
  return grants.map(({ jobId }) => jobId);
}

const none = { model: null, deployment: null, tenant: null, environment: null, reason: null, paused_by: null };

test.each([
  [{ model }, "the model"],
  [{ deployment }, "the deployment"],
  [{ tenant: "default" }, "the tenant default"],
  [{ tenant: "default", environment: "UAT" }, "the tenant default in UAT"],
])("%o: jobs are taken in and wait, say why, and start once it is resumed", async (what, reason) => {
  const { body: first, status } = await server.post("/v1/pause", what);
  expect({ status, body: first }).toEqual({ status: 200, body: { ...none, ...what, paused_at: expect.any(String) } });
  expect((await server.post("/v1/pause", what)).body).toEqual(first);
  expect((await server.get("/v1/pauses")).body).toEqual({ data: [first] });

  const jobId = await server.enqueue();
  expect(await take(server)).toEqual([]);
  const { waiting_on, eta } = (await server.get(`/status/${jobId}`)).body;
  expect({ waiting_on, eta }).toMatchObject({
    waiting_on: { kind: "paused", reason: expect.stringContaining(reason) },
    eta: null,
  });
  const [shown] = (await server.get("/v1/deployments")).body.deployments;
  expect(shown).toMatchObject({ state: "in_service", paused: !("tenant" in what) });

  // Another process takes it over from the record; and its end.
  await followPauses(next.context);
  const later = await next.enqueue();
  expect(await take(next)).toEqual([]);

  const ended = { status: 200, body: { ...none, ...what, paused_at: null } };
  expect(await server.post("/v1/resume", what)).toMatchObject(ended);
  expect(await server.post("/v1/resume", what)).toMatchObject(ended);
  expect((await server.get("/v1/pauses")).body).toEqual({ data: [] });
  expect(await take(server)).toEqual([jobId]);
  await followPauses(next.context);
  expect(await take(next)).toEqual([later]);
});

test.each([
  ["nothing", {}, 400, "model"],
  ["two things", { model, tenant: "x" }, 400, "model"],
  ["an environment without a tenant", { model, environment: "UAT" }, 400, "environment"],
  ["an unknown environment", { tenant: "x", environment: "DEV" }, 400, "environment"],
  ["an unknown model", { model: "gpt" }, 404, undefined],
  ["a model of the prototype", { model: "constructor" }, 404, undefined],
  ["an unknown deployment", { deployment: "bedrock/x" }, 404, undefined],
  ["an empty name", { tenant: "" }, 400, "tenant"],
  ["a long name", { tenant: "x".repeat(200) }, 400, "tenant"],
  ["a wrong type", { tenant: 5 }, 400, "tenant"],
  ["an unknown field", { region: "us-east-1" }, 400, "region"],
  ["no object", [], 400, undefined],
])("bad input: %s", async (_what, body, status, field) => {
  const answer = await server.post("/v1/pause", body);
  expect({ status: answer.status, field: answer.body.error.field }).toEqual({ status, field });
  expect((await server.get("/v1/pauses")).body.data).toEqual([]);
});

test("a tenant may hold up its own jobs, and sees no other tenant's pauses; the rest is an admin's", async () => {
  const { key: admin } = (await server.post("/v1/keys", { name: "admin", admin: true })).body;
  const of = async (fields: object) => (await server.as(admin).post("/v1/keys", { name: "k", ...fields })).body.key;
  const [own, narrow] = [await of({ tenant: "a" }), await of({ tenant: "a", environments: ["UAT"] })];
  const denied = async (key: string, what: object) => {
    for (const url of ["/v1/pause", "/v1/resume"]) expect((await server.as(key).post(url, what)).status).toBe(403);
  };
  for (const what of [{ model }, { deployment }, { tenant: "b" }]) await denied(own, what);
  await denied(narrow, { tenant: "a" });
  for (const url of ["/v1/pause", "/v1/resume"]) {
    expect((await server.as(narrow).post(url, { tenant: "a", environment: "UAT" })).status).toBe(200);
  }
  expect((await server.as(own).post("/v1/pause", { tenant: "a" })).status).toBe(200);
  expect((await server.as(admin).post("/v1/pause", { tenant: "b" })).status).toBe(200);
  expect((await server.as(admin).post("/v1/pause", { model })).status).toBe(200);

  // What an admin has paused beside it, only an admin resumes.
  const tenant = { tenant: "a" };
  const isPaused = async () =>
    (await server.context.scheduler.snapshot()).paused.some((p) => "tenant" in p && p.tenant === "a");
  expect((await server.as(admin).post("/v1/pause", tenant)).status).toBe(200);
  expect(await server.as(own).post("/v1/resume", tenant)).toMatchObject({ status: 403 });
  expect(await isPaused()).toBe(true);
  await followPauses(server.context);
  expect(await isPaused()).toBe(true);
  expect((await server.as(admin).post("/v1/resume", tenant)).status).toBe(200);
  expect(await isPaused()).toBe(false);
  expect((await server.as(own).post("/v1/pause", tenant)).status).toBe(200);
  const names = async (key: string) =>
    (await server.as(key).get("/v1/pauses")).body.data.map((p: typeof none) => p.model ?? p.tenant);
  expect((await names(admin)).sort()).toEqual(["a", "b", model]);
  expect((await names(own)).sort()).toEqual(["a", model]);
  expect((await server.get("/v1/pauses")).status).toBe(401);
});
