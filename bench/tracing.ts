// What tracing costs: the drain of a filled queue with a provider that answers at once, with tracing off, on, and on for
// jobs whose submitters do not sample. Spans go to a collector in a process of its own, with the defaults of the SDK: when
// its buffer of 2,048 spans is full, further spans are dropped.
import { fork } from "node:child_process";
import { once } from "node:events";
import { openTracing } from "../src/telemetry/open-tracing.ts";
import { answerOf } from "./support/child-answer.ts";
import type { Drained } from "./support/drain-cpu.ts";
import { drainEmbedded } from "./support/drain-embedded.ts";
import { compare, type Figure, spreadOf } from "./support/measure.ts";

const repeats = 7;
const jobs = 20_000;
const concurrency = 512;
/** Each job has a span of its wait and one of its call. */
const spansPerJob = 2;
const trace = (flags: "00" | "01") => ({ traceparent: `00-${"a".repeat(32)}-${"b".repeat(16)}-${flags}` });

export async function benchTracing(): Promise<Figure[]> {
  const collector = fork(new URL("./support/otlp-server.js", import.meta.url));
  const port = await answerOf<number>(collector);
  // The SDK reads the variables of the process.
  process.env.OTEL_EXPORTER_OTLP_ENDPOINT = `http://127.0.0.1:${port}`;
  process.env.OTEL_EXPORTER_OTLP_PROTOCOL = "http/json";
  const arrived: number[] = [];
  const sampled: { ours: Drained; baseline: Drained }[] = [];
  const notSampled: { ours: Drained; baseline: Drained }[] = [];
  try {
    await drainEmbedded({ jobs, concurrency });
    for (let i = 0; i < repeats; i++) {
      const off = await drainEmbedded({ jobs, concurrency });
      sampled.push({ ours: await traced("01"), baseline: off });
      collector.send("count");
      const count = await answerOf<number>(collector);
      arrived.push(count / (jobs * spansPerJob));
      notSampled.push({ ours: await traced("00"), baseline: off });
    }
  } finally {
    collector.send("stop");
    await once(collector, "exit");
  }
  const what = `drain of ${jobs.toLocaleString("en")} queued jobs, instant provider`;
  const figures = (name: string, pairs: typeof sampled) => [
    compare(`${what}, ${name}`, "jobs/s", of(pairs, "jobsPerS"), "tracing off"),
    compare(`${what}, ${name}: CPU time for each job`, "us", of(pairs, "cpuUsPerJob"), "tracing off"),
  ];
  return [
    ...figures("every job traced", sampled),
    ...figures("submitters do not sample", notSampled),
    { what: `${what}: share of the spans that arrived`, unit: "", ours: spreadOf(arrived) },
  ];
}

function of(pairs: readonly { ours: Drained; baseline: Drained }[], figure: keyof Drained) {
  return pairs.map(({ ours, baseline }) => ({ ours: ours[figure], baseline: baseline[figure] }));
}

async function traced(flags: "00" | "01"): Promise<Drained> {
  const log = { warn: (about: unknown) => console.error(about) };
  const open = await openTracing({ env: process.env, version: "bench", log });
  if (!open) throw new Error("Tracing is not available.");
  try {
    return await drainEmbedded({ jobs, concurrency, tracing: open.tracing, trace: trace(flags) });
  } finally {
    await open.close();
  }
}
