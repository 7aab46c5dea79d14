// One model in several regions: together they give what each allows, and jobs do not wait for one that is down.
import { expect, test } from "vitest";
import { configOf, deployment, minuteMs, quota } from "./harness.ts";
import { admitted, percent, refused, simulate, use } from "./simulation/simulation.ts";
import { algorithms, upstream } from "./simulation/upstreams.ts";

const limits = { "us-east-1": 1_000_000, "us-west-2": 600_000, "eu-west-1": 300_000 };
const regions = Object.keys(limits) as (keyof typeof limits)[];
const sum = Object.values(limits).reduce((a, b) => a + b);
const sizes = [100, 6000] as const;

const config = configOf(
  regions.map((region) => quota(region, limits[region], { unit: "tokens", burst: limits[region] / 10 })),
  regions.map((region) => deployment(region, [region], { region })),
);

const upstreams = () =>
  Object.fromEntries(
    regions.map((region) => [region, { engine: upstream(algorithms["sliding log"], limits[region]) }]),
  );

test("three regions with different limits give the sum of their limits", { timeout: 60_000 }, async () => {
  const { calls } = await simulate({ config, upstreams: upstreams(), minutes: 8, sizes });
  const share = use(calls, "tokens", minuteMs, 8 * minuteMs).held / sum;
  console.log(`held: ${percent(share)} % of ${sum}`);
  expect(share).toBeGreaterThanOrEqual(0.98);
  expect(share).toBeLessThanOrEqual(1);
  expect(refused(calls)).toBe(0);
});

test("while a region is down for two minutes no job fails and the others are used; it returns by itself", {
  timeout: 60_000,
}, async () => {
  const [downFrom, downUntil] = [3 * minuteMs, 5 * minuteMs];
  const isDown = (now: number) => now >= downFrom && now < downUntil;
  const all = upstreams();
  const withOutage = { ...all, "us-east-1": { ...all["us-east-1"]!, isDown } };
  const { calls, impossible } = await simulate({ config, upstreams: withOutage, minutes: 12, sizes });

  expect(impossible).toEqual([]);
  const lost = calls.filter((call) => call.refused);
  expect(new Set(lost.map((call) => `${call.deployment} ${call.refused}`))).toEqual(new Set(["us-east-1 capacity"]));
  // Every job that was refused is admitted later, in its position.
  const done = new Set(admitted(calls).map((call) => call.job));
  expect(lost.filter((call) => !done.has(call.job))).toEqual([]);
  // Once that is known, one call at a time, ever more rarely.
  const heardAt = Math.min(...lost.map((call) => call.settledAt));
  expect(lost.filter((call) => call.chargedAt > heardAt).length).toBeLessThanOrEqual(8);

  const others = sum - limits["us-east-1"];
  const elsewhere = calls.filter((call) => call.deployment !== "us-east-1");
  expect(use(elsewhere, "tokens", downFrom, downUntil).held / others).toBeGreaterThanOrEqual(0.98);
  const returned = admitted(calls, "us-east-1").find((call) => call.chargedAt >= downUntil)!;
  expect(returned.chargedAt - downUntil).toBeLessThanOrEqual(minuteMs);
  expect(use(calls, "tokens", 7 * minuteMs, 12 * minuteMs).held / sum).toBeGreaterThanOrEqual(0.98);
});
