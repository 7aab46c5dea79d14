// Enqueueing, order within a flow, delays, removal, token counts, and jobs that can never run.
import { expect } from "vitest";
import { type Case, configOf, deployment, job, jobId, jobs, none, numberOf, ok, quota, spanMs } from "../harness.ts";

const unlimited = configOf([]);

export function jobCases(declare: Case): void {
  declare("enqueueing ignores a job that already waits or runs", unlimited, async (d) => {
    expect(await d.add(job(1), job(2))).toBe(2);
    expect(await d.add(job(1, { order: 9 }), job(3), job(3))).toBe(1);
    expect(await d.scheduler.remove([jobId(3)])).toEqual(["waiting"]);
    const grant = await d.takeOne();
    expect(numberOf(grant)).toBe(1);
    expect(await d.add(job(1))).toBe(0);
    expect(await d.take()).toEqual([2]);
    expect(await d.settle(grant)).toBe("settled");
    expect(await d.take()).toEqual([]);
  });

  declare("a job that ended may be added again", unlimited, async (d) => {
    await d.add(job(1));
    await d.settle(await d.takeOne());
    await d.add(job(1));
    expect(await d.take()).toEqual([1]);
  });

  declare("jobs of a flow run in the order of (order, jobId), however they arrive", unlimited, async (d) => {
    await d.add(job(5), job(3), job(9, { order: 3 }), job(1));
    await d.add(job(4, { order: 3 }), job(2));
    expect(await d.take(3)).toEqual([1, 2, 3]);
    expect(await d.take()).toEqual([4, 9, 5]);
  });

  declare(
    "jobs of a flow that differ in models or regions still run in their order",
    configOf([], [deployment("d", [])], {
      models: { m: { deployments: ["d"], choice: "headroom" }, n: { deployments: ["d"], choice: "headroom" } },
    }),
    async (d) => {
      await d.add(...jobs(1, 3), job(4, { models: ["n"] }), job(5, { regions: ["us-east-1"] }), ...jobs(6, 8));
      const taken: number[] = [];
      for (let i = 0; i < 8; i++) taken.push(...(await d.take(1)));
      expect(taken).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    },
  );

  declare("a requeued job returns to its own position", unlimited, async (d) => {
    await d.add(...jobs(1, 6));
    const grants = await d.grants(4);
    for (const i of [2, 0, 3]) {
      expect(await d.settle(grants[i]!, { job: { requeueAfterMs: 0 }, charge: "void", signal: none })).toBe("settled");
    }
    expect(await d.take()).toEqual([1, 3, 4, 5, 6]);
  });

  declare("grants are counted", unlimited, async (d) => {
    await d.add(job(1));
    const first = await d.takeOne();
    await d.settle(first, { job: { requeueAfterMs: 0 }, signal: none });
    const second = await d.takeOne();
    expect([first.grants, second.grants]).toEqual([1, 2]);
    expect(second.grant).not.toBe(first.grant);
  });

  declare("a grant shows what was reserved, when to send, and the environment", configOf([]), async (d) => {
    await d.add(job(1, { environment: "UAT", tokens: { input: 7, output: 5 } }));
    expect(await d.takeOne()).toMatchObject({
      jobId: jobId(1),
      environment: "UAT",
      deployment: "d",
      model: "m",
      reserved: { input: 7, output: 5 },
      sendWithinMs: 500,
      grants: 1,
    });
  });

  declare("a delayed job waits for exactly its delay, to the millisecond", unlimited, async (d) => {
    await d.add(job(1, { delayMs: 5000 }), job(2));
    expect(await d.take()).toEqual([2]);
    const { grants, retryInMs } = await d.acquire();
    expect({ grants, retryInMs }).toEqual({ grants: [], retryInMs: 5000 });
    await d.advance(4999);
    expect((await d.acquire()).retryInMs).toBe(1);
    await d.advance(1);
    expect(await d.take()).toEqual([1]);
  });

  declare("a delayed requeue returns to its own position", unlimited, async (d) => {
    await d.add(...jobs(1, 3));
    const grant = await d.takeOne();
    await d.settle(grant, { job: { requeueAfterMs: 1000 }, signal: none });
    expect(await d.take(1)).toEqual([2]);
    await d.advance(1000);
    expect(await d.take()).toEqual([1, 3]);
  });

  declare("without waiting jobs there is no time to retry", unlimited, async (d) => {
    expect(await d.acquire()).toEqual({ grants: [], impossible: [] });
  });

  declare("a full result says to retry at once", unlimited, async (d) => {
    await d.add(...jobs(1, 5));
    const result = await d.acquire(2);
    expect([result.grants.length, result.retryInMs]).toEqual([2, 0]);
  });

  declare("a repeated acquire returns the same and grants nothing more", configOf([quota("q", 10)]), async (d) => {
    await d.add(...jobs(1, 5));
    const request = { operation: "once", worker: "w", max: 2 };
    const first = await d.scheduler.acquire(request);
    await d.settle(first.grants[0]!);
    expect(await d.scheduler.acquire(request)).toEqual(first);
    expect(await d.used("q")).toBe(2);
  });

  declare("an acquire and a recharge with the same operation id do not answer for each other", unlimited, async (d) => {
    await d.add(job(1), job(2));
    const [grant] = (await d.scheduler.acquire({ operation: "same", worker: "w", max: 1 })).grants;
    expect((await d.recharge(grant!, "same")).status).toBe("recharged");
  });

  declare("remove works wherever the job waits or runs", configOf([quota("q", 100, { unit: "tokens" })]), async (d) => {
    await d.add(job(1), job(2, { delayMs: 1000 }), job(3, { cost: 90 }), job(4, { cost: 50 }), job(5));
    const running = await d.takeOne();
    expect(await d.take(1)).toEqual([3]);
    // Job 4 does not fit: it was tried, and waits with a start kept free.
    expect(await d.take(1)).toEqual([5]);
    expect(await d.scheduler.remove([1, 2, 4, 6].map(jobId))).toEqual(["running", "waiting", "waiting", "absent"]);
    expect(await d.scheduler.remove([jobId(1)])).toEqual(["absent"]);
    expect(await d.renew(running)).toBe("lost");
    for (const n of [1, 2, 4]) expect(await d.scheduler.explain(jobId(n))).toEqual({ state: "absent" });
    await d.advance(2 * spanMs);
    expect(await d.take()).toEqual([]);
    expect(await d.scheduler.snapshot()).toMatchObject({ waiting: [], backlogs: [] });
  });

  declare("a removed job among others leaves their order alone", unlimited, async (d) => {
    await d.add(...jobs(1, 200));
    await d.scheduler.remove(jobs(2, 150).map((j) => j.jobId));
    await d.add(job(100), job(7));
    expect(await d.take()).toEqual([1, 7, 100, ...jobs(151, 200).map(numberOf)]);
  });

  declare(
    "the charge of a removed job stays until it is settled late",
    configOf([quota("q", 10, { unit: "tokens" })]),
    async (d) => {
      await d.add(job(1, { cost: 8 }));
      const grant = await d.takeOne();
      await d.scheduler.remove([jobId(1)]);
      expect(await d.used("q")).toBe(8);
      expect(await d.settle(grant, { charge: { input: 2, output: 1 } })).toBe("lost");
      expect(await d.used("q")).toBe(3);
    },
  );

  declare(
    "estimates near the heads are listed for counting, and a count replaces them",
    configOf([quota("q", 10, { unit: "tokens" })]),
    async (d) => {
      await d.add(job(1, { cost: 9, exact: false }), job(2, { cost: 9, exact: false }), job(3, { exact: true }));
      const [running] = await d.grants(1);
      expect(numberOf(running!)).toBe(1);
      expect((await d.acquire()).grants.map(numberOf)).toEqual([3]);
      expect(await d.scheduler.listUncounted(10)).toEqual([{ jobId: jobId(2), environment: "PROD", models: ["m"] }]);
      await d.scheduler.setTokenCounts([
        { jobId: jobId(1), tokens: { input: 1, output: 0 } },
        { jobId: jobId(2), tokens: { input: 0, output: 0 } },
        { jobId: jobId(7), tokens: { input: 1, output: 0 } },
      ]);
      expect(await d.scheduler.listUncounted(10)).toEqual([]);
      const [second] = await d.grants();
      expect([numberOf(second!), second!.reserved]).toEqual([2, { input: 0, output: 0 }]);
      // Job 1 was running and was left as it was.
      await d.settle(running!, { job: { requeueAfterMs: 0 }, charge: "void", signal: none });
      expect((await d.takeOne()).reserved).toEqual({ input: 9, output: 0 });
    },
  );

  declare("no more estimates are listed than the limit", configOf([quota("q", 10, { unit: "tokens" })]), async (d) => {
    await d.add(job(1, { cost: 9 }), ...jobs(2, 5, { cost: 9, exact: false }));
    await d.add(...jobs(6, 9, { cost: 9, exact: false, tenant: "u", regions: ["us-east-1"] }));
    await d.acquire();
    for (const limit of [1, 2, 3]) expect(await d.scheduler.listUncounted(limit)).toHaveLength(limit);
  });

  declare(
    "a job that no quota can admit any more is returned as impossible, with both numbers",
    configOf([quota("q", 100, { unit: "tokens" })]),
    async (d) => {
      await d.add(job(1, { cost: 60 }), job(2, { cost: 40 }));
      await d.scheduler.configure({ ...configOf([quota("q", 50, { unit: "tokens" })]), version: "2" });
      const result = await d.acquire();
      expect(result.grants.map(numberOf)).toEqual([2]);
      expect(result.impossible).toEqual([{ jobId: jobId(1), environment: "PROD", reason: expect.any(String) }]);
      expect(result.impossible[0]!.reason).toMatch(/\b60\b.*\b50\b/);
      expect(await d.scheduler.explain(jobId(1))).toEqual({ state: "absent" });
    },
  );

  declare("a booked job becomes impossible too", configOf([quota("q", 100, { unit: "tokens" })]), async (d) => {
    await d.add(job(1, { cost: 60 }), job(2, { cost: 60 }), job(3, { cost: 70 }));
    expect(await d.take()).toEqual([1]);
    await d.scheduler.configure({ ...configOf([quota("q", 50, { unit: "tokens" })]), version: "2" });
    expect((await d.acquire()).impossible.map(numberOf).sort()).toEqual([2, 3]);
  });

  declare("jobs of a removed model are impossible and do not delay others", configOf([quota("q", 100)]), async (d) => {
    await d.add(...jobs(1, 3, { models: ["gone"] }), job(4), job(5, { regions: ["nowhere"] }));
    const taken: number[] = [];
    const impossible: number[] = [];
    for (let i = 0; i < 10; i++) {
      const result = await d.acquire(1);
      taken.push(...result.grants.map(numberOf));
      impossible.push(...result.impossible.map(numberOf));
    }
    expect([taken, impossible.sort()]).toEqual([[4], [1, 2, 3, 5]]);
  });

  declare("one acquire returns a bounded number of impossible jobs", configOf([]), async (d) => {
    await d.add(...jobs(1, 3000, { models: ["gone"] }), job(3001));
    const seen = new Set<number>();
    for (let i = 0; i < 3000 && seen.size < 3000; i++) {
      const result = await d.acquire(10);
      expect(result.impossible.length).toBeLessThanOrEqual(1000);
      if (seen.size + result.impossible.length < 3000) expect(result.retryInMs).toBe(0);
      for (const each of result.impossible) seen.add(numberOf(each));
    }
    expect(seen.size).toBe(3000);
  });

  declare(
    "a job too large for its own model is impossible, though a fallback could admit it",
    configOf(
      [quota("small", 10, { unit: "tokens" }), quota("big", 100, { unit: "tokens" })],
      [deployment("s", ["small"]), deployment("b", ["big"])],
      { models: { s: { deployments: ["s"], choice: "headroom" }, b: { deployments: ["b"], choice: "headroom" } } },
    ),
    async (d) => {
      await d.add(job(1, { cost: 50, models: ["s", "b"] }), job(2, { cost: 5, models: ["s", "b"] }));
      const result = await d.acquire();
      expect([result.impossible.map(numberOf), result.grants.map(numberOf)]).toEqual([[1], [2]]);
    },
  );

  declare(
    "listeners are called when there may be something new",
    configOf([quota("q", 1)], [deployment("d", ["q"], { maxConcurrency: 1 })]),
    async (d) => {
      let calls = 0;
      const stop = d.scheduler.onWork(() => {
        calls += 1;
      });
      // Returns what is granted then: an acquire that leaves slots free listens again.
      const called = async (action: () => Promise<unknown>) => {
        const before = calls;
        await action();
        // An adapter may be notified by another process.
        await expect.poll(() => calls, { timeout: 5000 }).toBeGreaterThan(before);
        return d.grants();
      };
      expect(await d.grants()).toEqual([]);
      const [grant] = await called(() => d.add(...jobs(1, 9)));
      const [again] = await called(() =>
        d.settle(grant!, { job: { requeueAfterMs: 0 }, charge: "void", signal: none }),
      );
      await called(() => d.scheduler.remove([again!.jobId]));
      await called(() => d.scheduler.setTokenCounts([{ jobId: jobId(2), tokens: { input: 1, output: 1 } }]));
      await called(() => d.scheduler.resetLearnedLimits());
      await called(() => d.scheduler.reinstate("d"));
      // Two calls at a time, so that a job still waits when one ends.
      const wider = configOf([quota("q", 100)], [deployment("d", ["q"], { maxConcurrency: 2 })]);
      const [last] = await called(() => d.scheduler.configure({ ...wider, version: "2" }));
      await called(() => d.scheduler.settle([{ ...last!, job: "ended", charge: "void", signal: ok }]));
      stop();
      stop();
      const before = calls;
      await d.add(...jobs(10, 11));
      await d.acquire();
      expect(calls).toBe(before);
    },
  );
}
