// Measures how much of quotas of requests is used, and how often the simulated Bedrock refuses, over real sockets and
// real minutes. Bedrock counts by windows behind a network with jitter, or by a bucket of a sixth of a minute that the
// configuration does not name. With --busy, other processes keep all cores busy, so calls leave late. The simulated
// Bedrocks run in a process of their own with a higher priority. The output says how late each side was. BENCH_MINUTES
// sets the duration; default 5.
import { fork } from "node:child_process";
import { once } from "node:events";
import { constants, setPriority } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ours } from "./quota-use/contenders.ts";
import type { Quota } from "./quota-use/upstream.ts";
import type { Report, UpstreamOptions } from "./quota-use/upstream-process.ts";
import { answerOf } from "./support/child-answer.ts";
import { type Lateness, watchLateness } from "./support/event-loop-lateness.ts";
import { type Figure, spreadOf } from "./support/measure.ts";

const minutes = Number(process.env.BENCH_MINUTES ?? 5);

const spread: Quota = { unit: "requests", limit: 600, sizes: [16, 16] };
const atOnce: Quota = { ...spread, hasBurst: false };
const window = { jitterMs: 200, fromMinute: 1 };
const rows: Record<string, UpstreamOptions> = {
  "fixed window": { quota: spread, algorithm: "fixed", ...window },
  "sliding log": { quota: spread, algorithm: "sliding", ...window },
  "fixed window, without burst": { quota: atOnce, algorithm: "fixed", ...window },
  "sliding log, without burst": { quota: atOnce, algorithm: "sliding", ...window },
  "bucket of a sixth, without burst": {
    quota: atOnce,
    algorithm: "bucket",
    bucketCapacity: 1 / 6,
    jitterMs: 200,
    fromMinute: 3,
  },
};

export async function benchQuotaUseRequests(): Promise<Figure[]> {
  const upstreams = fork(join(import.meta.dirname, "quota-use", "upstream-process.js"), [
    JSON.stringify(Object.values(rows)),
  ]);
  const isPrior = prefer(upstreams.pid!);
  const urls = await answerOf<string[]>(upstreams);
  const startedAt = performance.now();
  const lateness = watchLateness();
  const options = Object.values(rows);
  const ends = await Promise.all(urls.map((url, i) => ours(url, options[i]!.quota, minutes)));
  await sleep(startedAt + minutes * 60_000 - performance.now());
  upstreams.send("report");
  const report = await answerOf<Report>(upstreams);
  const late = ({ p99, max }: Lateness) => `p99 ${p99.toFixed(0)} ms, at most ${max.toFixed(0)} ms`;
  console.log(`Event loop of the services late: ${late(lateness())}.`);
  const priority = isPrior ? "with a higher priority" : "with the same priority";
  console.log(`Event loop of the upstreams late, ${priority}: ${late(report.late)}.`);
  await Promise.all(ends.map((end) => end()));
  upstreams.send("stop");
  await once(upstreams, "exit");
  return Object.keys(rows).flatMap((name, i) => figuresOf(name, options[i]!, report, i));
}

/** Raises the priority of a process, if the system allows that. */
function prefer(pid: number): boolean {
  try {
    setPriority(pid, constants.priority.PRIORITY_HIGHEST);
    return true;
  } catch {
    return false;
  }
}

function figuresOf(name: string, { fromMinute, bucketCapacity }: UpstreamOptions, report: Report, i: number): Figure[] {
  const { held, throttled, calls } = report.uses[i]!;
  if (calls === 0) throw new Error(`${name}: the service sent no call. What it logged says why.`);
  const what = `600 requests/min, ${name}, from minute ${fromMinute + 1} on`;
  console.log(`${name}: ${calls} calls; ${report.refusedBefore[i]} refused before minute ${fromMinute + 1}.`);
  return [
    { what: `${what}: used`, unit: "% of the limit", ours: spreadOf([held * 100]), goal: ">= 95" },
    {
      what: `${what}: refused`,
      unit: "% of calls",
      ours: spreadOf([throttled * 100]),
      goal: bucketCapacity === undefined ? "< 0.5" : "< 1",
    },
  ];
}
