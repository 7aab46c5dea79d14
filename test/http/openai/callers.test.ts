// What happens to the job of a synchronous call when its caller disconnects, comes back, or does not. The test plays the worker,
// and moves the clock.
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { systemClock } from "../../../src/domain/clock.ts";
import { openTestStore, type TestStore } from "../../support/jobs-context.ts";
import { type ServerUnderTest, startServerUnderTest } from "../server-under-test.ts";
import { clientOf, urlOf } from "./client.ts";

let shared: TestStore;
let server: ServerUnderTest;
let url: string;
let accepted: string[] = [];
/** How far the clock is ahead, in milliseconds. */
let ahead = 0;
const clock = { now: () => systemClock.now() + ahead, wall: () => systemClock.wall() + ahead };

beforeAll(async () => {
  shared = await openTestStore();
  server = await startServerUnderTest({}, shared, { clock });
  server.context.events.publishAccepted = (jobs) => accepted.push(...jobs.map((job) => job.id));
  url = await urlOf(server.app);
});
beforeEach(() => {
  accepted = [];
});
afterAll(async () => {
  server.app.server.closeAllConnections();
  await server.close();
  await shared.close();
});

const within = { timeout: 15_000, interval: 5 };
let asked = 0;
/** Another request in each test, because the store is shared. */
const question = () => ({
  model: "nova-lite",
  messages: [{ role: "user" as const, content: `Question ${++asked}?` }],
});

const recordOf = async (jobId: string) => (await server.context.store.get(jobId))!;
const stateOf = async (jobId: string) => (await recordOf(jobId)).state;
const explain = (jobId: string) => server.context.scheduler.explain(jobId);

async function acceptedJob(): Promise<string> {
  await vi.waitFor(() => expect(accepted.length).toBeGreaterThan(0), within);
  return accepted.shift()!;
}

/** A call whose caller disconnects when told to. */
function call(body: object, headers: Record<string, string> = {}, path = "/v1/chat/completions") {
  const controller = new AbortController();
  const answer = fetch(url + path, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
    signal: controller.signal,
  }).then(
    async (response) => ({ status: response.status, body: (await response.json()) as Record<string, unknown> }),
    () => undefined,
  );
  return {
    answer,
    async disconnect() {
      controller.abort();
      await answer;
    },
  };
}

/** Starts a call for the job, as a worker does. */
async function run(jobId: string) {
  const { scheduler } = server.context;
  const { grants } = await scheduler.acquire({ operation: crypto.randomUUID(), worker: "w", max: 100 });
  const { grant, deployment } = grants.find((g) => g.jobId === jobId)!;
  const { n } = await server.context.begin(jobId, deployment);
  return { grant, n };
}

const hasCallers = (jobId: string, count: number) =>
  vi.waitFor(() => expect(server.context.callers.callersOf(jobId)).toBe(count), within);

/** Whether a worker would get the job now. */
async function isGranted(jobId: string): Promise<boolean> {
  const { scheduler } = server.context;
  const { grants } = await scheduler.acquire({ operation: crypto.randomUUID(), worker: "w", max: 10 });
  const handBack = { job: { requeueAfterMs: 0 }, charge: "void", signal: { kind: "none" } } as const;
  await scheduler.settle(grants.map(({ jobId, grant }) => ({ jobId, grant, ...handBack })));
  return grants.some((grant) => grant.jobId === jobId);
}

const isParked = (jobId: string) =>
  vi.waitFor(async () => expect(await explain(jobId)).toMatchObject({ waitingOn: { kind: "delay" } }), within);

const chat = () => question() as object;
const response = () => ({ model: "nova-lite", input: `Question ${++asked}?` }) as object;
const key = () => ({ "idempotency-key": `key ${++asked}` });

