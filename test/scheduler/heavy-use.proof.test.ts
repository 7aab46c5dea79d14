// Jobs that take a large part of a minute's tokens: they start in time, and the other jobs continue.
import { expect, test } from "vitest";
import { configOf, deployment, job, minuteMs, quota } from "./harness.ts";
import { percent, simulate, use } from "./simulation/simulation.ts";
import { algorithms, upstream } from "./simulation/upstreams.ts";

const limit = 1_000_000;
const config = configOf([quota("q", limit, { unit: "tokens", burst: limit / 10 })], [deployment("d", ["q"])]);

test("a job of 60 % of a minute's tokens starts within two windows, and usage stays at 95 % or more", {
  timeout: 60_000,
}, async () => {
  // Such a job costs 0.6 of a window of usage under any scheduler: the minute before its start and the minute after it
  // may each hold no more than 40 % of others. So 95 % over all allows one of them in twenty minutes.
  const minutes = 41;
  const heavy = [10, 25].map((minute) => ({ atMs: minute * minuteMs, number: 900_000 + minute }));
  const { calls } = await simulate({
    config,
    upstreams: { d: { engine: upstream(algorithms["sliding log"], limit) } },
    minutes,
    sizes: [200, 20_000],
    planted: heavy.map(({ atMs, number }) => ({
      atMs,
      entry: job(number, { cost: 0.6 * limit, tenant: `h${number}` }),
    })),
  });
  const waits = heavy.map(({ atMs, number }) => calls.find((call) => call.job === number)!.chargedAt - atMs);
  const { held } = use(calls, "tokens", 2 * minuteMs, minutes * minuteMs);
  console.log(
    `waits: ${waits.map((ms) => `${(ms / 1000).toFixed(1)} s`).join(", ")}; held: ${percent(held / limit)} %`,
  );
  for (const wait of waits) expect(wait).toBeLessThanOrEqual(2 * minuteMs);
  expect(held / limit).toBeGreaterThanOrEqual(0.95);
  expect(calls.filter((call) => call.refused)).toEqual([]);
});

test("a learned limit below a waiting job's cost blocks nothing: the job runs alone, and then the others continue", {
  timeout: 60_000,
}, async () => {
  const learned = { quota: "q", effectiveLimit: 200_000 };
  const run = await simulate({
    config,
    upstreams: { d: { engine: upstream(algorithms["sliding log"], limit) } },
    minutes: 9,
    sizes: [100, 2000],
    learned: [learned],
    planted: [{ atMs: 2 * minuteMs, entry: job(900_001, { cost: 300_000, tenant: "heavy" }) }],
  });
  const { calls } = run;
  const [heavy] = calls.filter((call) => call.job === 900_001);
  const wait = heavy!.chargedAt - 2 * minuteMs;
  // More was tried meanwhile, but never as much as the job costs.
  console.log(`waited ${(wait / 1000).toFixed(1)} s; effective limit at the end: ${await run.driver.limit("q")}`);
  expect(await run.driver.limit("q")).toBeLessThan(300_000);
  expect(wait).toBeLessThanOrEqual(2 * minuteMs);
  const { held } = use(calls, "tokens", 6 * minuteMs, 9 * minuteMs);
  expect(held).toBeGreaterThanOrEqual(0.95 * learned.effectiveLimit);
});

test("a job above the true limit is tried rarely and costs the others almost nothing", {
  timeout: 60_000,
}, async () => {
  const truly = 200_000;
  const run = await simulate({
    config,
    upstreams: { d: { engine: upstream(algorithms["sliding log"], truly) } },
    minutes: 40,
    sizes: [100, 2000],
    learned: [{ quota: "q", effectiveLimit: truly }],
    // Several, of one tenant, whose small jobs are behind them.
    planted: [1, 2, 3].map((i) => ({
      atMs: 2 * minuteMs,
      entry: job(900_000 + i, { cost: 300_000, tenant: "heavy" }),
    })),
  });
  const tries = run.calls.filter((call) => call.job > 900_000);
  const { held } = use(run.calls, "tokens", 10 * minuteMs, 40 * minuteMs);
  console.log(`${tries.length} tries in 38 minutes; held ${percent(held / truly)} % of what is allowed`);
  expect(tries.every((call) => call.refused)).toBe(true);
  // The first, and 15 minutes later; not each of the three.
  expect(tries.length).toBeLessThanOrEqual(3);
  expect(held).toBeGreaterThanOrEqual(0.9 * truly);
});
