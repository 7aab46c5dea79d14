// Limits of keys and of the service: kept before anything is queued, right after a restart, and counted once.
import { expect, vi } from "vitest";
import type { FileSettings } from "../../src/config/config-schema.ts";
import type { Settings } from "../../src/config/settings.ts";
import type { Job } from "../../src/domain/job.ts";
import { openKeyRegistry } from "../../src/jobs/keys/key-registry.ts";
import { Limits } from "../../src/jobs/limits/limits.ts";
import { test } from "../support/fixtures.ts";
import type { TestStore } from "../support/jobs-context.ts";
import type { Answer, ServerUnderTest } from "./server-under-test.ts";

const file: FileSettings = {
  models: {
    priced: { maxOutputTokens: 100, deployments: [{ region: "us-east-1", modelId: "x.priced-v1:0" }] },
    unpriced: { maxOutputTokens: 100, deployments: [{ region: "us-east-1", modelId: "x.unpriced-v1:0" }] },
  },
  defaultModel: "priced",
  catalogue: { "x.priced-v1:0": { prices: { input: 1000, output: 10_000 } } },
};

let shared: TestStore;
let admin: string;
/** Starts a service on the shared store, as after a restart. */
let start: (more?: FileSettings) => Promise<ServerUnderTest>;
test.beforeAll(async ({ store, shareServer }) => {
  shared = store;
  admin = (await (await shareServer(file)).post("/v1/keys", { name: "admin", admin: true })).body.key;
});
test.beforeEach(({ startServer }) => {
  start = (more) => startServer({ ...file, ...more });
});

async function keyWith(server: ServerUnderTest, fields: object): Promise<string> {
  return (await server.as(admin).post("/v1/keys", { name: "k", ...fields })).body.key;
}

const ask = (fields: object = {}) => ({ prompt: "Why?", environment: "UAT", max_tokens: 100, ...fields });

const cancelled = ({ id }: Pick<Job, "id">) => ({ jobId: id, status: "cancelled" as const, at: Date.now() });

function expectRefused(answer: Answer, status: number, code: string, message: RegExp): void {
  expect(answer.status, answer.text).toBe(status);
  expect(answer.headers["x-should-retry"]).toBe("false");
  expect(answer.body.error.code).toBe(code);
  expect(answer.body.error.message).toMatch(message);
}

test("a key shows what is used of its limits, also to itself and after a restart", async () => {
  const server = await start();
  const key = await keyWith(server, { max_waiting: 5, daily_tokens: 100_000, budget_usd: 100, tenant: "shown" });
  const used = async (of: ServerUnderTest) => (await of.as(key).get("/v1/keys/self")).body.used;
  const nothing = { jobs: 0, tokens_today: 0, tokens_reserved: 0, usd_this_month: 0, usd_reserved: 0 };
  expect(await used(server)).toEqual(nothing);
  const [first] = [
    (await server.as(key).post("/enqueue", ask())).body.job_id,
    await server.as(key).post("/enqueue", ask()),
  ];
  const reserved = await used(server);
  expect(reserved).toMatchObject({ jobs: 2, tokens_today: 0, usd_this_month: 0 });
  expect(reserved.tokens_reserved).toBeGreaterThan(200);
  expect(reserved.usd_reserved).toBeGreaterThan(2);
  const usage = { input: 7, output: 3 };
  await server.context.end(first, { status: "completed", text: "x", usage, costNanoUsd: 37_000_000 });
  const halved = { jobs: 1, tokens_reserved: reserved.tokens_reserved / 2, usd_reserved: reserved.usd_reserved / 2 };
  const after = { ...halved, tokens_today: 10, usd_this_month: 0.037 };
  await expect.poll(() => used(server)).toEqual(after);
  expect(await used(await start())).toEqual(after);
  const listed = (await server.as(admin).get("/v1/keys")).body.data;
  expect(listed.find(({ tenant }: { tenant: string }) => tenant === "shown").used).toEqual(after);
  expect(listed[0].used).toBeNull();
});

