// How fast a filled queue drains when the provider answers at once: acquire, attempt, outcome, settle for each job.
// The baseline is BullMQ's drain of no-op jobs, if a redis-server is on the PATH: not durable, no quotas, no attempts on record.
import { Queue, Worker } from "bullmq";
import { Redis } from "ioredis";
import { drainEmbedded } from "./support/drain-embedded.ts";
import { compare, type Figure, spreadOf } from "./support/measure.ts";
import { startRedis } from "./support/redis-server.ts";

const repeats = 5;
const jobs = 20_000;
const concurrency = 512;

export async function benchDrain(): Promise<Figure[]> {
  const redis = await startRedis();
  const pairs: { ours: number; baseline: number }[] = [];
  const alone: number[] = [];
  try {
    for (let i = 0; i < repeats; i++) {
      const { jobsPerS: ours } = await drainEmbedded({ jobs, concurrency });
      alone.push(ours);
      if (redis) pairs.push({ ours, baseline: await drainBullmq(redis.socket) });
    }
  } finally {
    await redis?.stop();
  }
  const what = `drain of ${jobs.toLocaleString("en")} queued jobs, instant provider`;
  const goal = "10,000 jobs/s; >= 2 x BullMQ";
  if (!redis) return [{ what, unit: "jobs/s", ours: spreadOf(alone), goal }];
  return [compare(what, "jobs/s", pairs, "BullMQ, no-op jobs", goal)];
}

/** CPU time of this process for each job, in microseconds. */
export async function cpuOfJob(metrics: boolean): Promise<number> {
  return (await drainEmbedded({ jobs, concurrency, metrics })).cpuUsPerJob;
}

async function drainBullmq(path: string): Promise<number> {
  // BullMQ leaves connections that it is given open.
  const connections = Array.from({ length: 3 }, () => new Redis({ path, maxRetriesPerRequest: null }));
  const [admin, ofQueue, ofWorker] = connections as [Redis, Redis, Redis];
  await admin.flushall();
  const queue = new Queue("bench", { connection: ofQueue });
  const worker = new Worker("bench", async () => "An answer.", { connection: ofWorker, concurrency, autorun: false });
  try {
    for (let i = 0; i < jobs; i += 1000) {
      await queue.addBulk(
        Array.from({ length: 1000 }, (_, k) => ({ name: "job", data: { prompt: `Write a line about ${i + k}.` } })),
      );
    }
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
    return jobs / ((performance.now() - start) / 1000);
  } finally {
    await worker.close();
    await queue.close();
    for (const connection of connections) connection.disconnect();
  }
}
