// What a call is charged, for how long, and what its settlement changes.
import { expect } from "vitest";
import type { QuotaUnit } from "../../../src/scheduler/scheduler-configuration.ts";
import {
  type Case,
  configOf,
  type Driver,
  deployment,
  hourMs,
  job,
  jobId,
  jobs,
  minuteMs,
  none,
  numberOf,
  quota,
  spanMs,
} from "../harness.ts";

const tokens = (limit: number, burst = limit) => quota("q", limit, { unit: "tokens", burst });

/** An acquire 1 ms before the announced time grants nothing; an acquire at that time grants something. */
async function asksAgainExactly(d: Driver): Promise<number> {
  const { grants, retryInMs } = await d.acquire();
  expect(grants).toEqual([]);
  expect(retryInMs).toBeGreaterThan(1);
  await d.advance(retryInMs! - 1);
  const early = await d.acquire();
  expect([early.grants, early.retryInMs]).toEqual([[], 1]);
  await d.advance(1);
  const { grants: then } = await d.acquire();
  expect(then.length).toBeGreaterThan(0);
  return retryInMs!;
}

export function quotaCases(declare: Case): void {
  declare(
    "3 requests per minute: three start at once, the fourth when the first has aged out of every window",
    configOf([quota("q", 3)]),
    async (d) => {
      await d.add(...jobs(1, 10));
      expect(await d.take()).toEqual([1, 2, 3]);
      const waited = await asksAgainExactly(d);
      expect(waited).toBeGreaterThanOrEqual(spanMs);
      expect(waited).toBeLessThanOrEqual(spanMs + 2);
      expect(await d.take()).toEqual([]);
      expect(await d.used("q")).toBe(3);
    },
  );

  declare("charges age out one by one", configOf([quota("q", 3)]), async (d) => {
    await d.add(...jobs(1, 6));
    for (let i = 0; i < 3; i++) {
      await d.take(1);
      await d.advance(1000);
    }
    await d.advance(spanMs - 3000);
    const times: number[] = [];
    for (let ms = 0; ms < 3000; ms += 10) {
      if ((await d.take()).length > 0) times.push(ms);
      await d.advance(10);
    }
    expect(times.map((t) => Math.floor(t / 1000))).toEqual([0, 1, 2]);
  });

  const costs: [QuotaUnit, number][] = [
    ["requests", 1],
    ["tokens", 100 + 50 * 5],
    ["input_tokens", 100],
    ["output_tokens", 50 * 5],
  ];
  for (const [unit, cost] of costs) {
    declare(
      `a quota on ${unit} is charged what the provider may count at most`,
      configOf([quota("q", 1000, { unit })], [deployment("d", ["q"], { outputBurndown: 5 })]),
      async (d) => {
        await d.add(job(1, { tokens: { input: 100, output: 50 } }));
        await d.take();
        expect(await d.used("q")).toBe(cost);
      },
    );
  }

  declare(
    "settles at input plus cache writes, and output times its burndown",
    configOf(
      [
        quota("q", 1000, { unit: "tokens" }),
        quota("i", 1000, { unit: "input_tokens" }),
        quota("o", 1000, { unit: "output_tokens" }),
        quota("r", 10),
      ],
      [deployment("d", ["q", "i", "o", "r"], { outputBurndown: 5 })],
    ),
    async (d) => {
      await d.add(job(1, { tokens: { input: 100, output: 50 } }));
      await d.settle(await d.takeOne(), { charge: { input: 80, output: 11, cacheWrite: 10 } });
      const used = (await d.scheduler.snapshot()).quotas.map((q) => [q.name, q.used]);
      expect(Object.fromEntries(used)).toEqual({ q: 80 + 10 + 55, i: 90, o: 55, r: 1 });
    },
  );

  declare(
    "a burndown below 1 affects the settlement but not the reservation",
    configOf([tokens(1000)], [deployment("d", ["q"], { outputBurndown: 0.5 })]),
    async (d) => {
      await d.add(job(1, { tokens: { input: 100, output: 51 } }));
      const grant = await d.takeOne();
      expect(await d.used("q")).toBe(151);
      await d.settle(grant, { charge: { input: 100, output: 51 } });
      expect(await d.used("q")).toBe(126);
    },
  );

  declare(
    "every quota must admit a job, and nothing is charged unless all do",
    configOf([quota("r", 2), quota("t", 100, { unit: "tokens" })]),
    async (d) => {
      await d.add(job(1, { cost: 80 }), job(2, { cost: 50 }), job(3, { cost: 20 }), job(4));
      expect(await d.take()).toEqual([1, 3]);
      expect([await d.used("r"), await d.used("t")]).toEqual([2, 100]);
      expect((await d.waiting(jobId(2))).waitingOn).toMatchObject({ kind: "quota", deployment: "d" });
    },
  );

  declare(
    "deployments that name the same quota share it",
    configOf([quota("shared", 3), quota("own", 2)], [deployment("a", ["shared", "own"]), deployment("b", ["shared"])]),
    async (d) => {
      await d.add(...jobs(1, 10));
      const grants = await d.grants();
      expect(grants).toHaveLength(3);
      expect(await d.used("shared")).toBe(3);
      await d.settle(grants[0]!, { charge: "void" });
      expect(await d.used("shared")).toBe(2);
      expect(await d.grants()).toHaveLength(1);
    },
  );

  declare(
    "a quota per minute with a burst lets the burst through at once and spreads the rest",
    configOf([tokens(6000, 600)]),
    async (d) => {
      await d.add(...jobs(1, 100, { cost: 100 }));
      expect(await d.grants()).toHaveLength(6);
      const waited = await asksAgainExactly(d);
      // A job of 100 is a sixtieth of the limit, and so waits for a sixtieth of the window.
      expect(waited).toBeGreaterThanOrEqual(Math.floor(spanMs / 60));
      expect(waited).toBeLessThanOrEqual(Math.ceil(spanMs / 60) + 1);
    },
  );

  declare("a job larger than the burst starts when the pacer is idle", configOf([tokens(6000, 600)]), async (d) => {
    await d.add(job(1, { cost: 3000 }), job(2, { cost: 3000 }));
    expect(await d.take()).toEqual([1]);
    const waited = await asksAgainExactly(d);
    expect(waited).toBeGreaterThanOrEqual(spanMs / 2);
    expect(waited).toBeLessThanOrEqual(spanMs / 2 + 2);
  });

  declare("idle time is worth a burst and no more", configOf([tokens(6000, 600)]), async (d) => {
    await d.add(...jobs(1, 6, { cost: 100 }));
    await d.take();
    await d.advance(30 * minuteMs);
    await d.add(...jobs(11, 90, { cost: 100 }));
    expect(await d.grants()).toHaveLength(6);
  });

  declare("usage below the reservation frees the rest at once", configOf([tokens(100)]), async (d) => {
    await d.add(job(1, { cost: 90 }), job(2, { cost: 80 }));
    const grant = await d.takeOne();
    expect(await d.take()).toEqual([]);
    await d.settle(grant, { charge: { input: 20, output: 0 } });
    expect(await d.take()).toEqual([2]);
    expect(await d.used("q")).toBe(100);
  });

  declare(
    "a settled charge ages out when the call was charged, not when it was settled",
    configOf([tokens(100)]),
    async (d) => {
      await d.add(job(1, { cost: 90 }), job(2, { cost: 90 }));
      const grant = await d.takeOne();
      await d.advance(spanMs - 10);
      await d.settle(grant, { charge: { input: 50, output: 0 } });
      expect((await d.acquire()).retryInMs).toBeLessThanOrEqual(11);
      await d.advance(11);
      expect(await d.take()).toEqual([2]);
    },
  );

  declare("usage above the reservation debits the rest", configOf([tokens(100)]), async (d) => {
    await d.add(job(1, { cost: 20 }), job(2, { cost: 30 }));
    const grant = await d.takeOne();
    await d.settle(grant, { charge: { input: 80, output: 10 } });
    expect(await d.used("q")).toBe(90);
    expect(await d.take()).toEqual([]);
  });

  declare("a charge is kept or void", configOf([tokens(100), quota("r", 10)]), async (d) => {
    await d.add(job(1, { cost: 20 }), job(2, { cost: 30 }));
    const [one, two] = await d.grants();
    await d.settle(one!, { charge: "keep", signal: none });
    await d.settle(two!, { charge: "void", signal: none });
    expect([await d.used("q"), await d.used("r")]).toEqual([20, 1]);
  });

  declare("a settlement after the charge has aged out changes nothing", configOf([tokens(100)]), async (d) => {
    await d.add(job(1, { cost: 90 }), job(2, { cost: 60 }), job(3, { cost: 41 }));
    const grant = await d.takeOne();
    await d.advance(spanMs + 2);
    expect(await d.take(1)).toEqual([2]);
    await d.settle(grant, { charge: { input: 1, output: 0 } });
    expect(await d.used("q")).toBe(60);
    expect(await d.take()).toEqual([]);
  });

  declare(
    "a rolling day holds what was charged for 24 hours, and no more than some minutes longer",
    configOf([quota("day", 5, { per: "day" })]),
    async (d) => {
      await d.add(...jobs(1, 20));
      expect(await d.grants()).toHaveLength(5);
      await d.advance(23 * hourMs);
      const { grants, retryInMs } = await d.acquire();
      expect(grants).toEqual([]);
      expect(retryInMs).toBeGreaterThan(0);
      await d.advance(hourMs + 800);
      expect(await d.take()).toEqual([]);
      await d.advance(10 * minuteMs);
      expect(await d.grants()).toHaveLength(5);
    },
  );

  declare("a daily quota says exactly when to retry", configOf([quota("day", 2, { per: "day" })]), async (d) => {
    await d.add(...jobs(1, 4));
    await d.take();
    await d.advance(hourMs);
    await d.add(...jobs(5, 9));
    const { retryInMs } = await d.acquire();
    await d.advance(retryInMs! - 1);
    expect(await d.take()).toEqual([]);
    await d.advance(1);
    expect(await d.take()).toEqual([3, 4]);
  });

  const hours = Array.from({ length: 24 }, (_, hour) => hour);
  declare(
    "a daily quota with a reset hour is empty after that hour",
    configOf(
      hours.map((hour) => quota(`q${hour}`, 1, { per: "day", resetHourUtc: hour })),
      hours.map((hour) => deployment(`d${hour}`, [`q${hour}`])),
    ),
    async (d) => {
      await d.add(...jobs(1, 200));
      expect(await d.grants()).toHaveLength(24);
      // Whatever the time is now: in every twelve hours twelve of the hours strike.
      await d.advance(12 * hourMs);
      expect(await d.grants()).toHaveLength(12);
      await d.advance(12 * hourMs);
      expect(await d.grants()).toHaveLength(24 - 12);
    },
  );

  declare(
    "a daily quota with a reset hour says when to retry and what the job waits for",
    configOf([quota("q", 1, { per: "day", resetHourUtc: 5 })]),
    async (d) => {
      await d.add(...jobs(1, 3));
      expect(await d.take()).toEqual([1]);
      const { retryInMs } = await d.acquire();
      expect(retryInMs).toBeLessThanOrEqual(24 * hourMs);
      expect((await d.waiting(jobId(2))).startsInMs).toBeLessThanOrEqual(24 * hourMs);
      expect((await d.quota("q")).nextFreeInMs).toBeLessThanOrEqual(24 * hourMs);
      await d.advance(retryInMs! - 1);
      expect(await d.take()).toEqual([]);
      await d.advance(1);
      expect(await d.take()).toEqual([2]);
    },
  );

  declare(
    "maxConcurrency counts running calls",
    configOf([], [deployment("d", [], { maxConcurrency: 2 })]),
    async (d) => {
      await d.add(...jobs(1, 5));
      const grants = await d.grants();
      expect(grants.map(numberOf)).toEqual([1, 2]);
      expect((await d.waiting(jobId(3))).waitingOn).toEqual({ kind: "concurrency", deployment: "d" });
      expect(await d.take()).toEqual([]);
      await d.settle(grants[1]!);
      expect(await d.take()).toEqual([3]);
      await d.settle(grants[0]!, { job: { requeueAfterMs: 0 }, signal: none });
      expect(await d.take()).toEqual([1]);
    },
  );
}
