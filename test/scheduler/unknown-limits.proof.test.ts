// Limits that are not configured: they are found from refusals, without many refusals.
//
// What counts: refused calls over the whole run, learning included. Usage is compared with what is really available
// (the true limit less what others used), in windows after the sixth from each change. Before that the table shows it
// and nothing is promised. No job is more than 2 % of what is available.
import { expect, test } from "vitest";
import { configOf, deployment, minuteMs, quota } from "./harness.ts";
import { foreignUse, percent, type Run, refused, simulate, use } from "./simulation/simulation.ts";
import { algorithms, upstream } from "./simulation/upstreams.ts";

const configured = 1_000_000;
const trueLimit = 400_000;
const config = configOf([quota("q", configured, { unit: "tokens", burst: configured / 10 })], [deployment("d", ["q"])]);

/** Share of what was available that was held, between two minutes. */
function shareOf(run: Run, from: number, to: number): number {
  const [fromMs, toMs] = [from * minuteMs, to * minuteMs];
  return use(run.calls, "tokens", fromMs, toMs).held / (trueLimit - foreignUse(run, fromMs, toMs));
}

test("configured 1,000,000, really 400,000, and later other users consume half of that", {
  timeout: 120_000,
}, async () => {
  const table: object[] = [];
  for (const [counted, algorithm] of Object.entries(algorithms)) {
    const engine = upstream(algorithm, trueLimit);
    const foreign = [{ engine, fromMs: 15 * minuteMs, tokensPerMinute: trueLimit / 2, tokensPerCall: 500 }];
    const plan = { config, upstreams: { d: { engine } }, minutes: 35, sizes: [100, 4000] as const, foreign };
    const run = await simulate(plan);
    const { calls } = run;
    const throttled = refused(calls) / calls.length;
    const shares = { known: shareOf(run, 6, 15), halved: shareOf(run, 21, 35) };
    table.push({
      upstream: counted,
      calls: calls.length,
      throttled: refused(calls),
      "throttled %": percent(throttled),
      "min. 0-3 %": percent(shareOf(run, 0, 3)),
      "3-6 %": percent(shareOf(run, 3, 6)),
      "6-15 %": percent(shares.known),
      "15-18 %": percent(shareOf(run, 15, 18)),
      "18-21 %": percent(shareOf(run, 18, 21)),
      "21-35 %": percent(shares.halved),
    });
    expect.soft(throttled, counted).toBeLessThan(0.01);
    for (const [when, share] of Object.entries(shares)) {
      expect.soft(share, `${counted}, ${when}`).toBeGreaterThanOrEqual(0.95);
      // A bucket gives what it holds on top of the limit, once.
      expect.soft(share, `${counted}, ${when}`).toBeLessThanOrEqual(1.03);
    }
  }
  console.table(table);
});

test("when the other users stop, their half is found again within 20 windows", { timeout: 60_000 }, async () => {
  const engine = upstream(algorithms["sliding log"], trueLimit);
  const away = { fromMs: 0, untilMs: 20 * minuteMs, tokensPerMinute: trueLimit / 2, tokensPerCall: 500 };
  const foreign = [{ engine, ...away }];
  const run = await simulate({ config, upstreams: { d: { engine } }, minutes: 45, sizes: [100, 4000], foreign });
  expect(shareOf(run, 10, 20)).toBeGreaterThanOrEqual(0.95);
  expect(shareOf(run, 40, 45)).toBeGreaterThanOrEqual(0.95);
  expect(refused(run.calls) / run.calls.length).toBeLessThan(0.01);
});

test("a bucket smaller than our burst narrows the burst and keeps the limit", {
  timeout: 60_000,
}, async () => {
  const engine = upstream({ algorithm: "bucket", bucketCapacity: 1 / 20 }, configured);
  const run = await simulate({ config, upstreams: { d: { engine } }, minutes: 20, sizes: [100, 4000] });
  const { effectiveLimit, effectiveBurst } = await run.driver.quota("q");
  expect(effectiveBurst).toBeLessThanOrEqual(configured / 20);
  expect(effectiveLimit).toBe(configured);
  expect(use(run.calls, "tokens", 2 * minuteMs, 20 * minuteMs).held / configured).toBeGreaterThanOrEqual(0.98);
  expect(refused(run.calls) / run.calls.length).toBeLessThan(0.01);
});
