// What /readyz says while submits are refused, or jobs are accepted that nothing serves.
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { DeploymentSignal } from "../../src/scheduler/scheduler.ts";
import { openTestStore, type TestStore } from "../support/jobs-context.ts";
import { type ServerUnderTest, startServerUnderTest } from "./server-under-test.ts";

let shared: TestStore;
let server: ServerUnderTest;
beforeAll(async () => {
  shared = await openTestStore();
  server = await startServerUnderTest({}, shared);
  server.context.settings.dataDir = import.meta.dirname;
});
afterAll(async () => {
  await server.close();
  await shared.close();
});

const ready = () => server.get("/readyz");
const submit = async () => (await server.post("/enqueue", { prompt: "Hello?", environment: "UAT" })).status;
const llama = "bedrock/us-east-1/us.meta.llama3-3-70b-instruct-v1:0";

/** Has a call of the model end with this. */
async function signal(signal: DeploymentSignal): Promise<void> {
  const { scheduler } = server.context;
  const jobId = await server.enqueue();
  const { grants } = await scheduler.acquire({
    operation: crypto.randomUUID(),
    worker: "w",
    max: 1,
    deployments: [llama],
  });
  await scheduler.settle(grants.map((g) => ({ jobId: g.jobId, grant: g.grant, job: "ended", charge: "void", signal })));
  await scheduler.remove([jobId]);
}

test.each([
  ["minFreeDiskBytes", Number.MAX_SAFE_INTEGER, 507, /^Not ready: The disk of the data folder has \d+ bytes free/],
  ["maxQueuedJobs", 0, 429, /^Not ready: The service accepts at most 0 waiting jobs/],
] as const)("F1: not ready while every submit is refused by limits.%s", async (name, value, status, message) => {
  const { limits } = server.context.settings;
  const before = limits[name];
  expect((await ready()).status).toBe(200);
  limits[name] = value;
  expect(await submit()).toBe(status);
  const answer = await ready();
  expect(answer.status).toBe(503);
  expect(answer.body.error.message).toMatch(message);
  limits[name] = before;
  expect(await submit()).toBe(200);
  expect((await ready()).status).toBe(200);
});

test("F1: not ready while the store does not answer", async () => {
  const { store } = server.context;
  const ping = store.ping;
  store.ping = () => new Promise(() => {});
  vi.useFakeTimers({ toFake: ["setTimeout"] });
  const answer = ready();
  await vi.advanceTimersByTimeAsync(2_000);
  vi.useRealTimers();
  expect(await answer).toMatchObject({ status: 503 });
  store.ping = ping;
});

test.each<[string, DeploymentSignal]>([
  ["cools down: The model is overloaded.", { kind: "capacity", reason: "The model is overloaded." }],
  [
    "is out of service: The credit balance is too low.",
    { kind: "misconfigured", reason: "The credit balance is too low." },
  ],
])("F1: degraded while the only deployment of a model %s", async (what, seen) => {
  expect((await ready()).body).toEqual({ status: "ok", reasons: [] });
  await signal(seen);
  expect(await ready()).toMatchObject({
    status: 200,
    body: { status: "degraded", reasons: [`no deployment of llama3-3-70b serves now (${llama} ${what})`] },
  });
  await server.context.scheduler.reinstate(llama);
  expect((await ready()).body).toEqual({ status: "ok", reasons: [] });
});
