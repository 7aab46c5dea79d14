// Compares the scheduler in Redis with BullMQ on the same server: how fast one process acquires and settles jobs, and
// how much of Redis's memory a waiting job takes. BullMQ's workers take one job per command. Its figure is its own
// drain of jobs that do nothing.
import { Queue } from "bullmq";
import { Redis } from "ioredis";
import { newJobId, newToken } from "../src/domain/ids.ts";
import { createRedisScheduler } from "../src/scheduler/redis/redis-scheduler.ts";
import type { Grant, QueueEntry, Scheduler } from "../src/scheduler/scheduler.ts";
import type { SchedulerConfig } from "../src/scheduler/scheduler-configuration.ts";
import { drainBullmq, fillBullmq } from "./support/drain-bullmq.ts";
import { cpuOfDrain, type Drained } from "./support/drain-cpu.ts";
import { compare, type Figure } from "./support/measure.ts";
import { startRedis } from "./support/redis-server.ts";

const repeats = 3;
const drained = 20_000;
const queued = 100_000;
const batch = 100;
/** Acquires under way at a time, as of a process with several loops. */
const inFlight = 4;

const config: SchedulerConfig = {
  version: "bench",
  deployments: [
    { id: "d", region: "us-east-1", maxConcurrency: 1_000_000, quotas: ["requests", "tokens"], outputBurndown: 1 },
  ],
  quotas: [
    { name: "requests", unit: "requests", per: "minute", limit: 10_000_000, burst: 10_000_000 },
    { name: "tokens", unit: "tokens", per: "minute", limit: 10_000_000_000, burst: 10_000_000_000 },
  ],
  models: { m: { deployments: ["d"], choice: "headroom" } },
  weights: { environments: {}, priorities: { interactive: 16, standard: 4, batch: 1 }, tenants: {} },
  leaseMs: 60_000,
  sendWithinMs: 500,
  networkJitterMs: 300,
};

function entries(count: number): QueueEntry[] {
  return Array.from({ length: count }, (_, i) => ({
    jobId: newJobId(),
    environment: i % 2 === 0 ? "UAT" : "PROD",
    tenant: `tenant-${i % 10}`,
    priority: "standard",
    models: ["m"],
    tokens: { input: 100 + (i % 900), output: 500 },
    exact: true,
    order: Date.now(),
  }));
}

export async function benchRedisScheduler(): Promise<Figure[]> {
  const server = await startRedis();
  if (!server) {
    console.log("  there is no redis-server on the PATH: skipped");
    return [];
  }
  const drains: { ours: Drained; baseline: Drained }[] = [];
  const memory: { ours: number; baseline: number }[] = [];
  const admin = new Redis(server.socket);
  try {
    for (let i = 0; i < repeats; i++) {
      drains.push({ ours: await drainOurs(admin, server.socket), baseline: await drainBullmq(server.socket, drained) });
    }
    for (let i = 0; i < 3; i++) {
      memory.push({
        ours: await bytesOfOurs(admin, server.socket),
        baseline: await bytesOfBullmq(admin, server.socket),
      });
    }
  } finally {
    admin.disconnect();
    await server.stop();
  }
  const rival = "BullMQ, no-op jobs";
  const pairs = (of: (drain: Drained) => number) =>
    drains.map(({ ours, baseline }) => ({ ours: of(ours), baseline: of(baseline) }));
  const what = `acquire + settle in Redis, ${batch} at a time`;
  return [
    compare(
      what,
      "jobs/s",
      pairs((d) => d.jobsPerS),
      rival,
      "ratio >= 1",
    ),
    compare(
      `${what}: CPU of Redis a job`,
      "us",
      pairs((d) => d.redisCpuUsPerJob),
      rival,
    ),
    compare(
      `${what}: CPU of this process a job`,
      "us",
      pairs((d) => d.cpuUsPerJob),
      rival,
    ),
    compare(
      `Redis memory of each of ${queued.toLocaleString("en")} queued jobs`,
      "bytes",
      memory,
      "BullMQ, id alone",
      "<= 100 bytes",
    ),
  ];
}

async function emptyScheduler(admin: Redis, socket: string): Promise<{ scheduler: Scheduler; close(): Promise<void> }> {
  await admin.flushall();
  const client = new Redis(socket);
  const scheduler = await createRedisScheduler({ redis: client, config });
  await scheduler.finishRebuild((await scheduler.beginRebuild())!);
  return {
    scheduler,
    async close() {
      await scheduler.close();
      client.disconnect();
    },
  };
}

async function drainOurs(admin: Redis, socket: string): Promise<Drained> {
  const { scheduler, close } = await emptyScheduler(admin, socket);
  await scheduler.enqueue(entries(drained));
  let left = drained;
  const loop = async () => {
    while (left > 0) {
      const request = { operation: newToken(), worker: "bench", max: batch };
      const { grants } = await scheduler.acquire(request);
      if (grants.length === 0) return;
      left -= grants.length;
      await scheduler.settle(grants.map(settlementOf));
    }
  };
  const result = await cpuOfDrain(drained, admin, async () => {
    await Promise.all(Array.from({ length: inFlight }, loop));
  });
  await close();
  return result;
}

function settlementOf({ jobId, grant }: Grant) {
  return { jobId, grant, job: "ended", charge: { input: 100, output: 50 }, signal: { kind: "ok" } } as const;
}

async function bytesOfOurs(admin: Redis, socket: string): Promise<number> {
  const { scheduler, close } = await emptyScheduler(admin, socket);
  const before = await usedMemory(admin);
  await scheduler.enqueue(entries(queued));
  const bytes = ((await usedMemory(admin)) - before) / queued;
  await close();
  return bytes;
}

async function bytesOfBullmq(admin: Redis, socket: string): Promise<number> {
  await admin.flushall();
  const before = await usedMemory(admin);
  // BullMQ does not close a connection that it was given.
  const connection = new Redis({ path: socket, maxRetriesPerRequest: null });
  const queue = new Queue("bench", { connection });
  await fillBullmq(queue, queued, () => ({}));
  const bytes = ((await usedMemory(admin)) - before) / queued;
  await queue.close();
  connection.disconnect();
  return bytes;
}

async function usedMemory(admin: Redis): Promise<number> {
  return Number(/used_memory:(\d+)/.exec(await admin.info("memory"))![1]);
}
