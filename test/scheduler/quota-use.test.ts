// How much of a quota is used, and whether the other side ever refuses: a simulation of discrete events at the real
// window of a minute, through the real scheduler in memory, against upstreams that count in every way that is known.
import { expect, test } from "vitest";
import { IndexedHeap } from "../../src/scheduler/indexed-heap.ts";
import { createMemoryScheduler } from "../../src/scheduler/memory/memory-scheduler.ts";
import type { Grant, QuotaConfig } from "../../src/scheduler/scheduler.ts";
import { createQuotaEngine, type QuotaRules } from "../../src/simulator/quota-engine.ts";
import { configOf, Driver, deployment, job, minuteMs, ok, quota } from "./harness.ts";

const windows = 11;
const jitterMs = 300;

const upstreams: [string, Pick<QuotaRules, "algorithm" | "bucketCapacity">][] = [
  ["fixed window", { algorithm: "fixed", bucketCapacity: 1 }],
  ["sliding log", { algorithm: "sliding", bucketCapacity: 1 }],
  ["bucket of N", { algorithm: "bucket", bucketCapacity: 1 }],
  ["bucket of N/6", { algorithm: "bucket", bucketCapacity: 1 / 6 }],
];

interface Scenario {
  name: string;
  limit: QuotaConfig;
  /** Tokens that a job reserves, at least and at most. */
  sizes: [number, number];
  /** The share of its reservation that a call uses, at least and at most. */
  used: [number, number];
}

const scenarios: Scenario[] = [
  { name: "600 requests", limit: quota("q", 600, { burst: 60 }), sizes: [100, 20_000], used: [1, 1] },
  {
    name: "1,000,000 tokens, all of them used",
    limit: quota("q", 1_000_000, { unit: "tokens", burst: 100_000 }),
    sizes: [200, 20_000],
    used: [1, 1],
  },
  {
    name: "1,000,000 tokens, 75 to 100 % of them used",
    limit: quota("q", 1_000_000, { unit: "tokens", burst: 100_000 }),
    sizes: [200, 20_000],
    used: [0.75, 1],
  },
];

interface Use {
  calls: number;
  throttled: number;
  /** Shares of the limit in whole windows after the first: reserved in flight + settled, and settled alone. */
  held: number;
  settled: number;
}

interface Call {
  chargedAt: number;
  reserved: number;
  used: number;
  settledAt: number;
}

/** Numbers in [0, 1) that are the same in every run. */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

