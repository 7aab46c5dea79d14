// What quotas learn from throttles.
import { expect } from "vitest";
import type { DeploymentSignal } from "../../../src/scheduler/scheduler.ts";
import {
  type Case,
  configOf,
  type Driver,
  deployment,
  job,
  jobId,
  jobs,
  minuteMs,
  none,
  numberOf,
  ok,
  quota,
  spanMs,
} from "../harness.ts";

const throttledBy = (
  throttle: Extract<DeploymentSignal, { kind: "throttled" }>["throttle"],
  retryAfterMs?: number,
): DeploymentSignal => ({ kind: "throttled", throttle, ...(retryAfterMs !== undefined && { retryAfterMs }) });

/** Requests and tokens, both per minute, and tokens per day. */
const three = configOf([
  quota("r", 100),
  quota("t", 1000, { unit: "tokens" }),
  quota("d", 100_000, { unit: "tokens", per: "day" }),
]);

async function limits(d: Driver): Promise<Record<string, number>> {
  const { quotas } = await d.scheduler.snapshot();
  return Object.fromEntries(quotas.map((q) => [q.name, q.effectiveLimit]));
}

/** Uses the quota `q` fully for this many windows. Every call succeeds. */
async function useFully(d: Driver, windows: number): Promise<void> {
  for (let i = 0; i < windows; i++) {
    await d.advance(spanMs + 1);
    for (const grant of await d.grants()) await d.settle(grant, { job: { requeueAfterMs: 0 } });
  }
}

/** Lets this many calls go at once and refuses what a bucket of that size would not have admitted. */
async function burstInto(d: Driver, capacity: number): Promise<number> {
  const grants = await d.grants();
  const excess = grants.slice(capacity);
  for (const grant of excess) await d.refuse(grant, throttledBy("tokens"));
  for (const grant of grants.slice(0, capacity)) await d.settle(grant, { charge: grant.reserved });
  return excess.length;
}

