// One request stops no others. Some jobs are poisonous in any way a provider can answer; all others complete within a
// stated bound, in virtual time.
import fc from "fast-check";
import { test } from "vitest";
import { createMemoryScheduler } from "../../src/scheduler/memory/memory-scheduler.ts";
import type { Open } from "./harness.ts";
import { isolates, type Manner, runs } from "./simulation/poison.ts";

const open: Open = async (config) => {
  let now = 123_456;
  const scheduler = createMemoryScheduler({ config, clock: { now: () => now, wall: () => now } });
  return {
    scheduler,
    advance: async (ms) => {
      now += ms;
    },
    cleanup: () => scheduler.close(),
  };
};

test("whatever a provider answers to some jobs, the other jobs complete within the bound", async () => {
  await fc.assert(
    fc.asyncProperty(runs, (run) => isolates(open, run)),
    { numRuns: Number(process.env.POISON_RUNS ?? 200) },
  );
});

test.each(
  [429, 503, 529].flatMap((status) =>
    [undefined, 100].flatMap((limit) => [1, 10].map((n) => [status, limit, n] as const)),
  ),
)(
  "one %d with a Retry-After of a day costs six others a minute, with a limit of %s and %d at a time",
  async (...run) => {
    const [status, limit, concurrency] = run;
    const poison: Manner = { kind: "refused", status, message: "No.", retryAfterS: 86_400 };
    const manners = [poison, ...Array.from({ length: 6 }, (): Manner => ({ kind: "answered" }))];
    await isolates(open, { manners, concurrency, deployments: 1, answerMs: 100, limit }, 65_000);
  },
);

test("three hundred poisonous jobs ahead of twenty others of the same tenant", async () => {
  const refused: Manner = { kind: "refused", status: 404, message: "No." };
  const manners = [
    ...Array.from({ length: 300 }, () => refused),
    ...Array.from({ length: 20 }, (): Manner => ({ kind: "answered" })),
  ];
  await isolates(open, { manners, concurrency: 50, deployments: 1, answerMs: 2_000, limit: undefined }, 6 * 60_000);
});