async function simulate(scenario: Scenario, upstream: Pick<QuotaRules, "algorithm" | "bucketCapacity">): Promise<Use> {
  const random = mulberry32(7);
  const between = (from: number, to: number) => from + random() * (to - from);
  let now = 0;
  const scheduler = createMemoryScheduler({
    config: configOf([scenario.limit], [deployment("d", ["q"])]),
    clock: { now: () => now, wall: () => now },
  });
  const driver = await new Driver({ scheduler, advance: async () => {}, cleanup: async () => {} }).open();
  const isRequests = scenario.limit.unit === "requests";
  const engine = createQuotaEngine({
    ...upstream,
    windowMs: minuteMs,
    outputBurndown: 1,
    ...(isRequests ? { requestsPerWindow: scenario.limit.limit } : { tokensPerWindow: scenario.limit.limit }),
  });

  const events = new IndexedHeap<{ at: number; run: () => Promise<void> }>((a, b) => a.at < b.at);
  const at = (time: number, run: () => Promise<void>) => events.push({ at: time, run });
  const calls: Call[] = [];
  let throttled = 0;
  let added = 0;
  let askAt = 0;

  /** There is always more to do, in sizes of every order of magnitude. */
  async function refill(): Promise<void> {
    const [least, most] = scenario.sizes;
    const more = Array.from({ length: 500 }, () => {
      added += 1;
      return job(added, { cost: Math.round(least * (most / least) ** random()), tenant: `t${added % 5}` });
    });
    await driver.add(...more);
  }

  async function acquire(): Promise<void> {
    const { grants, retryInMs } = await driver.acquire(100);
    for (const grant of grants) send(grant);
    if (added - calls.length < 400) await refill();
    askAt = now + (retryInMs ?? 5000);
    const wanted = askAt;
    // A timer fires a little late.
    at(askAt + between(0, 2), async () => {
      if (askAt === wanted) await acquire();
    });
  }

  function send(grant: Grant): void {
    const reserved = isRequests ? 1 : grant.reserved.input;
    const used = isRequests ? 1 : Math.ceil(reserved * between(...scenario.used));
    const call: Call = { chargedAt: now, reserved, used, settledAt: Number.POSITIVE_INFINITY };
    calls.push(call);
    // Up to 50 ms until the attempt is on record, and then the way there.
    at(now + between(0, 50) + between(0, jitterMs), async () => {
      const admission = engine.admit(now, { input: grant.reserved.input, maxTokens: 0 });
      if (typeof admission === "string") {
        throttled += 1;
        at(now + between(0, jitterMs), async () => {
          await driver.refuse(grant, { kind: "throttled", throttle: admission });
          await acquire();
        });
        return;
      }
      at(now + between(1000, 10_000), async () => {
        engine.settle(now, admission, { input: isRequests ? grant.reserved.input : used, output: 0 });
        at(now + between(0, jitterMs), async () => {
          call.settledAt = now;
          await driver.settle(grant, { charge: { input: isRequests ? 1 : used, output: 0 }, signal: ok });
          await acquire();
        });
      });
    });
  }

  await refill();
  await acquire();
  for (let event = events.pop(); event && event.at < windows * minuteMs; event = events.pop()) {
    now = event.at;
    await event.run();
  }
  return { calls: calls.length, throttled, ...shares(calls, scenario.limit.limit) };
}

/** Over whole windows after the first: what counted at each moment of what had been charged in the minute before it. */
function shares(calls: Call[], limit: number): Pick<Use, "held" | "settled"> {
  let held = 0;
  let settled = 0;
  let samples = 0;
  let oldest = 0;
  for (let t = 2 * minuteMs; t <= windows * minuteMs; t += 250) {
    while (calls[oldest] && calls[oldest]!.chargedAt <= t - minuteMs) oldest += 1;
    for (let i = oldest; i < calls.length && calls[i]!.chargedAt <= t; i++) {
      const call = calls[i]!;
      held += call.settledAt <= t ? call.used : call.reserved;
      if (call.settledAt <= t) settled += call.used;
    }
    samples += 1;
  }
  return { held: held / samples / limit, settled: settled / samples / limit };
}

test("a backlog is let through at 98 % of what is allowed or more, and nothing is ever refused", {
  timeout: 120_000,
}, async () => {
  const table: Record<string, string | number>[] = [];
  for (const scenario of scenarios) {
    for (const [upstream, rules] of upstreams) {
      const { calls, throttled, held, settled } = await simulate(scenario, rules);
      const percent = (share: number) => Number((share * 100).toFixed(2));
      table.push({
        quota: scenario.name,
        upstream,
        calls,
        throttled,
        "held %": percent(held),
        "settled %": percent(settled),
      });
      expect.soft(throttled, `${scenario.name}, ${upstream}`).toBe(0);
      expect.soft(held, `${scenario.name}, ${upstream}`).toBeGreaterThanOrEqual(0.98);
      expect.soft(held, `${scenario.name}, ${upstream}`).toBeLessThanOrEqual(1);
    }
  }
  console.table(table);
});

test("the same upstreams do refuse a scheduler that does not spread", { timeout: 60_000 }, async () => {
  const greedy = { ...scenarios[0]!, limit: quota("q", 600) };
  expect((await simulate(greedy, upstreams[3]![1])).throttled).toBeGreaterThan(0);
});
