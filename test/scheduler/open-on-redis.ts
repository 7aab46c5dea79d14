// A scheduler on the shared Redis, whose time the test moves.
import { newToken } from "../../src/domain/ids.ts";
import { createRedisScheduler } from "../../src/scheduler/redis/redis-scheduler.ts";
import { sharedRedisUrl } from "../support/servers.ts";
import type { Open } from "./harness.ts";

export const openOnRedis: Open = async (config) => {
  // A machine that has been up for a while, at some time of some day.
  let now = 123_456.7;
  const wallAtStart = Date.UTC(2026, 2, 14, 9, 26, 53);
  const scheduler = await createRedisScheduler({
    redis: sharedRedisUrl(),
    keyPrefix: newToken(),
    config,
    // How a busy machine behaves is not tested here.
    timeoutMs: 20_000,
    clock: { now: () => now, wall: () => wallAtStart + now },
    serverTime: () => now,
  });
  return {
    scheduler,
    async advance(ms) {
      now += ms;
    },
    cleanup: () => scheduler.close(),
  };
};
