// How fast a filled queue drains when the provider answers at once: acquire, attempt, outcome, settle for each job.
// Beside it BullMQ's drain of no-op jobs, if a redis-server is at hand: not durable, no quotas, no attempts on record.
import { type ChildProcess, spawn } from "node:child_process";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { Queue, Worker } from "bullmq";
import { Redis } from "ioredis";
import { queueEntryOf } from "../src/jobs/queue-entry.ts";
import { makeJobs, openEmbedded } from "./support/embedded.ts";
import { compare, type Figure, spreadOf } from "./support/measure.ts";

const repeats = 5;
const jobs = 20_000;
const concurrency = 512;
const quotas = [
  { unit: "requests", per: "minute", limit: 10_000_000 },
  { unit: "tokens", per: "minute", limit: 1_000_000_000, burst: 1_000_000_000 },
] as const;

export async function benchDrain(): Promise<Figure[]> {
  const redis = await startRedis();
  const pairs: { ours: number; beside: number }[] = [];
  const alone: number[] = [];
  try {
    for (let i = 0; i < repeats; i++) {
      const ours = await drainOurs();
      alone.push(ours);
      if (redis) pairs.push({ ours, beside: await drainBullmq(redis.port) });
    }
  } finally {
    redis?.process.kill();
  }
  const what = `drain of ${jobs.toLocaleString("en")} queued jobs, instant provider`;
  const goal = "10,000 jobs/s; >= 2 x BullMQ";
  if (!redis) return [{ what, unit: "jobs/s", ours: spreadOf(alone), goal }];
  return [compare(what, "jobs/s", pairs, "BullMQ, no-op jobs", goal)];
}

async function drainOurs(): Promise<number> {
  const { context, worker, close } = await openEmbedded({ quotas: [...quotas], concurrency });
  try {
    const all = makeJobs(jobs);
    for (let i = 0; i < all.length; i += 1000) await context.store.insertMany(all.slice(i, i + 1000));
    await context.scheduler.finishRebuild((await context.scheduler.beginRebuild())!);
    await context.scheduler.add(all.map((job) => queueEntryOf(job, Date.now())));
    const ended = new Promise<void>((resolve) => {
      let left = jobs;
      for (const { id } of all) {
        context.events.subscribe(
          id,
          (event) => {
            if (event.type === "state" && event.state === "completed" && --left === 0) resolve();
          },
          "states",
        );
      }
    });
    const start = performance.now();
    worker.start();
    await ended;
    return jobs / ((performance.now() - start) / 1000);
  } finally {
    await close();
  }
}

async function drainBullmq(port: number): Promise<number> {
  const connection = { port, maxRetriesPerRequest: null };
  const admin = new Redis(connection);
  await admin.flushall();
  const queue = new Queue("bench", { connection: new Redis(connection) });
  for (let i = 0; i < jobs; i += 1000) {
    await queue.addBulk(
      Array.from({ length: 1000 }, (_, k) => ({ name: "job", data: { prompt: `Write a line about ${i + k}.` } })),
    );
  }
  const worker = new Worker("bench", async () => "An answer.", {
    connection: new Redis(connection),
    concurrency,
    autorun: false,
  });
  const ended = new Promise<void>((resolve) => {
    let left = jobs;
    worker.on("completed", () => {
      if (--left === 0) resolve();
    });
  });
  await worker.waitUntilReady();
  const start = performance.now();
  worker.run();
  await ended;
  const rate = jobs / ((performance.now() - start) / 1000);
  await worker.close();
  await queue.close();
  admin.disconnect();
  return rate;
}

async function startRedis(): Promise<{ port: number; process: ChildProcess } | undefined> {
  const port = await freePort();
  const process = spawn("redis-server", ["--port", String(port), "--save", "", "--appendonly", "no"], {
    stdio: "ignore",
  });
  const missing = new Promise<boolean>((resolve) => process.once("error", () => resolve(true)));
  if (await Promise.race([missing, sleep(500, false)])) return undefined;
  return { port, process };
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
