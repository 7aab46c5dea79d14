// The state of jobs in Redis for programs that read it there. Everything goes through the event bus, as in the service.
import { Redis } from "ioredis";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { newJobId } from "../../src/domain/ids.ts";
import type { Job, JobState } from "../../src/domain/job.ts";
import type { JobHashSettings } from "../../src/events/redis/job-hashes.ts";
import { createRedisEventBus, type RedisEventBus } from "../../src/events/redis/redis-event-bus.ts";
import { makeJob } from "../store/conformance/support.ts";
import { startFaultProxy } from "../support/fault-proxy.ts";
import { sharedRedisUrl, startRedis, withoutRedis } from "../support/servers.ts";

const day = 86_400;
const lean: JobHashSettings = { prompt: false, ttlSeconds: day };
const full: JobHashSettings = { prompt: true, ttlSeconds: day };

async function open(jobHashes: JobHashSettings, options: object = {}): Promise<RedisEventBus> {
  const timing = { heartbeatMs: 50, timeoutMs: 300 };
  const bus = await createRedisEventBus({ url: sharedRedisUrl(), jobHashes, ...timing, ...options });
  onTestFinished(() => bus.close());
  return bus;
}

function outside(url = sharedRedisUrl()): Redis {
  const redis = new Redis(url);
  onTestFinished(() => redis.disconnect());
  return redis;
}

function reach(bus: RedisEventBus, jobId: string, ...states: JobState[]): void {
  for (const state of states) bus.publish({ type: "state", jobId, environment: "UAT", state, at: 0 });
}

/** Does what the service does when it accepts a job. */
function accept(bus: RedisEventBus, job: Job): void {
  reach(bus, job.id, "queued");
  bus.publishAccepted([job]);
}

