// A process that is late: its calls leave seconds after they were charged, and sometimes it stands still. No window of the
// provider may be exceeded, little of the quota may be lost, and a refusal may teach nothing about the limit.
import fc from "fast-check";
import { expect, test } from "vitest";
import { newToken } from "../../src/domain/ids.ts";
import { createRedisScheduler } from "../../src/scheduler/redis/redis-scheduler.ts";
import type { QuotaConfig } from "../../src/scheduler/scheduler-configuration.ts";
import { sharedRedisUrl } from "../support/servers.ts";
import { configOf, deployment, minuteMs, quota } from "./harness.ts";
import { type Lateness, type Plan, percent, refused, simulate, type Unit, use } from "./simulation/simulation.ts";
import { algorithms, upstream } from "./simulation/upstreams.ts";

const windows = ["fixed window", "sliding log"] as const;

const onRedis: Plan["open"] = (config, clock) => {
  const redis = { redis: sharedRedisUrl(), keyPrefix: newToken(), timeoutMs: 20_000 };
  return createRedisScheduler({ ...redis, config, clock, serverTime: () => clock.now() });
};

interface Situation {
  limit: QuotaConfig;
  counted: (typeof windows)[number];
  late: Lateness;
  seed: number;
  callMs?: readonly [number, number];
}

async function run({ limit, counted, late, seed, callMs }: Situation, minutes: number, open?: Plan["open"]) {
  const unit: Unit = limit.unit === "requests" ? "requests" : "tokens";
  const { calls, driver } = await simulate({
    config: configOf([limit], [deployment("d", ["q"])]),
    upstreams: { d: { engine: upstream(algorithms[counted], limit.limit, unit) } },
    minutes,
    sizes: [limit.limit / 10_000, limit.limit / 100],
    late,
    seed,
    ...(callMs && { callMs }),
    ...(open && { open }),
  });
  const { effectiveLimit } = await driver.quota("q");
  await driver.scheduler.close();
  const { held } = use(calls, unit, minuteMs, minutes * minuteMs);
  return { used: held / limit.limit, refused: refused(calls), calls: calls.length, effectiveLimit };
}

const lateness: fc.Arbitrary<Lateness> = fc.record({
  share: fc.double({ min: 0, max: 1, noNaN: true }),
  callMs: fc.constantFrom(300, 2000, 15_000),
  stopsMs: fc.constantFrom(
    { stopped: 1, running: minuteMs },
    { stopped: 3000, running: 10_000 },
    { stopped: 20_000, running: 60_000 },
  ),
});

const limits = fc.constantFrom(
  quota("q", 600),
  quota("q", 600, { burst: 60 }),
  quota("q", 20),
  quota("q", 1_000_000, { unit: "tokens", burst: 100_000 }),
);

const situation: fc.Arbitrary<Situation> = fc.record({
  limit: limits,
  counted: fc.constantFrom(...windows),
  late: lateness,
  seed: fc.nat(),
  callMs: fc.constantFrom([100, 2000] as const, [1000, 100_000] as const),
});

for (const [name, open, numRuns] of [
  ["memory", undefined, 60],
  ["Redis", onRedis, 6],
] as const) {
  test(`in ${name}: a process that is late exceeds no window, and its limit stays`, { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(situation, async (s) => {
        expect(await run(s, 5, open)).toMatchObject({ refused: 0, effectiveLimit: s.limit.limit });
      }),
      { numRuns },
    );
  });
}

test("with moderate lateness at least 95 % is used", { timeout: 60_000 }, async () => {
  const moderate: Lateness = { share: 0.1, callMs: 2000, stopsMs: { stopped: 1000, running: 20_000 } };
  const table: object[] = [];
  for (const limit of [
    quota("q", 600),
    quota("q", 600, { burst: 60 }),
    quota("q", 1_000_000, { unit: "tokens", burst: 100_000 }),
  ]) {
    for (const counted of windows) {
      const { used, ...rest } = await run({ limit, counted, late: moderate, seed: 7 }, 11);
      table.push({
        limit: `${limit.limit} ${limit.unit}, burst ${limit.burst}`,
        counted,
        "used %": percent(used),
        ...rest,
      });
      expect.soft(used, `${limit.unit}, ${counted}`).toBeGreaterThanOrEqual(0.95);
      expect.soft(rest.refused, `${limit.unit}, ${counted}`).toBe(0);
    }
  }
  console.table(table);
});