export function learningCases(declare: Case): void {
  declare("a throttle by requests lowers only quotas on requests, to 98 % of what was admitted", three, async (d) => {
    await d.add(...jobs(1, 60, { cost: 2 }));
    const grants = await d.takeEvenly(60, 650);
    await d.refuse(grants[0]!, throttledBy("requests"));
    expect(await limits(d)).toEqual({ r: Math.floor(60 * 0.98), t: 1000, d: 100_000 });
  });

  declare(
    "a call refused alone, above the limit: the limit stays, that cost is parked for 15 minutes, and others continue",
    configOf([quota("t", 1000, { unit: "tokens" })]),
    async (d) => {
      const ticket = (await d.scheduler.beginRebuild())!;
      await d.scheduler.restore(ticket, {
        learned: [{ quota: "t", effectiveLimit: 100 }],
      });
      await d.scheduler.finishRebuild(ticket);
      await d.add(job(1, { cost: 300 }), job(2, { cost: 250 }), job(3, { cost: 20 }));
      const [heavy] = await d.grants();
      expect(numberOf(heavy!)).toBe(1);
      await d.refuse(heavy!, throttledBy("tokens"));
      expect(await limits(d)).toEqual({ t: 100 });
      await d.advance(spanMs + 1);
      // The second job was not refused: it goes alone as well, and is parked with the first from then on.
      const [second] = await d.grants();
      expect(numberOf(second!)).toBe(2);
      await d.refuse(second!, throttledBy("tokens"));
      await d.advance(spanMs + 1);
      expect((await d.grants()).map(numberOf)).toEqual([3]);
      expect(await limits(d)).toEqual({ t: 100 });
      expect(await d.scheduler.explain(jobId(1))).toMatchObject({ state: "waiting", waitingOn: { kind: "delay" } });
      await d.advance(31 * minuteMs);
      expect((await d.grants()).map(numberOf)).toEqual([1]);
    },
  );

  declare("a throttle by tokens lowers only quotas on tokens", three, async (d) => {
    await d.add(...jobs(1, 70, { cost: 10 }));
    const grants = await d.takeEvenly(70, 650);
    await d.refuse(grants[0]!, throttledBy("tokens"));
    // The refused call gave its tokens back before they were counted.
    expect(await limits(d)).toEqual({ r: 100, t: Math.floor(690 * 0.98), d: 100_000 });
  });

  declare("a throttle without a kind lowers the fullest quota", three, async (d) => {
    await d.add(...jobs(1, 60, { cost: 16 }));
    const grants = await d.takeEvenly(60, 1000);
    await d.refuse(grants[0]!, throttledBy("unknown"));
    expect(await limits(d)).toEqual({ r: 100, t: Math.floor(59 * 16 * 0.98), d: 100_000 });
  });

  declare("a limit is at most halved at once, and never below one request", configOf([quota("q", 100)]), async (d) => {
    for (const [i, expected] of [50, 25, 12, 6, 3, 1, 1].entries()) {
      await d.add(...jobs(i + 1, i + 1));
      const grant = await d.takeOne();
      await d.refuse(grant, throttledBy("requests"));
      expect(await d.limit("q")).toBe(expected);
      await d.scheduler.remove([grant.jobId]);
      await d.advance(2 * minuteMs);
    }
    await d.add(...jobs(11, 19));
    expect(await d.grants()).toHaveLength(1);
  });

  declare(
    "one job that is refused again and again lowers a limit twice at most",
    configOf([quota("q", 100)]),
    async (d) => {
      await d.add(...jobs(1, 1));
      for (const expected of [50, 25, 25, 25, 25]) {
        await d.refuse(await d.takeOne(), throttledBy("requests"));
        expect(await d.limit("q")).toBe(expected);
        await d.advance(2 * minuteMs);
      }
    },
  );

  declare(
    "a limit is lowered once per window, however many calls were refused",
    configOf([quota("q", 100)]),
    async (d) => {
      await d.add(...jobs(1, 200));
      for (const grant of await d.takeEvenly(90, 650)) await d.refuse(grant, throttledBy("requests"));
      expect(await d.limit("q")).toBe(88);
    },
  );

  declare("calls that were refused together close the quota once", configOf([quota("q", 1000)]), async (d) => {
    await d.add(...jobs(1, 100));
    for (const grant of await d.grants()) await d.refuse(grant, throttledBy("requests"));
    const { grants, retryInMs } = await d.acquire();
    expect(grants).toEqual([]);
    expect(retryInMs).toBeLessThanOrEqual(7000);
    await d.advance(retryInMs!);
    expect(await d.grants()).not.toHaveLength(0);
  });

  declare("a throttle's Retry-After is respected", configOf([quota("q", 100)]), async (d) => {
    await d.add(...jobs(1, 2));
    await d.refuse(await d.takeOne(), throttledBy("requests", 7000));
    const { grants, retryInMs } = await d.acquire();
    expect([grants, retryInMs]).toEqual([[], 7000]);
    await d.advance(6999);
    expect(await d.take()).toEqual([]);
    await d.advance(1);
    expect(await d.take()).toEqual([1, 2]);
  });

  declare(
    "repeated throttles close the quota for longer each time, up to 16 seconds",
    configOf([quota("q", 100)]),
    async (d) => {
      await d.add(...jobs(1, 1));
      const waits: number[] = [];
      for (let i = 0; i < 9; i++) {
        await d.refuse(await d.takeOne(), throttledBy("requests"));
        waits.push((await d.quota("q")).closedForMs!);
        // From the third time on, the job leaves the time after it to others.
        const { retryInMs } = await d.acquire();
        expect(retryInMs! - waits.at(-1)!).toBe(i < 2 ? 0 : Math.min(60_000, 1000 * 2 ** (i - 2)));
        await d.advance(retryInMs!);
      }
      expect(waits.slice(0, 6)).toEqual([1000, 2000, 4000, 8000, 16_000, 16_000]);
    },
  );

  declare(
    "refused calls do not lower the expected cost of others",
    configOf([quota("q", 6000, { unit: "tokens", burst: 600 })]),
    async (d) => {
      await d.add(...jobs(1, 500, { cost: 10 }));
      for (const grant of await d.grants(40)) await d.refuse(grant, { kind: "none" });
      await d.advance(10 * minuteMs);
      // The burst still counts reservations as long as nothing else is known.
      expect((await d.grants()).length).toBeLessThanOrEqual(61);
    },
  );

  declare(
    "the pacer adapts to the real cost of calls",
    configOf([quota("q", 6000, { unit: "tokens", burst: 600 })]),
    async (d) => {
      await d.add(...jobs(1, 2000, { tokens: { input: 5, output: 15 } }));
      for (let i = 0; i < 40; i++) {
        for (const grant of await d.grants()) await d.settle(grant, { charge: { input: 5, output: 5 } });
        await d.advance(2000);
      }
      await d.advance(10 * minuteMs);
      const { length } = await d.grants();
      expect(length).toBeGreaterThanOrEqual(58);
      expect(length).toBeLessThanOrEqual(61);
    },
  );

  declare(
    "after full use without a throttle a learned limit is probed upwards, ever more rarely if refused",
    configOf([quota("q", 100)]),
    async (d) => {
      await d.add(...jobs(1, 300));
      const [refused, ...others] = await d.takeEvenly(90, 650);
      await d.refuse(refused!, throttledBy("requests"));
      for (const grant of others) await d.settle(grant, { job: { requeueAfterMs: 0 } });
      expect(await d.limit("q")).toBe(88);
      await useFully(d, 1);
      expect(await d.limit("q")).toBe(89);
      await d.advance(spanMs + 1);
      await d.refuse((await d.grants())[0]!, throttledBy("requests"));
      expect(await d.limit("q")).toBe(88);
      await useFully(d, 1);
      expect(await d.limit("q")).toBe(88);
      await useFully(d, 1);
      expect(await d.limit("q")).toBe(89);
    },
  );

  declare(
    "probing never goes above the configured limit, nor without full use",
    configOf([quota("q", 100)]),
    async (d) => {
      await d.add(...jobs(1, 300));
      const [refused, ...others] = await d.takeEvenly(90, 650);
      await d.refuse(refused!, throttledBy("requests"));
      for (const grant of others) await d.settle(grant, { job: { requeueAfterMs: 0 } });
      for (let i = 0; i < 4; i++) {
        await d.advance(2 * minuteMs);
        for (const grant of await d.grants(10)) await d.settle(grant, { job: { requeueAfterMs: 0 } });
      }
      expect(await d.limit("q")).toBe(88);
      await useFully(d, 8);
      expect(await d.limit("q")).toBe(100);
    },
  );

  declare(
    "resetting learned limits restores the configured limit, opens the quota and restarts learning",
    configOf([quota("q", 100), quota("p", 90)]),
    async (d) => {
      await d.add(...jobs(1, 300));
      const first = await d.takeEvenly(80, 690);
      await d.refuse(first[0]!, throttledBy("requests"));
      expect([await d.limit("q"), await d.limit("p")]).toEqual([78, 78]);
      await d.scheduler.resetLearnedLimits("q");
      expect([await d.limit("q"), await d.limit("p")]).toEqual([100, 78]);
      await d.scheduler.resetLearnedLimits();
      expect([await d.limit("q"), await d.limit("p")]).toEqual([100, 90]);
      expect(await d.grants(3)).toHaveLength(3);
      await d.advance(2000);
      await d.refuse(first[1]!, throttledBy("requests"));
      expect(await d.limit("q")).toBe(81);
    },
  );

  declare(
    "tokens per day used up: every deployment that shares the quota is parked, others continue",
    configOf(
      [quota("day", 1000, { per: "day", unit: "tokens" }), quota("r", 100)],
      [deployment("a", ["day"]), deployment("b", ["day", "r"]), deployment("c", ["r"])],
      {
        models: {
          a: { deployments: ["a"], choice: "headroom" },
          b: { deployments: ["b"], choice: "headroom" },
          c: { deployments: ["c"], choice: "headroom" },
        },
      },
    ),
    async (d) => {
      const models = ["a", "b", "c"];
      await d.add(...models.map((model, i) => job(10 * i + 1, { models: [model] })));
      const grants = await d.grants();
      await d.add(...models.map((model, i) => job(10 * i + 2, { models: [model] })));
      await d.refuse(grants.find((g) => numberOf(g) === 1)!, throttledBy("tokens_per_day"));
      expect(await d.take()).toEqual([22]);
      const reason = "The provider says that the tokens per day of day are used up.";
      for (const id of ["a", "b"]) expect(await d.deployment(id)).toMatchObject({ state: "cooling_down", reason });
      expect((await d.waiting(jobId(1))).waitingOn).toEqual({ kind: "cool_down", deployment: "a", reason });
      expect(await d.quota("day")).toMatchObject({ closedForMs: 15 * minuteMs, effectiveLimit: 1000 });
      const { retryInMs } = await d.acquire();
      expect(retryInMs).toBe(15 * minuteMs);
      await d.finish(grants.filter((g) => numberOf(g) === 11));
      await d.advance(retryInMs!);
      // On trial: one at a time, until one is admitted.
      const tried = await d.grants();
      expect(tried.map(numberOf)).toEqual([1, 12]);
      await d.refuse(tried[0]!, throttledBy("tokens_per_day"));
      expect((await d.acquire()).retryInMs).toBe(30 * minuteMs);
      await d.scheduler.reinstate("a");
      expect(await d.take()).toEqual([1, 2]);
    },
  );

  declare(
    "tokens per day used up without a quota per day: all deployments of the pool are parked, others continue",
    configOf(
      [quota("r", 100, { per: "day" })],
      [
        deployment("a", []),
        deployment("b", ["r"]),
        deployment("c", [], { region: "eu-west-1" }),
        deployment("e", [], { dailyPool: "us-east-1@other" }),
      ],
      { models: Object.fromEntries(["a", "b", "c", "e"].map((m) => [m, { deployments: [m], choice: "order" }])) },
    ),
    async (d) => {
      const models = ["a", "b", "c", "e"];
      await d.add(...models.flatMap((model, i) => jobs(10 * i + 1, 10 * i + 2, { models: [model] })));
      const grants = await d.grants(4);
      await d.refuse(grants.find((g) => g.deployment === "a")!, throttledBy("tokens_per_day", 90_000));
      const { deployments } = await d.scheduler.snapshot();
      const reason = "The provider says that the tokens per day in us-east-1 are used up.";
      expect(deployments.filter((each) => each.reason === reason).map((each) => [each.id, each.forMs])).toEqual([
        ["a", 90_000],
        ["b", 90_000],
      ]);
      await d.scheduler.reinstate("a");
      expect((await d.deployment("a")).state).toBe("in_service");
      expect((await d.deployment("b")).state).toBe("cooling_down");
    },
  );

  // ------------------------------------------------------------ burst

  const bucketed = configOf([quota("q", 6000, { unit: "tokens", burst: 600 })]);

  declare("a bucket smaller than our burst narrows the burst and keeps the limit", bucketed, async (d) => {
    await d.add(...jobs(1, 2000, { cost: 10 }));
    expect(await burstInto(d, 20)).toBe(40);
    // Of 60 calls at once 20 were admitted; the burst becomes half of that.
    expect(await d.quota("q")).toMatchObject({ effectiveLimit: 6000, configuredBurst: 600, effectiveBurst: 100 });
    await d.advance(5 * minuteMs);
    expect((await d.grants()).length).toBeLessThanOrEqual(11);
  });

  declare("a quota without a pacer gets one once a burst was refused", configOf([quota("q", 600)]), async (d) => {
    await d.add(...jobs(1, 2000));
    const grants = await d.grants();
    expect(grants).toHaveLength(600);
    for (const grant of grants.slice(100)) {
      await d.refuse(grant, throttledBy("requests"));
      await d.advance(1);
    }
    // Refused calls stay charged as requests, but the provider admitted 100.
    expect(await d.quota("q")).toMatchObject({ effectiveLimit: 600, effectiveBurst: 49 });
    await d.finish(grants.slice(0, 100));
    await d.advance(5 * minuteMs);
    expect((await d.grants()).length).toBeLessThanOrEqual(50);
  });

  declare(
    "refusals of calls that were granted before a pause narrow its burst",
    configOf([quota("q", 600)]),
    async (d) => {
      await d.add(...jobs(1, 2000));
      const grants = await d.grants(400);
      await d.refuse(grants[0]!, throttledBy("requests"));
      await d.advance(20_000);
      for (const grant of grants.slice(1, 300)) await d.refuse(grant, throttledBy("requests"));
      expect(await d.quota("q")).toMatchObject({ effectiveLimit: 600, effectiveBurst: 49 });
    },
  );

  declare("calls after a refusal start without a burst", bucketed, async (d) => {
    await d.add(...jobs(1, 2000, { cost: 10 }));
    const [refused, ...others] = await d.grants();
    await d.refuse(refused!, throttledBy("tokens", 30_000));
    await d.finish(others);
    await d.advance(30_000);
    expect((await d.grants()).length).toBeLessThanOrEqual(1);
  });

  declare(
    "a narrowed burst is probed, and returns to the last good value when the probe is refused",
    bucketed,
    async (d) => {
      await d.add(...jobs(1, 2000, { cost: 10 }));
      await burstInto(d, 20);
      await d.advance(5 * minuteMs);
      const burst = await d.grants();
      // Only once a refusal would have arrived.
      await d.finish(burst.slice(1));
      expect(await d.quota("q")).toMatchObject({ effectiveBurst: 100, probing: false });
      await d.advance(3000);
      await d.finish(burst.slice(0, 1));
      expect(await d.quota("q")).toMatchObject({ effectiveBurst: 110, probing: true });
      await d.advance(5 * minuteMs);
      // Nothing was admitted before the first of these was refused.
      const [refused] = await d.grants();
      await d.refuse(refused!, throttledBy("tokens"));
      expect(await d.quota("q")).toMatchObject({ effectiveBurst: 100, effectiveLimit: 6000, probing: false });
    },
  );

  declare(
    "a refused probe of the burst leaves the limit, however much of it was used",
    configOf([quota("q", 10)]),
    async (d) => {
      const ticket = (await d.scheduler.beginRebuild())!;
      await d.scheduler.restore(ticket, { learned: [{ quota: "q", effectiveBurst: 1 }] });
      await d.scheduler.finishRebuild(ticket);
      await d.add(...jobs(1, 20));
      const earlier = await d.takeEvenly(7, 6100);
      await d.finish(earlier);
      expect(await d.quota("q")).toMatchObject({ effectiveBurst: 2, probing: true });
      await d.advance(6100);
      const [, refused] = await d.grants();
      expect(await d.used("q")).toBe(9);
      await d.refuse(refused!, throttledBy("requests"));
      expect(await d.quota("q")).toMatchObject({ effectiveBurst: 1, effectiveLimit: 10, probing: false });
    },
  );

  declare("a refusal after half of the limit or more was used lowers the limit, not the burst", bucketed, async (d) => {
    await d.add(...jobs(1, 2000, { cost: 10 }));
    for (let i = 0; i < 400; i++) {
      await d.finish(await d.grants());
      await d.advance(100);
    }
    const used = await d.used("q");
    expect(used).toBeGreaterThan(3000);
    const [refused] = await d.grants();
    await d.refuse(refused!, throttledBy("tokens"));
    expect(await d.quota("q")).toMatchObject({ effectiveLimit: Math.floor(used * 0.98), effectiveBurst: 600 });
  });

  // ------------------------------------------------------------ seen and kept

  declare("the snapshot shows what was learned, when, and whether more is being tried", bucketed, async (d) => {
    expect(await d.quota("q")).toEqual({
      name: "q",
      unit: "tokens",
      per: "minute",
      configuredLimit: 6000,
      effectiveLimit: 6000,
      configuredBurst: 600,
      effectiveBurst: 600,
      probing: false,
      used: 0,
      reserved: 0,
      settled: 0,
    });
    await d.add(...jobs(1, 2000, { cost: 10 }));
    const [refused] = await d.grants(1);
    await d.refuse(refused!, throttledBy("tokens"));
    await d.advance(300);
    const seen = await d.quota("q");
    expect(seen).toMatchObject({ effectiveLimit: 3000, probing: false, throttledAgoMs: 300, closedForMs: 700 });
    await d.scheduler.resetLearnedLimits("q");
    const forgotten = await d.quota("q");
    expect(forgotten).toMatchObject({ effectiveLimit: 6000, effectiveBurst: 600 });
    expect(forgotten).not.toHaveProperty("throttledAgoMs");
    expect(forgotten).not.toHaveProperty("closedForMs");
  });

  declare("a rebuild restores what was learned", bucketed, async (d) => {
    const ticket = (await d.scheduler.beginRebuild())!;
    const learned = {
      quota: "q",
      effectiveLimit: 3000,
      effectiveBurst: 200,
      throttledAgoMs: 10_000,
      closedForMs: 5000,
    };
    await d.scheduler.restore(ticket, { learned: [learned, { quota: "gone", effectiveLimit: 1 }] });
    await d.scheduler.finishRebuild(ticket);
    const { quota: name, ...rest } = learned;
    expect(await d.quota(name)).toMatchObject({ ...rest, probing: false });
    await d.add(...jobs(1, 100, { cost: 10 }));
    expect((await d.acquire()).retryInMs).toBe(5000);
    await d.advance(5000);
    // Proportional: 200 at 6000 are 100 at 3000.
    expect(await d.grants()).toHaveLength(10);
  });

  declare(
    "a throttle by a quota that is not configured cools the deployment down",
    configOf([quota("t", 100, { unit: "tokens" })]),
    async (d) => {
      await d.add(...jobs(1, 3));
      await d.refuse(await d.takeOne(), throttledBy("requests"));
      expect((await d.deployment("d")).state).toBe("cooling_down");
      expect(await d.limit("t")).toBe(100);
      await d.settle((await d.grants())[0] ?? { jobId: "", grant: "" }, { signal: none });
      await d.advance(1000);
      expect(await d.take()).toEqual([1]);
    },
  );

  declare(
    "a learned limit below a job's cost admits the job alone",
    configOf([quota("q", 100, { unit: "tokens" })]),
    async (d) => {
      await d.add(...jobs(1, 1, { cost: 20 }), ...jobs(2, 2, { cost: 90 }), ...jobs(3, 3, { cost: 10 }));
      await d.refuse(await d.takeOne(), throttledBy("tokens"));
      expect(await d.limit("q")).toBe(50);
      const taken: number[] = [];
      for (let i = 0; i < 4; i++) {
        await d.advance(spanMs + 1);
        for (const grant of await d.grants()) {
          taken.push(numberOf(grant));
          await d.settle(grant, { signal: ok });
        }
      }
      expect(taken.sort()).toEqual([1, 2, 3]);
    },
  );
}
