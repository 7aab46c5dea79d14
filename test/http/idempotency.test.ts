// Idempotency-Key: the same request twice is one job; another request under the same key is refused.
import { expect, vi } from "vitest";
import { sweepIdempotencyKeys } from "../../src/jobs/submit/idempotency.ts";
import { test } from "../support/fixtures.ts";
import { openTestMongo } from "../support/mongo-store.ts";
import { withoutMongo } from "../support/servers.ts";
import { type ServerUnderTest, startServerUnderTest } from "./server-under-test.ts";

const body = { prompt: "Why?", environment: "UAT", metadata: { a: "1", b: "2" } };
let keys = 0;
const headers = (key = `key ${++keys}`) => ({ "content-type": "application/json", "idempotency-key": key });

/** Two servers on one store, as two processes are. */
let servers: [ServerUnderTest, ServerUnderTest];
test.beforeAll(async ({ shareServer }) => {
  servers = [await shareServer(), await shareServer()];
});

test("the same request again is the same answer and no second job, from whichever process", async () => {
  const [first, second] = servers;
  const before = await first.context.countJobs();
  const key = headers();
  const answer = await first.post("/enqueue", body, key);
  expect(answer.status).toBe(200);
  for (const server of servers) {
    const again = await server.post("/enqueue", { ...body, metadata: { b: "2", a: "1" } }, key);
    expect(again).toMatchObject({ status: 200, body: answer.body });
  }
  expect(await first.context.countJobs()).toBe(before + 1);
  expect(await second.post("/enqueue", body, headers())).not.toMatchObject({ body: answer.body });
});

test("a job that has ended since is answered as it is now", async () => {
  const [server] = servers;
  const key = headers();
  const { body: job } = await server.post("/v1/jobs", body, key);
  await server.context.end(job.job_id, { status: "completed", text: "Because." });
  const again = await server.post("/v1/jobs", body, key);
  expect(again).toMatchObject({ status: 200, body: { job_id: job.job_id, status: "completed", text: "Because." } });
  expect(again.headers.location).toBe(`jobs/${job.job_id}`);
});

test.each([
  ["another prompt", "/enqueue", { ...body, prompt: "How?" }],
  ["another call with the same body", "/v1/jobs", body],
])("%s under the same key is 409", async (_what, url, other) => {
  const [server] = servers;
  const key = headers();
  await server.post("/enqueue", body, key);
  const before = await server.context.countJobs();
  const answer = await server.post(url, other, key);
  expect(answer.status).toBe(409);
  expect(answer.body.error).toMatchObject({ code: "idempotency_conflict", field: "Idempotency-Key" });
  expect(await server.context.countJobs()).toBe(before);
});

test("a refused request binds nothing: it may be corrected under the same key", async () => {
  const [server] = servers;
  const key = headers();
  expect((await server.post("/enqueue", { ...body, model: "none" }, key)).status).toBe(400);
  expect((await server.post("/enqueue", body, key)).status).toBe(200);
});

test.each(["", "x".repeat(256), "caf\u00e9"])("the key %j is refused and nothing is written", async (key) => {
  const [server] = servers;
  const before = await server.context.countJobs();
  const answer = await server.post("/enqueue", body, headers(key));
  expect(answer.status).toBe(400);
  expect(answer.body.error).toMatchObject({ code: "invalid_request", field: "Idempotency-Key" });
  expect(await server.context.countJobs()).toBe(before);
});

test("after a crash between key and job, the next request makes the job", async () => {
  const [server, other] = servers;
  const key = headers();
  const insertMany = vi.spyOn(server.context.store, "insertMany").mockRejectedValueOnce(new Error("killed"));
  expect((await server.post("/enqueue", body, key)).status).toBe(500);
  insertMany.mockRestore();
  const [{ body: a }, { body: b }] = [
    await other.post("/enqueue", body, key),
    await server.post("/enqueue", body, key),
  ];
  expect(b).toEqual(a);
  expect((await other.get(`/status/${a.job_id}`)).body.status).toBe("queued");
});

/** Twenty requests at once, to two servers in turn, make one job. */
async function expectOneJob(pair: readonly ServerUnderTest[]): Promise<void> {
  const before = await pair[0]!.context.countJobs();
  const key = headers();
  const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => pair[i % 2]!.post("/enqueue", body, key)));
  expect(answers[0]!.status).toBe(200);
  expect(new Set(answers.map((answer) => answer.text)).size).toBe(1);
  expect(await pair[0]!.context.countJobs()).toBe(before + 1);
}

test("many at once in two processes are one job", () => expectOneJob(servers));

test.skipIf(withoutMongo())("and in MongoDB", { timeout: 60_000 }, async () => {
  const mongo = await openTestMongo();
  const stores = [mongo.store, await mongo.openAnother()];
  const distributed = await Promise.all(
    stores.map((store) => startServerUnderTest({}, { store, close: async () => {} })),
  );
  try {
    await expectOneJob(distributed);
  } finally {
    await Promise.all(distributed.map((server) => server.close()));
    await mongo.cleanup();
  }
});

test("keys are forgotten after a day, not before", async () => {
  const [{ context, post }] = servers;
  const key = headers();
  const { body: first } = await post("/enqueue", body, key);
  const later = (hours: number) => ({
    store: context.store,
    clock: { now: () => 0, wall: () => Date.now() + hours * 3_600_000 },
  });
  await sweepIdempotencyKeys(later(23.9));
  expect((await post("/enqueue", body, key)).body).toEqual(first);
  await sweepIdempotencyKeys(later(24.1));
  expect((await post("/enqueue", body, key)).body).not.toEqual(first);
});

test("a body that is nested without end is refused, not a failure of ours", async () => {
  const deep = `${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`;
  const nested = `{"prompt":"x","environment":"UAT","tools":[{"name":"a","input_schema":${deep}}]}`;
  const { status, body: answer } = await servers[0].post("/v1/jobs", nested, headers());
  expect(status).toBe(400);
  expect(answer.error).toMatchObject({ code: "invalid_request", field: "body" });
});