test("jobs at a time: one more is refused and not written, until one has ended", async () => {
  const server = await start();
  const caller = server.as(await keyWith(server, { max_waiting: 2 }));
  const [first] = [(await caller.post("/enqueue", ask())).body.job_id, await caller.post("/v1/jobs", ask())];
  const before = await server.context.countJobs();
  for (const url of ["/enqueue", "/v1/jobs"]) {
    expectRefused(await caller.post(url, ask()), 429, "limit_exceeded", /may have 2 jobs .*; it has 2 now/);
  }
  expect(await server.context.countJobs()).toBe(before);
  await server.context.end(first, { status: "failed", error: { code: "internal", message: "x" } });
  expect((await caller.post("/enqueue", ask())).status).toBe(200);
  expectRefused(await caller.post("/enqueue", ask()), 429, "limit_exceeded", /it has 2 now/);
});

test("of many at once no more are taken than there is room for", async () => {
  const server = await start();
  const caller = server.as(await keyWith(server, { max_waiting: 5 }));
  const answers = await Promise.all(Array.from({ length: 20 }, () => caller.post("/enqueue", ask())));
  expect(answers.map((answer) => answer.status).sort()).toEqual([...Array(5).fill(200), ...Array(15).fill(429)]);
});

test("tokens of the day: what is set aside counts until the job ends, then what it used", async () => {
  const server = await start();
  const caller = server.as(await keyWith(server, { daily_tokens: 250 }));
  const first = (await caller.post("/enqueue", ask())).body.job_id;
  expect((await caller.post("/enqueue", ask())).status).toBe(200);
  expectRefused(
    await caller.post("/enqueue", ask()),
    429,
    "limit_exceeded",
    /250 tokens per UTC day; 0 are used, 2\d\d are reserved/,
  );
  await server.context.end(first, { status: "completed", text: "x", usage: { input: 4, output: 6, cacheRead: 1 } });
  expect((await caller.post("/enqueue", ask())).status).toBe(200);
  expectRefused(await caller.post("/enqueue", ask()), 429, "limit_exceeded", /; 11 are used, 2\d\d are reserved/);
});

test("the budget of the month: 402, in dollars", async () => {
  const server = await start();
  const caller = server.as(await keyWith(server, { budget_usd: 2.5 }));
  // Up to 100 output tokens at 10,000 dollars a million: one dollar, and a little for the input.
  const first = (await caller.post("/enqueue", ask())).body.job_id;
  expect((await caller.post("/enqueue", ask())).status).toBe(200);
  expectRefused(
    await caller.post("/enqueue", ask()),
    402,
    "budget_exceeded",
    /\$2\.5 per month .*; \$0 are spent, \$2\.\d+ are reserved/,
  );
  await server.context.end(first, {
    status: "completed",
    text: "x",
    usage: { input: 1, output: 1 },
    costNanoUsd: 11_000_000,
  });
  expect((await caller.post("/enqueue", ask())).status).toBe(200);
  expectRefused(await caller.post("/enqueue", ask()), 402, "budget_exceeded", /\$0\.011 are spent/);
});

test("a budget cannot be kept where no price is known: the model is refused", async () => {
  const server = await start();
  const caller = server.as(await keyWith(server, { budget_usd: 2.5 }));
  const answer = await caller.post("/enqueue", ask({ model: "unpriced" }));
  expect(answer).toMatchObject({ status: 403, body: { error: { code: "forbidden", field: "model" } } });
});

test("a restart changes nothing: what is set aside and what was used are on record", async () => {
  const before = await start();
  const key = await keyWith(before, { max_waiting: 2, daily_tokens: 10_000, budget_usd: 100 });
  const jobs = [];
  for (let i = 0; i < 2; i++) jobs.push((await before.as(key).post("/enqueue", ask())).body.job_id);
  await before.context.end(jobs[0]!, {
    status: "completed",
    text: "x",
    usage: { input: 3, output: 4 },
    costNanoUsd: 5,
  });

  const after = await start();
  expect((await after.as(key).post("/enqueue", ask())).status).toBe(200);
  expectRefused(await after.as(key).post("/enqueue", ask()), 429, "limit_exceeded", /it has 2 now/);
  const small = await keyWith(after, { daily_tokens: 20 });
  expectRefused(await after.as(small).post("/enqueue", ask()), 429, "limit_exceeded", /; 0 are used, 0 are reserved/);
});

