// Quotas of requests that are not spread, because the configuration sets no `burst`, behind providers that admit less at
// once than in a minute. The burst is learned from the first refusals, and from then on nothing is refused.
import fc from "fast-check";
import { expect, test } from "vitest";
import { configOf, deployment, minuteMs, quota } from "./harness.ts";
import { type Plan, percent, type Run, refused, simulate, use } from "./simulation/simulation.ts";
import { algorithms, upstream } from "./simulation/upstreams.ts";

/** Jobs of one request each, without `burst`, until the minute. */
function planOf(limit: number, engine: ReturnType<typeof upstream>, minutes: number, parts: Partial<Plan> = {}): Plan {
  const config = configOf([quota("q", limit)], [deployment("d", ["q"])]);
  return { config, upstreams: { d: { engine } }, minutes, sizes: [100, 4000], ...parts };
}

/** Calls that were refused between two minutes, as a share of all calls of that time. */
function refusedShare({ calls }: Run, from: number, to: number): number {
  const all = calls.filter(({ chargedAt }) => chargedAt >= from * minuteMs && chargedAt < to * minuteMs).length;
  return refused(calls, from * minuteMs, to * minuteMs) / all;
}

function usedShare({ calls }: Run, limit: number, from: number, to: number): number {
  return use(calls, "requests", from * minuteMs, to * minuteMs).held / limit;
}

test("a bucket of a 60th of the limit or more: from the third minute on 95 % is used and less than 1 % refused", {
  timeout: 120_000,
}, async () => {
  const rows = new Map<
    number,
    { runs: number; "least used %": number; "most refused": number; "refused at first": number }
  >();
  const situation = fc.record({
    limit: fc.constantFrom(10, 60, 60, 600, 600, 6000),
    share: fc.double({ min: 1 / 60, max: 1, noNaN: true }),
    jitterMs: fc.constantFrom(0, 50, 300),
    callMs: fc.constantFrom([100, 500] as const, [1000, 10_000] as const, [5000, 40_000] as const),
    seed: fc.nat(),
  });
  await fc.assert(
    fc.asyncProperty(situation, async ({ limit, share, ...parts }) => {
      // Calls at an even pace come together on their way. A bucket must hold that.
      const least = 1 + ((parts.jitterMs + 50) * limit) / minuteMs;
      const capacity = Math.max(least + limit / 60, share * limit);
      fc.pre(capacity <= limit);
      const engine = upstream({ algorithm: "bucket", bucketCapacity: capacity / limit }, limit, "requests");
      const run = await simulate(planOf(limit, engine, 6, parts));
      const used = usedShare(run, limit, 2, 6);
      const late = refused(run.calls, 2 * minuteMs);
      const { effectiveLimit } = await run.driver.quota("q");
      const row = rows.get(limit) ?? { runs: 0, "least used %": 100, "most refused": 0, "refused at first": 0 };
      rows.set(limit, {
        runs: row.runs + 1,
        "least used %": Math.min(row["least used %"], percent(used)),
        "most refused": Math.max(row["most refused"], late),
        "refused at first": Math.max(row["refused at first"], refused(run.calls) - late),
      });
      expect(effectiveLimit).toBe(limit);
      expect(used).toBeGreaterThanOrEqual(0.95);
      // A probe of a quota of ten requests may be one call of forty.
      expect(late).toBeLessThanOrEqual(Math.max(1, 0.01 * limit * 4));
    }),
    { numRuns: 40 },
  );
  console.table(Object.fromEntries(rows));
});

test("a limit of half of the configured one is found, although the burst is suspected first", {
  timeout: 60_000,
}, async () => {
  const table: object[] = [];
  for (const limit of [60, 600, 6000]) {
    for (const [counted, algorithm] of Object.entries(algorithms)) {
      const run = await simulate(planOf(limit, upstream(algorithm, limit / 2, "requests"), 20));
      const share = { used: usedShare(run, limit / 2, 4, 20), refused: refusedShare(run, 4, 20) };
      table.push({ limit, counted, "used %": percent(share.used), "refused %": percent(share.refused) });
      expect.soft(share.used, `${limit}, ${counted}`).toBeGreaterThanOrEqual(0.95);
      // Below 100 requests a minute, one refused probe is more than 1 % of the calls of three minutes.
      expect.soft(share.refused, `${limit}, ${counted}`).toBeLessThan(limit < 100 ? 0.04 : 0.01);
    }
  }
  console.table(table);
});
