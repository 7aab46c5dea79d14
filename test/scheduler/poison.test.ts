// The same as poison.unit.test.ts, for the scheduler in Redis.
import fc from "fast-check";
import { test } from "vitest";
import { newToken } from "../../src/domain/ids.ts";
import { createRedisScheduler } from "../../src/scheduler/redis/redis-scheduler.ts";
import { sharedRedisUrl, withoutRedis } from "../support/servers.ts";
import type { Open } from "./harness.ts";
import { isolates, runs } from "./simulation/poison.ts";

const open: Open = async (config) => {
  let now = 123_456;
  const scheduler = await createRedisScheduler({
    redis: sharedRedisUrl(),
    keyPrefix: newToken(),
    config,
    timeoutMs: 20_000,
    clock: { now: () => now, wall: () => now },
    serverTime: () => now,
  });
  return {
    scheduler,
    advance: async (ms) => {
      now += ms;
    },
    cleanup: () => scheduler.close(),
  };
};

test.skipIf(withoutRedis())(
  "whatever a provider answers to some jobs, the other jobs complete within the bound",
  async () => {
    await fc.assert(
      fc.asyncProperty(runs, (run) => isolates(open, run)),
      { numRuns: Number(process.env.POISON_RUNS ?? 8) },
    );
  },
);
