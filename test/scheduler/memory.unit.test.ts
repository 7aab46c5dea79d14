import { createMemoryScheduler } from "../../src/scheduler/memory/memory-scheduler.ts";
import { schedulerConformance } from "./conformance.ts";

schedulerConformance("the scheduler in memory", async (config) => {
  // A machine that has been up for a while, at some time of some day.
  let now = 123_456.7;
  const wallAtStart = Date.UTC(2026, 2, 14, 9, 26, 53);
  const scheduler = createMemoryScheduler({ config, clock: { now: () => now, wall: () => wallAtStart + now } });
  return {
    scheduler,
    async advance(ms) {
      now += ms;
    },
    cleanup: () => scheduler.close(),
  };
});
