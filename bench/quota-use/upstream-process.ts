// A process for bench/quota-use-requests.ts. It runs simulated Bedrocks with one quota each, and reports how much of
// the quotas was used and how late the process was. On a busy machine, a late simulator would look like a late client.
import { monitorEventLoopDelay } from "node:perf_hooks";
import type { Simulator } from "../../src/simulator/simulator.ts";
import { type Algorithm, type Quota, startUpstream, type Use, useOf } from "./upstream.ts";

/** A simulated Bedrock, and from which minute on it counts. */
export interface UpstreamOptions {
  quota: Quota;
  algorithm: Algorithm;
  jitterMs: number;
  bucketCapacity?: number;
  fromMinute: number;
}

/** What the process sends when it is asked. At its start, it sends the addresses of the simulators. */
export interface Report {
  uses: Use[];
  /** Calls refused before the counted minutes. */
  refusedBefore: number[];
  /** How much later than planned the event loop ran, in milliseconds. */
  lateMs: { p99: number; max: number };
}

const options = JSON.parse(process.argv[2]!) as UpstreamOptions[];
const simulators = await Promise.all(
  options.map(({ quota, algorithm, ...parts }) => startUpstream(quota, algorithm, parts)),
);
const resolutionMs = 10;
const delay = monitorEventLoopDelay({ resolution: resolutionMs });
delay.enable();
const startedAt = performance.now();

function refusedBefore({ calls }: Simulator, until: number): number {
  return calls.filter((call) => call.arrivedAt < until && call.outcome === "throttled").length;
}

function report(): Report {
  const now = performance.now();
  const fromOf = ({ fromMinute }: UpstreamOptions) => startedAt + fromMinute * 60_000;
  const late = (ns: number) => Math.max(0, ns / 1e6 - resolutionMs);
  return {
    uses: options.map((each, i) => useOf(simulators[i]!, each.quota, fromOf(each), now)),
    refusedBefore: options.map((each, i) => refusedBefore(simulators[i]!, fromOf(each))),
    lateMs: { p99: late(delay.percentile(99)), max: late(delay.max) },
  };
}

process.on("message", async (message: "report" | "stop") => {
  if (message === "report") return process.send!(report());
  await Promise.all(simulators.map((simulator) => simulator.stop()));
  process.disconnect();
});
process.send!(simulators.map((simulator) => simulator.url));
