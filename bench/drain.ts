// How fast a filled queue drains when the provider answers at once: acquire, attempt, outcome, settle for each job. Two
// drains of BullMQ follow in each repeat: one is not durable, and one syncs each command to disk as Sluice does.
import { drainBullmq } from "./support/drain-bullmq.ts";
import type { Drained } from "./support/drain-cpu.ts";
import { drainEmbedded } from "./support/drain-embedded.ts";
import { compare, type Figure, spreadOf } from "./support/measure.ts";
import { startRedis } from "./support/redis-server.ts";

const repeats = 3;
const jobs = 20_000;
const concurrency = 512;

const rivals = [
  { name: "BullMQ, no-op jobs, not durable", durable: false, goal: "ratio >= 1" },
  { name: "BullMQ, no-op jobs, appendfsync always", durable: true, goal: "ratio >= 1.5" },
];

export async function benchDrain(): Promise<Figure[]> {
  const what = `drain of ${jobs.toLocaleString("en")} queued jobs, instant provider`;
  const cpu = "CPU of a drained job, all processes";
  const servers = await Promise.all(rivals.map(({ durable }) => startRedis(durable)));
  const ours: Drained[] = [];
  const theirs: Drained[][] = rivals.map(() => []);
  try {
    for (let i = 0; i < repeats; i++) {
      ours.push(await drainEmbedded({ jobs, concurrency }));
      for (const [r, server] of servers.entries()) if (server) theirs[r]!.push(await drainBullmq(server.socket, jobs));
    }
  } finally {
    await Promise.all(servers.map((server) => server?.stop()));
  }
  if (servers.includes(undefined)) return [{ what, unit: "jobs/s", ours: spreadOf(ours.map((o) => o.jobsPerS)) }];
  return rivals.flatMap(({ name, goal }, r) => {
    const pairs = (of: (drained: Drained) => number) =>
      ours.map((own, i) => ({ ours: of(own), baseline: of(theirs[r]![i]!) }));
    return [
      compare(
        what,
        "jobs/s",
        pairs((d) => d.jobsPerS),
        name,
        goal,
      ),
      compare(
        cpu,
        "us",
        pairs((d) => d.cpuUsPerJob + d.redisCpuUsPerJob),
        name,
      ),
    ];
  });
}

/** CPU time of this process for each job, in microseconds. */
export async function cpuOfJob(metrics: boolean): Promise<number> {
  return (await drainEmbedded({ jobs, concurrency, metrics })).cpuUsPerJob;
}
