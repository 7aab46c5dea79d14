// Drains a filled queue of BullMQ with jobs that do nothing. It has no quotas, attempts or fairness, and is durable
// only if its Redis is.
import { Queue, Worker } from "bullmq";
import { Redis } from "ioredis";
import { newJobId } from "../../src/domain/ids.ts";
import { cpuOfDrain, type Drained } from "./drain-cpu.ts";

const concurrency = 512;

/** Empties the Redis of this socket, fills a queue with jobs, and measures how fast one worker drains it. */
export async function drainBullmq(path: string, jobs: number): Promise<Drained> {
  // BullMQ does not close connections that it was given.
  const connections = Array.from({ length: 3 }, () => new Redis({ path, maxRetriesPerRequest: null }));
  const [admin, ofQueue, ofWorker] = connections as [Redis, Redis, Redis];
  await admin.flushall();
  const queue = new Queue("bench", { connection: ofQueue });
  const worker = new Worker("bench", async () => "An answer.", { connection: ofWorker, concurrency, autorun: false });
  try {
    await fillBullmq(queue, jobs, (i) => ({ prompt: `Write a line about ${i}.` }));
    const ended = new Promise<void>((resolve) => {
      let left = jobs;
      worker.on("completed", () => {
        if (--left === 0) resolve();
      });
    });
    await worker.waitUntilReady();
    return await cpuOfDrain(jobs, admin, async () => {
      worker.run();
      await ended;
    });
  } finally {
    await worker.close();
    await queue.close();
    for (const connection of connections) connection.disconnect();
  }
}

/** Adds jobs with ids of Sluice's length and a name of one letter. */
export async function fillBullmq(queue: Queue, count: number, dataOf: (index: number) => object): Promise<void> {
  for (let at = 0; at < count; at += 1000) {
    await queue.addBulk(
      Array.from({ length: Math.min(1000, count - at) }, (_, i) => ({
        name: "j",
        data: dataOf(at + i),
        opts: { jobId: newJobId() },
      })),
    );
  }
}