test("what a crash left behind is made good: a job that ended, one that never came", async () => {
  const server = await start();
  const key = await keyWith(server, { max_waiting: 1, daily_tokens: 1000 });
  const jobId = (await server.as(key).post("/enqueue", ask())).body.job_id;
  // The worker dies between the outcome and what follows it.
  const outcome = {
    jobId,
    status: "completed" as const,
    text: "x",
    at: Date.now(),
    usage: { input: 500, output: 400 },
  };
  await shared.store.finish("UAT", outcome);
  const after = await start();
  expectRefused(await after.as(key).post("/enqueue", ask()), 429, "limit_exceeded", /it has 1 now/);
  await after.context.limits.tidy();
  await after.context.limits.tidy();
  expectRefused(await after.as(key).post("/enqueue", ask()), 429, "limit_exceeded", /; 900 are used, 0 are reserved/);

  // A process dies before the job is stored.
  const other = await keyWith(after, { max_waiting: 1 });
  vi.spyOn(after.context.store, "insertMany").mockRejectedValueOnce(new Error("killed"));
  vi.spyOn(after.context.limits, "release").mockResolvedValueOnce();
  expect((await after.as(other).post("/enqueue", ask())).status).toBe(500);
  vi.spyOn(after.context.clock, "wall").mockReturnValue(Date.now() + 300_000);
  await after.context.limits.tidy();
  expectRefused(await after.as(other).post("/enqueue", ask()), 429, "limit_exceeded", /it has 1 now/);
  vi.spyOn(after.context.clock, "wall").mockReturnValue(Date.now() + 700_000);
  await after.context.limits.tidy();
  vi.restoreAllMocks();
  expect((await after.as(other).post("/enqueue", ask())).status).toBe(200);
});

test("a store that does not take a job sets nothing aside", async () => {
  const server = await start();
  const caller = server.as(await keyWith(server, { max_waiting: 1 }));
  vi.spyOn(server.context.store, "insertMany").mockRejectedValueOnce(new Error("no"));
  expect((await caller.post("/enqueue", ask())).status).toBe(500);
  expect((await caller.post("/enqueue", ask())).status).toBe(200);
});

test("a day and a month later there is room again", async () => {
  const server = await start();
  const key = await keyWith(server, { daily_tokens: 150, budget_usd: 1.5 });
  const jobId = (await server.as(key).post("/enqueue", ask())).body.job_id;
  await server.context.end(jobId, {
    status: "completed",
    text: "x",
    usage: { input: 1, output: 100 },
    costNanoUsd: 1e9,
  });
  const day = 24 * 3_600_000;
  const now = Date.now();
  const later = async (ms: number) => {
    vi.spyOn(server.context.clock, "wall").mockReturnValue(now + ms);
    const answer = await server.as(key).post("/enqueue", ask());
    vi.restoreAllMocks();
    return answer;
  };
  expectRefused(await later(0), 429, "limit_exceeded", /per UTC day; 101 are used/);
  const nextMonth = Date.UTC(new Date(now).getUTCFullYear(), new Date(now).getUTCMonth() + 1, 1) - now;
  if (nextMonth > 2 * day) expectRefused(await later(day), 402, "budget_exceeded", /\$1 are spent/);
  expect((await later(nextMonth + day)).status).toBe(200);
});

test("an Idempotency-Key that has its job is answered also when the limit is reached", async () => {
  const server = await start();
  const key = await keyWith(server, { max_waiting: 1 });
  const headers = { "content-type": "application/json", authorization: `Bearer ${key}`, "idempotency-key": "once" };
  const first = await server.post("/enqueue", ask(), headers);
  expect(await server.post("/enqueue", ask(), headers)).toMatchObject({ status: 200, body: first.body });
  const refused = { ...headers, "idempotency-key": "twice" };
  expect((await server.post("/enqueue", ask(), refused)).status).toBe(429);
  // Nothing was bound to it.
  await server.context.end(first.body.job_id, { status: "failed", error: { code: "internal", message: "x" } });
  expect((await server.post("/enqueue", ask({ prompt: "How?" }), refused)).status).toBe(200);
});

