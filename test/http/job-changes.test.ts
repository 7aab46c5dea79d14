// PATCH and DELETE of a job.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { queueEntryOf } from "../../src/jobs/queue-entry.ts";
import { type ServerUnderTest, startServerUnderTest } from "./server-under-test.ts";

let server: ServerUnderTest;
beforeAll(async () => {
  server = await startServerUnderTest({});
});
afterAll(() => server.close());

async function send(method: "PATCH" | "DELETE", id: string, payload?: object, key?: string) {
  const headers = key === undefined ? {} : { authorization: `Bearer ${key}` };
  const url = `/v1/jobs/${id}`;
  const answer = await server.app.inject({ method, url, headers, ...(payload && { payload }) });
  return { status: answer.statusCode, body: answer.json() };
}
const unknown = "00000000-0000-7000-8000-000000000000";
const failed = { status: "failed", error: { code: "internal", message: "x" } } as const;

describe("PATCH", () => {
  test("a waiting job goes first, or later; it is on record, so a queue that is rebuilt knows it", async () => {
    const { context } = server;
    const [first, second] = [await server.enqueue(), await server.enqueue()];
    const { status, body } = await send("PATCH", second, { priority: "interactive" });
    expect({ status, body }).toMatchObject({ status: 200, body: { job_id: second, priority: "interactive" } });
    const later = new Date(Date.now() + 3_600_000).toISOString();
    const delayed = await send("PATCH", first, { not_before: later });
    expect(delayed.body).toMatchObject({ not_before: later, waiting_on: { kind: "delay" }, priority: "standard" });

    const ticket = (await context.scheduler.beginRebuild())!;
    const { items } = await context.store.unfinished({ limit: 100 });
    await context.scheduler.restore(ticket, { entries: items.map(({ job }) => queueEntryOf(job, Date.now())) });
    await context.scheduler.finishRebuild(ticket);
    const { body: stats } = await server.get("/v1/stats");
    expect(Math.abs(Date.parse(stats.next_ready_at) - Date.parse(later))).toBeLessThan(5_000);
    expect(stats.queue).toMatchObject([
      { environment: "UAT", priority: "interactive", ready: 1, delayed: 0 },
      { environment: "UAT", priority: "standard", ready: 0, delayed: 1, oldest_at: null, waiting_on: null },
    ]);
    const at = await send("PATCH", first, { not_before: null, priority: "batch" });
    expect(at.body).toMatchObject({ not_before: null, priority: "batch" });
    const { grants } = await context.scheduler.acquire({ operation: "a", worker: "w", max: 10 });
    expect(grants.map(({ jobId }) => jobId).sort()).toEqual([first, second].sort());
    expect((await send("PATCH", first, { priority: "standard" })).body.error.code).toBe("conflict");
    expect((await server.get(`/v1/jobs/${first}`)).body.priority).toBe("batch");
    for (const id of [first, second]) await context.end(id, failed);
  });

  test("the earliest start may be given in seconds, as when it is submitted", async () => {
    const id = await server.enqueue();
    const before = Date.now();
    const { status, body } = await send("PATCH", id, { not_before: 600.5 });
    expect({ status, body }).toMatchObject({ status: 200, body: { waiting_on: { kind: "delay" } } });
    const inMs = Date.parse(body.not_before) - before;
    expect(inMs).toBeGreaterThanOrEqual(600_500);
    expect(inMs).toBeLessThan(630_500);
    expect((await send("PATCH", id, { not_before: 0 })).body.waiting_on?.kind).not.toBe("delay");
    await server.context.end(id, failed);
  });

  test("what the earliest start may be is said", async () => {
    const id = await server.enqueue();
    expect((await send("PATCH", id, { not_before: true })).body.error.message).toMatch(
      /^not_before must be a time such as "2030-01-31T12:00:00Z" or a number between 0 and \d+ or null; got true\.$/,
    );
    await server.context.end(id, failed);
  });

  test.each([
    ["nothing", {}, "priority"],
    ["an unknown priority", { priority: "high" }, "priority"],
    ["priority null", { priority: null }, "priority"],
    ["no time", { not_before: "tomorrow" }, "not_before"],
    ["seconds before now", { not_before: -1 }, "not_before"],
    ["a time too far away", { not_before: "2999-01-01T00:00:00Z" }, "not_before"],
    ["a time after the deadline", { not_before: new Date(Date.now() + 7_200_000).toISOString() }, "not_before"],
    ["another field", { model: "nova-lite" }, "model"],
  ])("bad input: %s", async (_what, body, field) => {
    const id = await server.enqueue({ expires_in: 3600 });
    const { status, body: answer } = await send("PATCH", id, body);
    expect({ status, field: answer.error.field }).toEqual({ status: 400, field });
  });

  test("not one that has ended, or that is not there", async () => {
    const id = await server.enqueue();
    await server.context.end(id, failed);
    expect((await send("PATCH", id, { priority: "batch" })).body.error.code).toBe("conflict");
    expect((await send("PATCH", unknown, { priority: "batch" })).body.error.code).toBe("job_not_found");
    expect((await send("PATCH", "abc", { priority: "batch" })).body.error.field).toBe("job_id");
  });
});