describe.each([
  ["/v1/chat/completions", chat],
  ["/v1/responses", response],
])("%s", (path, body) => {
  test.each<[string, () => Record<string, string>]>([
    ["an Idempotency-Key", key],
    ["an SDK invocation id", () => ({ "amz-sdk-invocation-id": `invocation-${++asked}` })],
    ["a count of retries", () => ({ "x-stainless-retry-count": "0" })],
  ])("point 2: with %s a waiting job is parked, and cancelled after the grace period", async (_name, headers) => {
    const { disconnect } = call(body(), headers(), path);
    const jobId = await acceptedJob();
    expect(await isGranted(jobId)).toBe(true);
    await disconnect();
    await isParked(jobId);
    ahead += 59_000;
    await server.context.callers.tidy();
    expect(await stateOf(jobId)).toBe("queued");
    expect(await isGranted(jobId)).toBe(false);
    ahead += 2_000;
    await server.context.callers.tidy();
    const { state, outcome } = await recordOf(jobId);
    expect(state).toBe("cancelled");
    expect(outcome?.error).toEqual({
      code: "caller_disconnected",
      message: expect.stringContaining("within 60 seconds (limits.callerGraceS)"),
    });
    expect(await explain(jobId)).toEqual({ state: "absent" });
  });

  test.each<[string, () => Record<string, string>]>([
    ["no sign of coming back", () => ({})],
    ["x-sluice-keep: false", () => ({ ...key(), "x-sluice-keep": "false" })],
  ])("point 2: with %s a waiting job is cancelled at once", async (_name, headers) => {
    const { disconnect } = call(body(), headers(), path);
    const jobId = await acceptedJob();
    await disconnect();
    await vi.waitFor(async () => expect(await stateOf(jobId)).toBe("cancelled"), within);
  });

  test("point 2: a running call finishes and its answer is stored, no matter which caller disconnects", async () => {
    for (const headers of [{}, key(), { "x-stainless-retry-count": "0" }] as Record<string, string>[]) {
      const { disconnect } = call(body(), headers, path);
      const jobId = await acceptedJob();
      const { grant } = await run(jobId);
      await hasCallers(jobId, 1);
      await disconnect();
      await hasCallers(jobId, 0);
      for (let i = 0; i < 3; i++) {
        ahead += 21_000;
        expect(await server.context.scheduler.renew([{ jobId, grant }])).toEqual(["renewed"]);
      }
      await server.context.callers.tidy();
      expect(await stateOf(jobId)).toBe("in_progress");
      await server.context.end(jobId, { status: "completed", text: "Kept." }, { result: "completed" });
      expect((await recordOf(jobId)).outcome).toMatchObject({ status: "completed", text: "Kept." });
    }
  });

  test("point 2: a call that fails after its caller disconnected is not made again", async () => {
    const { disconnect } = call(body(), {}, path);
    const jobId = await acceptedJob();
    const { n } = await run(jobId);
    await hasCallers(jobId, 1);
    await disconnect();
    await hasCallers(jobId, 0);
    await server.context.callers.tidy();
    const { store, events } = server.context;
    await store.endAttempt("UAT", jobId, n, { result: "transient", at: clock.wall() });
    events.publish({ type: "state", jobId, environment: "UAT", state: "queued", at: clock.wall() });
    await vi.waitFor(async () => expect(await stateOf(jobId)).toBe("cancelled"), within);
  });

  test("point 2: a caller that comes back with the key gets the same job and its one answer", async () => {
    const once = key();
    const wanted = body();
    const first = call(wanted, once, path);
    const jobId = await acceptedJob();
    await first.disconnect();
    await isParked(jobId);
    const second = call(wanted, once, path);
    await vi.waitFor(async () => expect(await isGranted(jobId)).toBe(true), within);
    ahead += 61_000;
    await server.context.callers.tidy();
    await server.context.end(jobId, { status: "completed", text: "Once." });
    expect(await second.answer).toMatchObject({ status: 200 });
    expect(JSON.stringify((await second.answer)!.body)).toContain("Once.");
    expect(accepted).toEqual([]);
  });

  test("point 2: after the grace period the same key gets a new job", async () => {
    const once = key();
    const wanted = body();
    const first = call(wanted, once, path);
    const jobId = await acceptedJob();
    await first.disconnect();
    await isParked(jobId);
    ahead += 61_000;
    await server.context.callers.tidy();
    expect(await stateOf(jobId)).toBe("cancelled");
    const second = call(wanted, once, path);
    const next = await acceptedJob();
    expect(next).not.toBe(jobId);
    await server.context.end(next, { status: "completed", text: "At last." });
    expect(await second.answer).toMatchObject({ status: 200 });
    // And it stays that one.
    expect(await call(wanted, once, path).answer).toMatchObject({ status: 200 });
    expect(accepted).toEqual([]);
  });
});

