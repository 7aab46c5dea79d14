// What a drain costs: time, and CPU time of this process and of its Redis.
import type { Redis } from "ioredis";

export interface Drained {
  jobsPerS: number;
  /** CPU time of this process for each job, in microseconds. */
  cpuUsPerJob: number;
  /** CPU time of the Redis server for each job, in microseconds; 0 without one. */
  redisCpuUsPerJob: number;
}

/** Runs a drain of `jobs` jobs and measures it. Without a Redis, its CPU time is 0. */
export async function cpuOfDrain(jobs: number, redis: Redis | undefined, drain: () => Promise<void>): Promise<Drained> {
  const redisBefore = await redisCpuUs(redis);
  const start = performance.now();
  const before = process.cpuUsage();
  await drain();
  const { user, system } = process.cpuUsage(before);
  const seconds = (performance.now() - start) / 1000;
  return {
    jobsPerS: jobs / seconds,
    cpuUsPerJob: (user + system) / jobs,
    redisCpuUsPerJob: ((await redisCpuUs(redis)) - redisBefore) / jobs,
  };
}

async function redisCpuUs(redis: Redis | undefined): Promise<number> {
  const info = (await redis?.info("cpu")) ?? "";
  let seconds = 0;
  for (const [, part] of info.matchAll(/^used_cpu_(?:sys|user):([\d.]+)/gm)) seconds += Number(part);
  return seconds * 1e6;
}
