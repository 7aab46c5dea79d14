// What was learned about quotas and deployments, seen and put back by an operator.
import { afterEach, beforeEach, expect, test } from "vitest";
import { type ServerUnderTest, startServerUnderTest } from "./server-under-test.ts";

let server: ServerUnderTest;
beforeEach(async () => {
  server = await startServerUnderTest({});
});
afterEach(() => server.close());

async function refuse(signal: object): Promise<void> {
  const { scheduler } = server.context;
  await server.enqueue();
  const { grants } = await scheduler.acquire({ operation: crypto.randomUUID(), worker: "w", max: 1 });
  const [{ jobId, grant }] = grants as [(typeof grants)[0]];
  await scheduler.settle([{ jobId, grant, job: "ended", charge: "keep", signal: signal as never }]);
}

const first = async () => (await server.get("/v1/deployments")).body;

test("a learned limit is shown with its burst and times, and forgotten on request", async () => {
  await refuse({ kind: "throttled", throttle: "requests" });
  const [before] = (await first()).quotas;
  expect(before).toMatchObject({ configured_limit: 3, configured_burst: 3, probing: false });
  expect(before.effective_limit).toBeLessThan(3);
  expect(Date.parse(before.closed_until)).toBeGreaterThan(Date.parse(before.throttled_at));

  const { status, body } = await server.post(`/v1/quotas/${encodeURIComponent(before.name)}/reset`);
  expect(status).toBe(200);
  expect(body).toMatchObject({ effective_limit: 3, effective_burst: 3, throttled_at: null, closed_until: null });
  expect((await first()).quotas[0]).toEqual({ ...body, next_free_at: expect.any(String) });
});

test("a deployment that is out of service is reinstated", async () => {
  await refuse({ kind: "misconfigured", reason: "no access" });
  const [{ id, state, reason }] = (await first()).deployments;
  expect({ state, reason }).toEqual({ state: "out_of_service", reason: "no access" });
  const { status, body } = await server.post(`/v1/deployments/${encodeURIComponent(id)}/reinstate`);
  expect({ status, body }).toEqual({ status: 200, body: { id, state: "in_service" } });
  expect((await first()).deployments[0].state).toBe("in_service");
});

test.each(["/v1/quotas/nope/reset", "/v1/deployments/nope/reinstate"])(
  "%s: unknown names are not found",
  async (url) => {
    const { status, body } = await server.post(url);
    expect(status).toBe(404);
    expect(body.error).toMatchObject({ code: "not_found", message: expect.stringContaining('"nope"') });
  },
);

test("only an admin key may", async () => {
  const { key: admin } = (await server.post("/v1/keys", { name: "admin", admin: true })).body;
  const { key } = (await server.as(admin).post("/v1/keys", { name: "other", tenant: "t" })).body;
  for (const url of ["/v1/quotas/nope/reset", "/v1/deployments/nope/reinstate"]) {
    const { status, body } = await server.as(key).post(url);
    expect({ status, code: body.error.code }).toEqual({ status: 403, code: "forbidden" });
  }
});

test("a job that waits because of a pause says what is paused", async () => {
  const jobId = await server.enqueue();
  const { deployments } = await first();
  const [{ id: deployment }] = deployments;
  const says = async () => (await server.get(`/status/${jobId}`)).body.waiting_on;
  await server.context.scheduler.pause({ tenant: "default", environment: "UAT" });
  expect(await says()).toEqual({
    kind: "paused",
    deployment: null,
    quota: null,
    reason: "the tenant default in UAT",
    message: "It waits until the tenant default in UAT is resumed: an operator has paused it.",
  });
  await server.context.scheduler.resume({ tenant: "default", environment: "UAT" });
  await server.context.scheduler.pause({ deployment });
  expect(await says()).toMatchObject({ kind: "paused", deployment, reason: `the deployment ${deployment}` });
});
