// Jobs that take a large part of a quota: their start is kept free, and others go first only if they fit around it.
import { expect } from "vitest";
import {
  type Case,
  configOf,
  type Driver,
  deployment,
  job,
  jobId,
  jobs,
  minuteMs,
  numberOf,
  quota,
  spanMs,
} from "../harness.ts";

const tokens = (limit: number, burst = limit) => quota("q", limit, { unit: "tokens", burst });

/** A tenant that always has another small job ends every call at once. Returns how long the job had to wait, in ms. */
async function waitAmongSmallOnes(d: Driver, n: number, small: { cost: number; tenant: string }): Promise<number> {
  let next = 100_000;
  let waited = 0;
  while (waited < 5 * spanMs) {
    await d.add(...jobs(next, next + 99, small));
    next += 100;
    const { grants, retryInMs } = await d.acquire();
    if (grants.some((g) => numberOf(g) === n)) return waited;
    await d.scheduler.settle(
      grants.map((g) => ({
        ...g,
        job: "ended",
        charge: { input: g.reserved.input, output: 0 },
        signal: { kind: "ok" },
      })),
    );
    const ms = Math.max(1, Math.min(retryInMs ?? 1000, 1000));
    await d.advance(ms);
    waited += ms;
  }
  return waited;
}

export function heavyJobCases(declare: Case): void {
  for (const burst of [100, 10]) {
    for (const tenant of ["same", "other"]) {
      declare(
        `60 % of a quota with a burst of ${burst} % starts within two windows among endless small ones of the ${tenant} tenant`,
        configOf([tokens(1000, 10 * burst)]),
        async (d) => {
          await d.add(...jobs(1000, 1105, { cost: 10, tenant: "other" }));
          await d.take();
          await d.add(job(2000, { cost: 600, tenant }));
          expect(await waitAmongSmallOnes(d, 2000, { cost: 10, tenant: "other" })).toBeLessThanOrEqual(2 * spanMs);
        },
      );
    }
  }

  declare("small jobs go first where they fit around a booked one", configOf([tokens(100)]), async (d) => {
    await d.add(job(1, { cost: 50 }));
    await d.take();
    await d.advance(10_000);
    await d.add(job(2, { cost: 60 }), ...jobs(3, 20, { cost: 10 }));
    // 60 are kept free for when the 50 have aged out, so 40 may start now.
    expect(await d.take()).toEqual([3, 4, 5, 6]);
    const { grants, retryInMs } = await d.acquire();
    expect(grants).toEqual([]);
    await d.advance(retryInMs!);
    expect(await d.take()).toEqual([2]);
  });

  declare(
    "while a start is kept free no worker is told to retry every millisecond",
    configOf([tokens(100)]),
    async (d) => {
      await d.add(job(1, { cost: 50 }));
      await d.take();
      await d.advance(1000);
      await d.add(job(2, { cost: 60 }), ...jobs(3, 9, { cost: 45 }));
      let asked = 0;
      for (let waited = 0; waited < 2 * spanMs; asked++) {
        const { grants, retryInMs } = await d.acquire();
        if (grants.length > 0) break;
        await d.advance(retryInMs!);
        waited += retryInMs!;
      }
      expect(asked).toBeLessThanOrEqual(5);
      expect(await d.scheduler.explain(jobId(2))).toMatchObject({ state: "running" });
    },
  );

  declare(
    "no worker is told to retry every millisecond while the heavy job waits for a running call",
    configOf([tokens(100)], [deployment("d", ["q"], { maxConcurrency: 1 })]),
    async (d) => {
      await d.add(job(1, { cost: 50 }), job(2, { cost: 60 }), job(3, { cost: 1 }));
      const running = await d.takeOne();
      await d.acquire();
      await d.settle(running);
      const small = await d.takeOne();
      expect(numberOf(small)).toBe(3);
      await d.advance(spanMs + 1);
      const { grants, retryInMs } = await d.acquire();
      expect(grants).toEqual([]);
      expect(retryInMs ?? minuteMs).toBeGreaterThan(1000);
      await d.settle(small);
      expect(await d.take()).toEqual([2]);
    },
  );

  declare(
    "heavy jobs on different routes to one quota run one after the other",
    configOf([tokens(100)], [deployment("a", ["q"]), deployment("b", ["q"])], {
      models: { m: { deployments: ["a"], choice: "headroom" }, n: { deployments: ["b"], choice: "headroom" } },
    }),
    async (d) => {
      await d.add(job(1, { cost: 50 }));
      await d.take();
      await d.add(
        job(2, { cost: 60 }),
        job(3, { cost: 70, models: ["n"] }),
        job(4, { cost: 80, regions: ["us-east-1"] }),
      );
      const starts: number[] = [];
      let asked = 0;
      for (let waited = 0; waited < 6 * spanMs && starts.length < 3; asked++) {
        const { grants, retryInMs } = await d.acquire();
        starts.push(...grants.map(numberOf));
        const ms = retryInMs ?? minuteMs;
        await d.advance(ms);
        waited += ms;
      }
      expect(starts).toEqual([2, 3, 4]);
      expect(asked).toBeLessThanOrEqual(20);
    },
  );

  declare("two heavy tenants alternate, and small ones are not shut out", configOf([tokens(100)]), async (d) => {
    await d.add(
      ...jobs(1, 4, { cost: 70, tenant: "a" }),
      ...jobs(11, 14, { cost: 70, tenant: "b" }),
      ...jobs(21, 60, { cost: 5, tenant: "c" }),
    );
    const order: number[] = [];
    for (let waited = 0; waited < 12 * spanMs; ) {
      const { grants, retryInMs } = await d.acquire();
      order.push(...grants.map(numberOf));
      await d.advance(Math.max(1, retryInMs ?? minuteMs));
      waited += Math.max(1, retryInMs ?? minuteMs);
    }
    expect(order).toHaveLength(48);
    const heavy = order.filter((n) => n < 20);
    for (let i = 0; i + 1 < heavy.length; i++) expect(heavy[i]! < 10).not.toBe(heavy[i + 1]! < 10);
  });

  declare(
    "a heavy job that no worker serves does not keep its start free forever",
    configOf([tokens(100)]),
    async (d) => {
      await d.add(job(1, { cost: 50, environment: "UAT" }), job(2, { cost: 90, environment: "UAT" }));
      expect(await d.take()).toEqual([1]);
      // Job 2 has a start kept free, and then the only worker that serves UAT disconnects.
      await d.add(...jobs(11, 90, { cost: 50 }));
      let granted = 0;
      for (let waited = 0; waited < 4 * spanMs; waited += 1000) {
        granted += (await d.grants(10, { environments: ["PROD"] })).length;
        await d.advance(1000);
      }
      expect(granted).toBeGreaterThanOrEqual(4);
      // When such a worker returns it is served as before.
      let taken: number[] = [];
      for (let waited = 0; waited < 3 * spanMs && !taken.includes(2); waited += 1000) {
        taken = [...taken, ...(await d.take())];
        await d.advance(1000);
      }
      expect(taken).toContain(2);
    },
  );

  declare(
    "a start set by a daily quota does not delay jobs that end before it",
    configOf([quota("day", 1000, { unit: "tokens", per: "day" }), quota("minute", 200, { unit: "tokens" })]),
    async (d) => {
      for (let i = 0; i < 5; i++) {
        await d.add(job(i + 1, { cost: 180 }));
        expect(await d.run()).toEqual([i + 1]);
        await d.advance(minuteMs * 2);
      }
      // 100 are left of the day, so 150 must wait for tomorrow.
      await d.add(job(20, { cost: 150 }), job(21, { cost: 90 }));
      expect(await d.take()).toEqual([21]);
    },
  );

  declare("several heavy jobs in one flow all start", configOf([tokens(100, 10)]), async (d) => {
    await d.add(...jobs(1, 6, { cost: 60 }), ...jobs(11, 40, { cost: 3, tenant: "u" }));
    const taken: number[] = [];
    for (let waited = 0; waited < 8 * spanMs; waited += 500) {
      for (const grant of await d.grants()) taken.push(numberOf(grant));
      await d.advance(500);
    }
    expect(taken.filter((n) => n < 10)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(taken).toHaveLength(36);
  });
}
