// The scheduler in memory by itself: acquire and settle per second with a thousand and with a million jobs in the queue,
// and what a queued job costs in memory.
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { systemClock } from "../src/domain/clock.ts";
import { newJobId } from "../src/domain/ids.ts";
import { createMemoryScheduler } from "../src/scheduler/memory/memory-scheduler.ts";
import type { QueueEntry, Scheduler } from "../src/scheduler/scheduler.ts";
import type { SchedulerConfig } from "../src/scheduler/scheduler-configuration.ts";
import { compare, type Figure, spreadOf } from "./support/measure.ts";

const repeats = 5;
const million = 1_000_000;
const tenants = 50;
const perAcquire = 16;
const rounds = 4000;

const limit = 1_000_000_000;
const config: SchedulerConfig = {
  version: "1",
  quotas: [
    { name: "requests", unit: "requests", per: "minute", limit, burst: limit },
    { name: "tokens", unit: "tokens", per: "minute", limit, burst: limit / 10 },
  ],
  deployments: ["us-east-1", "us-west-2"].map((region) => ({
    id: `bedrock/${region}/model`,
    region,
    maxConcurrency: 10_000,
    quotas: ["requests", "tokens"],
    outputBurndown: 1,
  })),
  models: { model: { deployments: ["bedrock/us-east-1/model", "bedrock/us-west-2/model"], choice: "headroom" } },
  weights: { environments: { PROD: 4, UAT: 1 }, priorities: { interactive: 16, standard: 4, batch: 1 }, tenants: {} },
  leaseMs: 60_000,
  sendWithinMs: 500,
  networkJitterMs: 300,
};

export async function benchScheduler(): Promise<Figure[]> {
  const pairs: { ours: number; baseline: number }[] = [];
  const bytes: number[] = [];
  // The first run pays for the compiler.
  await rate(await filled(1000));
  for (let i = 0; i < repeats; i++) {
    bytes.push((await heapOf(million)) / million);
    const baseline = await rate(await filled(1000));
    pairs.push({ ours: await rate(await filled(million)), baseline });
  }
  return [
    compare("acquire + settle, a million queued", "jobs/s", pairs, "a thousand queued", "as fast"),
    { what: "a queued job in memory", unit: "bytes", ours: spreadOf(bytes), goal: "<= 400 MB for a million" },
  ];
}

/** Jobs as they come from a database: no two share a string. */
function entries(from: number, count: number): QueueEntry[] {
  const made = Array.from({ length: count }, (_, i) => ({
    jobId: newJobId(),
    environment: i % 3 === 0 ? "UAT" : "PROD",
    tenant: `tenant ${(from + i) % tenants}`,
    priority: i % 5 === 0 ? "interactive" : "batch",
    models: ["model"],
    tokens: { input: 100 + (i % 900), output: 500 },
    exact: false,
    order: from + i,
  }));
  return JSON.parse(JSON.stringify(made));
}

async function filled(count: number): Promise<Scheduler> {
  const scheduler = createMemoryScheduler({ config, clock: systemClock });
  const ticket = (await scheduler.beginRebuild())!;
  for (let from = 0; from < count; from += 5000) {
    await scheduler.restore(ticket, { entries: entries(from, Math.min(5000, count - from)) });
  }
  await scheduler.finishRebuild(ticket);
  return scheduler;
}

async function heapOf(count: number): Promise<number> {
  const before = heapUsed();
  const scheduler = await filled(count);
  const bytes = heapUsed() - before;
  // Not before it has been measured.
  await scheduler.close();
  return bytes;
}

/** Jobs per second. The queue stays as long as it is: what was taken is followed by as many new ones. */
async function rate(scheduler: Scheduler): Promise<number> {
  let next = million;
  let took = 0;
  let ms = 0;
  for (let i = 0; i < rounds; i++) {
    const more = entries(next, perAcquire);
    next += perAcquire;
    await scheduler.enqueue(more);
    const start = performance.now();
    const { grants } = await scheduler.acquire({ operation: String(i), worker: "bench", max: perAcquire });
    await scheduler.settle(
      grants.map(({ jobId, grant }) => ({
        jobId,
        grant,
        job: "ended",
        charge: { input: 100, output: 50 },
        signal: { kind: "ok" },
      })),
    );
    ms += performance.now() - start;
    took += grants.length;
  }
  return (took / ms) * 1000;
}

function heapUsed(): number {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
  return process.memoryUsage().heapUsed;
}
