// npm run bench: compiles as the service is compiled, measures, prints figures and writes bench/results/<time>.json.
//
//   npm run bench                        all benchmarks; takes about an hour
//   npm run bench enqueue drain          only these
//   npm run bench -- --busy enqueue      the same while one spinning process for each core keeps it busy
//   npm run bench -- --save enqueue      keeps the figures in bench/last-result.json and docs/benchmarks.md
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { benchBatch } from "./batch.ts";
import { benchDashboard } from "./dashboard.ts";
import { benchDistributed } from "./distributed.ts";
import { benchDistributedLatency } from "./distributed-latency.ts";
import { benchDrain } from "./drain.ts";
import { benchEnqueue } from "./enqueue.ts";
import { benchHeld } from "./held.ts";
import { benchIdleLatency } from "./idle-latency.ts";
import { benchMetrics } from "./metrics.ts";
import { benchQuotaUse } from "./quota-use.ts";
import { benchQuotaUseRequests } from "./quota-use-requests.ts";
import { benchRedisScheduler } from "./redis-scheduler.ts";
import { benchRetention } from "./retention.ts";
import { benchScheduler } from "./scheduler.ts";
import { benchStore } from "./store.ts";
import { keepCoresBusy } from "./support/busy-cores.ts";
import { save } from "./support/last-result.ts";
import { machine, shownLoad, shownMachine, watchLoad } from "./support/machine.ts";
import { type Figure, type Measured, printFigures } from "./support/measure.ts";
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
  "quota-use-requests": benchQuotaUseRequests,
  "redis-scheduler": benchRedisScheduler,
  distributed: benchDistributed,
  "distributed-latency": benchDistributedLatency,
  scheduler: benchScheduler,
  retention: benchRetention,
  store: benchStore,
  tracing: benchTracing,
};

const { values: options, positionals } = parseArgs({
  options: { busy: { type: "boolean", default: false }, save: { type: "boolean", default: false } },
  allowPositionals: true,
});
const names = positionals.length > 0 ? positionals : Object.keys(benchmarks);
const unknown = names.find((name) => !Object.hasOwn(benchmarks, name));
if (unknown !== undefined) {
  console.error(`There is no benchmark ${unknown}; there are ${Object.keys(benchmarks).join(", ")}.`);
  process.exit(1);
}

const on = machine();
console.log(shownMachine(on));
const results: Measured[] = [];
for (const name of names) {
  console.log(`\n${name} ...`);
  const release = options.busy ? keepCoresBusy(on.cores) : () => {};
  const loadSoFar = watchLoad();
  try {
    const figures = await benchmarks[name]!();
    const result = { name, at: new Date().toISOString(), busy: options.busy, load: loadSoFar(), figures };
    printFigures(figures);
    console.log(`\n${shownLoad(result.load)}`);
    results.push(result);
  } finally {
    release();
  }
}

const folder = join("bench", "results");
await mkdir(folder, { recursive: true });
const file = join(folder, `${results[0]!.at.replaceAll(":", "-")}.json`);
await writeFile(file, `${JSON.stringify({ machine: on, results }, undefined, 2)}\n`);
console.log(`Written to ${file}`);
if (options.save) console.log(`Written to ${(await save(on, results)).join(" and ")}`);