test("processes that share a store see each other's jobs after a while, and count an end once", async () => {
  const server = await start();
  const key = await keyWith(server, { max_waiting: 1, daily_tokens: 1000 });
  const job = (await server.context.store.get((await server.as(key).post("/enqueue", ask())).body.job_id))!.job;
  const { context } = server;
  let now = 0;
  const clock = { now: () => now, wall: () => Date.now() };
  const settings: Settings = { ...context.settings, distributed: { mongoUrl: "", redisUrl: "" } };
  const other = new Limits({ ...context, settings, clock });
  await expect(other.check([{ ...job, id: crypto.randomUUID() }])).rejects.toThrow(/it has 1 now/);

  const outcome = { jobId: job.id, status: "completed" as const, at: Date.now(), usage: { input: 400, output: 500 } };
  await Promise.all([context.limits, other, other].map((limits) => limits.ended("UAT", job.id, { outcome })));
  const third = new Limits({ ...context, settings, clock });
  for (const limits of [context.limits, other, third]) {
    now += 60_000;
    await expect(limits.check([{ ...job, id: crypto.randomUUID() }])).rejects.toThrow(/; 900 are used, 0 are reserved/);
  }
  const mine = { ...job, id: crypto.randomUUID(), tokens: { input: 1, output: 1 } };
  await other.reserve([mine]);
  // What another process ended frees the place at once, however young the sums are by which it was refused.
  await context.limits.ended("UAT", mine.id, { outcome: cancelled(mine) });
  now += 300;
  await other.reserve([{ ...mine, id: crypto.randomUUID() }]);
  now += 60_000;
  await expect(third.check([{ ...mine, id: crypto.randomUUID() }])).rejects.toThrow(/it has 1 now/);
});

test("who has heard of a job's end has room for the next one at once", async () => {
  const server = await start();
  const caller = server.as(await keyWith(server, { max_waiting: 1 }));
  const { context } = server;
  const first = (await context.store.get((await caller.post("/enqueue", ask())).body.job_id))!.job;
  const next = { ...first, id: crypto.randomUUID() };
  await expect(context.limits.check([next])).rejects.toThrow(/it has 1 now/);
  const written = context.limits.ended("UAT", first.id, { outcome: cancelled(first) });
  await context.limits.reserve([next]);
  await written;
  await expect(context.limits.check([{ ...first, id: crypto.randomUUID() }])).rejects.toThrow(/it has 1 now/);
});

test("the whole service: waiting jobs, and the disk", async () => {
  const server = await start({ limits: { maxQueuedJobs: 1 } });
  await server.as(admin).post("/enqueue", ask());
  expectRefused(
    await server.as(admin).post("/enqueue", ask()),
    429,
    "limit_exceeded",
    /at most 1 waiting jobs \(limits\.maxQueued/,
  );
  const full = await start({ limits: { minFreeDiskBytes: Number.MAX_SAFE_INTEGER } });
  full.context.settings.dataDir = "/";
  expectRefused(
    await full.as(admin).post("/enqueue", ask()),
    507,
    "storage_full",
    /bytes free; .* at least \d+ \(limits\.minFree/,
  );
});

test("the whole service: of many at once no more are taken than there is room for, and what is not stored takes none", async () => {
  const server = await start();
  const { settings, limits } = server.context;
  const counts = Object.values(await server.context.store.counts());
  settings.limits = { ...settings.limits, maxQueuedJobs: counts.reduce((sum, { queued }) => sum + queued, 10) };
  // What is stored while jobs are counted again may count twice for a moment.
  vi.spyOn(server.context.clock, "now").mockReturnValue(server.context.clock.now());
  vi.spyOn(server.context.store, "insertMany").mockRejectedValueOnce(new Error("no"));
  const submit = () => server.as(admin).post("/v1/jobs", ask());
  expect((await submit()).status).toBe(500);
  const answers = await Promise.all(Array.from({ length: 40 }, submit));
  expect(answers.filter(({ status }) => status < 300)).toHaveLength(10);
  expect(answers.filter(({ status }) => status === 429)).toHaveLength(30);
  await expect(limits.check([])).resolves.toBeUndefined();
  vi.restoreAllMocks();
});

test("a key's limits are known to a registry that did not make it", async () => {
  const server = await start();
  const key = await keyWith(server, { max_waiting: 7 });
  const registry = await openKeyRegistry(server.context);
  const caller = await registry.authenticate(`Bearer ${key}`);
  expect(caller.limits).toEqual({ maxWaiting: 7 });
  expect(registry.limitsOf(caller.keyId!)).toEqual({ maxWaiting: 7 });
  await registry.close();
});
