// How much of a quota is used with a backlog, and whether the provider ever refuses. Runs the real scheduler against
// upstreams that count in every way that is known. Counts from the second minute on: what was held (reserved by running
// calls and used by ended ones) in the minute before each moment, and what was settled alone.
import { expect, test } from "vitest";
import type { QuotaConfig } from "../../src/scheduler/scheduler-configuration.ts";
import { configOf, deployment, minuteMs, quota } from "./harness.ts";
import { percent, type Range, refused, simulate, type Unit, use } from "./simulation/simulation.ts";
import { type Algorithm, algorithms, upstream } from "./simulation/upstreams.ts";

const minutes = 11;

interface Scenario {
  name: string;
  limit: QuotaConfig;
  sizes: Range;
  used?: Range;
}

const tokens = (limit: number, burst = limit / 10) => quota("q", limit, { unit: "tokens", burst });

const scenarios: Scenario[] = [
  { name: "600 requests", limit: quota("q", 600, { burst: 60 }), sizes: [100, 20_000] },
  { name: "1,000,000 tokens, all of them used", limit: tokens(1_000_000), sizes: [200, 20_000] },
  { name: "1,000,000 tokens, 75 to 100 % used", limit: tokens(1_000_000), sizes: [200, 20_000], used: [0.75, 1] },
];

/** One job is more than 2 % of these quotas, so only the absence of refusals is promised. */
const small: Scenario[] = [
  { name: "10 requests, at once", limit: quota("q", 10), sizes: [100, 20_000] },
  { name: "10 requests, spread", limit: quota("q", 10, { burst: 1 }), sizes: [100, 20_000] },
  { name: "100,000 tokens, jobs up to 2 %", limit: tokens(100_000), sizes: [20, 2000] },
  { name: "100,000 tokens, jobs up to 20 %", limit: tokens(100_000), sizes: [200, 20_000] },
];

async function measure({ limit, sizes, used }: Scenario, algorithm: Algorithm) {
  const unit: Unit = limit.unit === "requests" ? "requests" : "tokens";
  const { calls } = await simulate({
    config: configOf([limit], [deployment("d", ["q"])]),
    upstreams: { d: { engine: upstream(algorithm, limit.limit, unit) } },
    minutes,
    sizes,
    ...(used && { used }),
  });
  const { held, settled } = use(calls, unit, minuteMs, minutes * minuteMs);
  return {
    calls: calls.length,
    throttled: refused(calls),
    held: held / limit.limit,
    settled: settled / limit.limit,
  };
}

function row(
  scenario: Scenario,
  counted: string,
  { calls, throttled, held, settled }: Awaited<ReturnType<typeof measure>>,
) {
  const shares = { "held %": percent(held), "settled %": percent(settled) };
  return { quota: scenario.name, upstream: counted, calls, throttled, ...shares };
}

test("a backlog uses at least 98 % of what is allowed, and no call is refused", {
  timeout: 120_000,
}, async () => {
  const table: object[] = [];
  for (const scenario of scenarios) {
    for (const [counted, algorithm] of Object.entries(algorithms)) {
      const use = await measure(scenario, algorithm);
      table.push(row(scenario, counted, use));
      expect.soft(use.throttled, `${scenario.name}, ${counted}`).toBe(0);
      expect.soft(use.held, `${scenario.name}, ${counted}`).toBeGreaterThanOrEqual(0.98);
      expect.soft(use.held, `${scenario.name}, ${counted}`).toBeLessThanOrEqual(1);
    }
  }
  console.table(table);
});

test("small quotas reach what their few large jobs allow, and no call is refused", { timeout: 60_000 }, async () => {
  const table: object[] = [];
  for (const scenario of small) {
    for (const [counted, algorithm] of Object.entries(algorithms)) {
      // A bucket of N/6 cannot hold what such a quota lets through at once.
      if (algorithm.bucketCapacity < 1) continue;
      const use = await measure(scenario, algorithm);
      table.push(row(scenario, counted, use));
      expect.soft(use.throttled, `${scenario.name}, ${counted}`).toBe(0);
    }
  }
  console.table(table);
});

test("the same upstreams refuse calls of a scheduler without a pacer", { timeout: 60_000 }, async () => {
  const greedy = { ...scenarios[0]!, limit: quota("q", 600) };
  expect((await measure(greedy, algorithms["bucket of N/6"])).throttled).toBeGreaterThan(0);
});
