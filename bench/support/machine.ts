// Describes the machine that a figure was measured on, and how busy it was. Other work on the machine changes figures.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, loadavg, release } from "node:os";

export interface Machine {
  cpu: string;
  cores: number;
  /** Versions of Node, the kernel and Redis. */
  versions: Record<string, string>;
}

/** How busy the machine was during a benchmark, including the benchmark. Shares are of all cores, from 0 to 1. */
export interface Load {
  /** Load average of the last minute at the start, from work before the benchmark. */
  before: number;
  after: number;
  /** Absent without /proc/stat. */
  busy?: number;
  /** Time that the hypervisor gave to other machines. Absent without /proc/stat. */
  steal?: number;
}

export function machine(): Machine {
  const [first] = cpus();
  const redis = redisVersion();
  return {
    cpu: first?.model.trim() ?? "unknown",
    cores: cpus().length,
    versions: {
      node: process.version.slice(1),
      kernel: release(),
      ...(redis && { redis }),
    },
  };
}

/** Starts to measure the load of the machine. The returned function ends that and returns the load. */
export function watchLoad(): () => Load {
  const before = loadavg()[0]!;
  const start = ticks();
  return () => {
    const end = ticks();
    const load = { before, after: loadavg()[0]! };
    if (!start || !end) return load;
    const all = end.all - start.all;
    return { ...load, busy: 1 - (end.idle - start.idle) / all, steal: (end.steal - start.steal) / all };
  };
}

export function shownMachine({ cpu, cores, versions }: Machine): string {
  const named = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return `${cpu}, ${cores} cores; ${named.join(", ")}`;
}

export function shownLoad({ before, after, busy, steal }: Load): string {
  const percent = (share: number) => `${(share * 100).toFixed(1)} %`;
  const averages = `load average ${before.toFixed(1)} before, ${after.toFixed(1)} after`;
  return busy === undefined ? averages : `${averages}; cores busy ${percent(busy)}, steal ${percent(steal!)}`;
}

/** Time since the start of the machine, summed over its cores, in ticks; see proc(5). */
function ticks(): { all: number; idle: number; steal: number } | undefined {
  let stat: string;
  try {
    stat = readFileSync("/proc/stat", "utf8");
  } catch {
    return undefined;
  }
  const [user, nice, system, idle, iowait, irq, softirq, steal] = stat
    .split("\n", 1)[0]!
    .split(/\s+/)
    .slice(1)
    .map(Number);
  const all = user! + nice! + system! + idle! + iowait! + irq! + softirq! + steal!;
  return { all, idle: idle! + iowait!, steal: steal! };
}

function redisVersion(): string | undefined {
  try {
    return /v=(\S+)/.exec(execFileSync("redis-server", ["--version"], { encoding: "utf8" }))?.[1];
  } catch {
    return undefined;
  }
}