test("point 2: as long as one of two callers with the same key waits, the job does", async () => {
  const once = key();
  const wanted = chat();
  const [first, second] = [call(wanted, once), call(wanted, once)];
  const jobId = await acceptedJob();
  await hasCallers(jobId, 2);
  await first.disconnect();
  await hasCallers(jobId, 1);
  ahead += 61_000;
  await server.context.callers.tidy();
  expect(await isGranted(jobId)).toBe(true);
  await second.disconnect();
  await isParked(jobId);
});

test("point 2: a caller that comes back with x-sluice-keep keeps the job", async () => {
  const once = key();
  const wanted = chat();
  const first = call(wanted, once);
  const jobId = await acceptedJob();
  await first.disconnect();
  await isParked(jobId);
  const second = call(wanted, { ...once, "x-sluice-keep": "true" });
  await vi.waitFor(async () => expect(await isGranted(jobId)).toBe(true), within);
  await second.disconnect();
  await hasCallers(jobId, 0);
  ahead += 61_000;
  await server.context.callers.tidy();
  expect(await isGranted(jobId)).toBe(true);
});

test("point 2: waiting for the job by its id counts as coming back", async () => {
  const { disconnect } = call(chat(), key());
  const jobId = await acceptedJob();
  await disconnect();
  await isParked(jobId);
  const read = server.get(`/v1/jobs/${jobId}?wait=30`);
  await vi.waitFor(async () => expect(await isGranted(jobId)).toBe(true), within);
  await server.context.end(jobId, { status: "completed", text: "Read." });
  expect((await read).body).toMatchObject({ status: "completed", text: "Read." });
});

describe("A9: OpenAI's client repeats a request that was cut off", () => {
  test("A9: the retry finds the job: one job, one answer", async () => {
    const wanted = question();
    let cuts = 0;
    const cutting: typeof fetch = async (target, init) => {
      if (cuts++ > 0) return fetch(target, init);
      const cut = AbortSignal.timeout(300);
      return fetch(target, { ...init, signal: AbortSignal.any([cut, init!.signal!]) }).catch(() => {
        throw new TypeError("terminated");
      });
    };
    const answer = clientOf(url, { maxRetries: 1, fetch: cutting }).chat.completions.create(wanted);
    const jobId = await acceptedJob();
    await isParked(jobId);
    await vi.waitFor(async () => expect(await isGranted(jobId)).toBe(true), within);
    await server.context.end(jobId, { status: "completed", text: "One answer." });
    expect((await answer).choices[0]!.message.content).toBe("One answer.");
    expect(cuts).toBe(2);
    expect(accepted).toEqual([]);
  });

  const first = { "x-stainless-retry-count": "0" };
  const again = { "x-stainless-retry-count": "1" };

  test("A9: equal requests that were cut off get a job each, and a new one gets a new job", async () => {
    const wanted = chat();
    const calls = [call(wanted, first), call(wanted, first)];
    const jobs = [await acceptedJob(), await acceptedJob()];
    for (const { disconnect } of calls) await disconnect();
    for (const jobId of jobs) await isParked(jobId);
    await vi.waitFor(async () => {
      const records = await server.context.store.records.list(
        { collection: "controls" },
        { from: "awaited/", to: "awaited/~", limit: 100 },
      );
      const waiting = records.items.map(({ value }) => (value as { jobId: string }).jobId);
      expect(jobs.filter((jobId) => waiting.includes(jobId))).toEqual(jobs);
    }, within);
    const retries = [call(wanted, again), call(wanted, again)];
    for (const jobId of jobs) await hasCallers(jobId, 1);
    expect(accepted).toEqual([]);
    // None is left: this caller's first try never arrived.
    const third = call(wanted, again);
    const other = await acceptedJob();
    expect(jobs).not.toContain(other);
    for (const { disconnect } of [...retries, third]) await disconnect();
  });

  test("A9: another request, or the first try of the same one, gets a new job", async () => {
    const wanted = question();
    const { disconnect } = call(wanted, first);
    const jobId = await acceptedJob();
    await disconnect();
    await isParked(jobId);
    for (const [body, headers] of [
      [{ ...wanted, temperature: 0.5 }, again],
      [wanted, first],
    ] as const) {
      const other = call(body, headers);
      expect(await acceptedJob()).not.toBe(jobId);
      await other.disconnect();
    }
  });
});
