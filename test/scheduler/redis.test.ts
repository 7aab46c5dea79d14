// The scheduler in Redis does what every adapter must do.
import { describe } from "vitest";
import { newToken } from "../../src/domain/ids.ts";
import { createRedisScheduler } from "../../src/scheduler/redis/redis-scheduler.ts";
import { sharedRedisUrl, withoutRedis } from "../support/servers.ts";
import { schedulerConformance } from "./conformance.ts";

describe.skipIf(withoutRedis())("on a real server", () => {
  schedulerConformance("the scheduler in Redis", async (config) => {
    // A machine that has been up for a while, at some time of some day.
    let now = 123_456.7;
    const wallAtStart = Date.UTC(2026, 2, 14, 9, 26, 53);
    const scheduler = await createRedisScheduler({
      redis: sharedRedisUrl(),
      keyPrefix: newToken(),
      config,
      // A busy machine is not what is tested here.
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
  });
});