describe("DELETE", () => {
  test("an ended job is gone for good; what it used is not", async () => {
    const id = await server.enqueue();
    await server.context.begin(id);
    expect((await send("DELETE", id)).body.error).toMatchObject({ code: "conflict", job_id: id });
    const usage = { input: 11, output: 22 };
    await server.context.end(id, { status: "completed", text: "x", usage }, { result: "completed", usage });
    const used = async () => (await server.get("/v1/usage?group_by=")).body.total;
    const before = await used();
    expect(await send("DELETE", id)).toEqual({ status: 200, body: { job_id: id, deleted: true } });
    for (const url of [`/v1/jobs/${id}`, `/status/${id}`]) expect((await server.get(url)).status).toBe(404);
    expect((await send("DELETE", id)).status).toBe(404);
    expect(await used()).toEqual(before);
    expect(before.input_tokens).toBeGreaterThanOrEqual(11);
  });

  test("not while a call of it may still run", async () => {
    const id = await server.enqueue();
    const { n } = await server.context.begin(id);
    await server.post(`/v1/jobs/${id}/cancel`);
    expect((await send("DELETE", id)).body.error).toMatchObject({
      code: "conflict",
      message: "The job cannot be deleted: one of its calls may still be running; try again later.",
    });
    await server.context.store.endAttempt("UAT", id, n, { result: "aborted", at: Date.now() });
    expect((await send("DELETE", id)).status).toBe(200);
  });

  test("not one that is not there", async () => {
    expect((await send("DELETE", unknown)).body.error.code).toBe("job_not_found");
    expect((await send("DELETE", "abc")).body.error.field).toBe("job_id");
  });
});

test("another tenant's jobs are not there; a priority above the key's is refused", async () => {
  const { key: admin } = (await server.post("/v1/keys", { name: "admin", admin: true })).body;
  const of = async (fields: object) => (await server.as(admin).post("/v1/keys", { name: "k", ...fields })).body.key;
  const [own, other] = [await of({ tenant: "a", priority_max: "standard" }), await of({ tenant: "b" })];
  const id = (await server.as(own).post("/enqueue", { prompt: "Why?", environment: "UAT" })).body.job_id;
  expect((await send("PATCH", id, { priority: "batch" }, other)).status).toBe(404);
  expect((await send("PATCH", id, { priority: "interactive" }, own)).body.error.code).toBe("forbidden");
  expect((await send("PATCH", id, { priority: "batch" }, own)).status).toBe(200);
  await server.context.end(id, failed);
  expect((await send("DELETE", id, undefined, other)).status).toBe(404);
  expect((await send("DELETE", id, undefined, own)).status).toBe(200);
  expect((await send("DELETE", id)).status).toBe(401);
});
