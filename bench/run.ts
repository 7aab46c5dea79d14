// npm run bench: compiles as the service is compiled, measures everything, prints a table and writes
// bench/results/<time>.json. With names of `benchmarks` as arguments, it measures only those.
import { mkdir, writeFile } from "node:fs/promises";
import { cpus, loadavg } from "node:os";
import { join } from "node:path";
import { benchBatch } from "./batch.ts";
import { benchDashboard } from "./dashboard.ts";
import { benchDistributedLatency } from "./distributed-latency.ts";
import { benchDrain } from "./drain.ts";
import { benchEnqueue } from "./enqueue.ts";
import { benchHeld } from "./held.ts";
import { benchIdleLatency } from "./idle-latency.ts";
import { benchMetrics } from "./metrics.ts";
import { benchQuotaUse } from "./quota-use.ts";
import { benchRedisScheduler } from "./redis-scheduler.ts";
import { benchRetention } from "./retention.ts";
import { benchScheduler } from "./scheduler.ts";
import { benchStore } from "./store.ts";
import { type Figure, printFigures } from "./support/measure.ts";
import { benchTracing } from "./tracing.ts";

const benchmarks: Record<string, () => Promise<Figure[]>> = {
  batch: benchBatch,
  dashboard: benchDashboard,
  enqueue: benchEnqueue,
  drain: benchDrain,
  held: benchHeld,
  "idle-latency": benchIdleLatency,
  metrics: benchMetrics,
  "quota-use": benchQuotaUse,
  "redis-scheduler": benchRedisScheduler,
  "distributed-latency": benchDistributedLatency,
  scheduler: benchScheduler,
  retention: benchRetention,
  store: benchStore,
  tracing: benchTracing,
};

const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(benchmarks);
const loadBefore = loadavg()[0]!;
const figures: Figure[] = [];
for (const name of names) {
  const run = benchmarks[name];
  if (run === undefined) {
    console.error(`There is no benchmark ${name}; there are ${Object.keys(benchmarks).join(", ")}.`);
    process.exit(1);
  }
  console.log(`${name} ...`);
  figures.push(...(await run()));
}

printFigures(figures);
const at = new Date().toISOString();
const [cpu] = cpus();
const load = { before: loadBefore, after: loadavg()[0]! };
console.log(
  `Load average: ${load.before.toFixed(1)} before, ${load.after.toFixed(1)} after, on ${cpus().length} cores.`,
);
const { version, platform } = process;
const machine = { cpu: cpu?.model, cores: cpus().length, node: version, platform, load };
const folder = join("bench", "results");
await mkdir(folder, { recursive: true });
const file = join(folder, `${at.replaceAll(":", "-")}.json`);
await writeFile(file, `${JSON.stringify({ at, machine, figures }, undefined, 2)}\n`);
console.log(`Written to ${file}`);