describe.skipIf(withoutRedis())("job hashes", () => {
  test("have the state from the first call on, and an expiry", async () => {
    const [bus, redis, job] = [await open(lean), outside(), makeJob()];
    const key = `job:${job.id}`;
    accept(bus, job);
    reach(bus, job.id, "in_progress");
    await vi.waitFor(async () => expect(await redis.hgetall(key)).toEqual({ status: "in_progress" }));
    reach(bus, job.id, "completed");
    await vi.waitFor(async () => expect(await redis.hgetall(key)).toEqual({ status: "completed" }));
    expect(await redis.ttl(key)).toBeGreaterThan(day - 60);
    expect(await redis.ttl(key)).toBeLessThanOrEqual(day);
  });

  test("have no prompt of an ephemeral job", async () => {
    const [bus, redis, job] = [await open(full), outside(), makeJob({ ephemeral: true })];
    accept(bus, job);
    await vi.waitFor(async () => expect(await redis.hgetall(`job:${job.id}`)).toEqual({ status: "queued" }));
  });

  test("do not exist before the first call, unless configured; then they have the prompt", async () => {
    const [bus, redis] = [await open(lean), outside()];
    const [unseen, seen] = [makeJob(), makeJob()];
    accept(bus, unseen);
    await bus.close();
    expect(await redis.exists(`job:${unseen.id}`)).toBe(0);

    const complete = await open(full);
    accept(complete, seen);
    const prompt = "Write a line about sluices.";
    await vi.waitFor(async () => expect(await redis.hgetall(`job:${seen.id}`)).toEqual({ status: "queued", prompt }));
    expect(await redis.ttl(`job:${seen.id}`)).toBeGreaterThan(day - 60);
    reach(complete, seen.id, "in_progress", "failed");
    await vi.waitFor(async () => expect(await redis.hgetall(`job:${seen.id}`)).toEqual({ status: "failed", prompt }));
  });

  test("a conversation's prompt is the user's text", async () => {
    const [bus, redis] = [await open(full), outside()];
    const said = (role: "user" | "assistant", text: string) => ({ role, content: [{ type: "text" as const, text }] });
    const messages = [said("user", "Why?"), said("assistant", "Because."), said("user", "Really?")];
    const job = makeJob({ request: { messages, parameters: { maxTokens: 1 } } });
    accept(bus, job);
    await vi.waitFor(async () => expect(await redis.hget(`job:${job.id}`, "prompt")).toBe("Why?\n\nReally?"));
  });

  test("a requeued job is queued again, not in progress", async () => {
    const [bus, redis, jobId] = [await open(lean), outside(), newJobId()];
    reach(bus, jobId, "in_progress");
    await vi.waitFor(async () => expect(await redis.hget(`job:${jobId}`, "status")).toBe("in_progress"));
    reach(bus, jobId, "queued");
    await vi.waitFor(async () => expect(await redis.hget(`job:${jobId}`, "status")).toBe("queued"));
  });

  test.each(["completed", "failed", "cancelled", "expired"] as const)(
    "%s stays, whatever comes late",
    async (final) => {
      const [bus, redis, jobId] = [await open(full), outside(), newJobId()];
      reach(bus, jobId, "in_progress", final);
      await vi.waitFor(async () => expect(await redis.hget(`job:${jobId}`, "status")).toBe(final));
      reach(bus, jobId, "in_progress", "queued");
      bus.publishAccepted([makeJob({ id: jobId })]);
      await bus.close();
      expect(await redis.hget(`job:${jobId}`, "status")).toBe(final);
    },
  );

  test("with an expiry of 0 none is written", async () => {
    const [bus, redis, job] = [await open({ prompt: true, ttlSeconds: 0 }), outside(), makeJob()];
    accept(bus, job);
    reach(bus, job.id, "in_progress", "completed");
    await bus.close();
    expect(await redis.exists(`job:${job.id}`)).toBe(0);
  });

  test("closing writes what is left, for many jobs at once", async () => {
    const [bus, redis] = [await open(lean, { timeoutMs: 5000 }), outside()];
    const jobs = Array.from({ length: 3000 }, () => newJobId());
    for (const jobId of jobs) reach(bus, jobId, "in_progress", "completed");
    await bus.close();
    expect(await redis.exists(...jobs.map((id) => `job:${id}`))).toBe(3000);
    expect(bus.dropped()).toBe(0);
  });

  test("are correct after an outage", async () => {
    const url = sharedRedisUrl();
    const proxy = await startFaultProxy(Number(new URL(url).port));
    onTestFinished(() => proxy.close());
    const [bus, redis] = [await open(lean, { url: proxy.through(url) }), outside()];
    const [ended, late] = [newJobId(), newJobId()];
    reach(bus, ended, "in_progress");
    await vi.waitFor(async () => expect(await redis.hget(`job:${ended}`, "status")).toBe("in_progress"));
    proxy.stall();
    reach(bus, late, "in_progress");
    await proxy.stalled();
    // So many that later ones wait behind them, while the first state of `late` is on its way.
    for (let i = 0; i < 1000; i++) reach(bus, newJobId(), "in_progress");
    await new Promise(setImmediate);
    reach(bus, ended, "completed");
    reach(bus, late, "failed");
    await proxy.refuse();
    proxy.cut();
    await vi.waitFor(() => {
      reach(bus, newJobId(), "queued");
      expect(bus.dropped()).toBeGreaterThan(0);
    });
    await proxy.heal();
    await vi.waitFor(
      async () => {
        expect(await redis.hget(`job:${ended}`, "status")).toBe("completed");
        expect(await redis.hget(`job:${late}`, "status")).toBe("failed");
        expect(await redis.ttl(`job:${late}`)).toBeGreaterThan(0);
      },
      { timeout: 10_000 },
    );
  });

  test("if Redis is full, hashes are lost, the log has one line, and nothing else happens", async () => {
    const server = await startRedis(["--maxmemory", "1", "--maxmemory-policy", "noeviction"]);
    onTestFinished(() => server.close());
    const lines: string[] = [];
    const log = { warn: (_: object, text: string) => lines.push(text), info: () => {}, error: () => {} };
    const bus = await open(full, { url: server.url, log });
    const secret = makeJob();
    for (let i = 0; i < 50; i++) accept(bus, makeJob());
    accept(bus, secret);
    await vi.waitFor(() => expect(bus.dropped()).toBeGreaterThanOrEqual(51));
    expect(lines).toEqual(["failed to write the state of jobs to Redis"]);
  });

  test("prompts that wait to be written are bounded", async () => {
    const server = await startRedis();
    onTestFinished(() => server.close());
    const bus = await open(full, { url: server.url });
    const text = "x".repeat(1024 * 1024);
    const request = { messages: [{ role: "user" as const, content: [{ type: "text" as const, text }] }] };
    server.pause();
    for (let i = 0; i < 40; i++) accept(bus, makeJob({ request: { ...request, parameters: { maxTokens: 1 } } }));
    // 16 MB of them are kept.
    expect(bus.dropped()).toBe(24);
    server.resume();
  });
});
