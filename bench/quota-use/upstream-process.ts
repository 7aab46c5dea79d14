// A process for bench/quota-use-requests.ts. It runs simulated Bedrocks with one quota each, and reports how much of
// the quotas was used and how late the process was. On a busy machine, a late simulator would look like a late client.
import type { Simulator } from "../../src/simulator/simulator.ts";
import { type Lateness, watchLateness } from "../support/event-loop-lateness.ts";
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
  /** How late the process was. */
  late: Lateness;
}

const options = JSON.parse(process.argv[2]!) as UpstreamOptions[];
const simulators = await Promise.all(
  options.map(({ quota, algorithm, ...parts }) => startUpstream(quota, algorithm, parts)),
);
const lateness = watchLateness();
const startedAt = performance.now();

function refusedBefore({ calls }: Simulator, until: number): number {
  return calls.filter((call) => call.arrivedAt < until && call.outcome === "throttled").length;
}

function report(): Report {
  const now = performance.now();
  const fromOf = ({ fromMinute }: UpstreamOptions) => startedAt + fromMinute * 60_000;
  return {
    uses: options.map((each, i) => useOf(simulators[i]!, each.quota, fromOf(each), now)),
    refusedBefore: options.map((each, i) => refusedBefore(simulators[i]!, fromOf(each))),
    late: lateness(),
  };
}

process.on("message", async (message: "report" | "stop") => {
  if (message === "report") return process.send!(report());
  await Promise.all(simulators.map((simulator) => simulator.stop()));
  process.disconnect();
});
process.send!(simulators.map((simulator) => simulator.url));
