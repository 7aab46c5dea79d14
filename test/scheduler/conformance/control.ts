// What may change while jobs wait: priorities and delays; and the position that a job would get.
import { expect } from "vitest";
import { type Case, configOf, job, jobId, jobs, minuteMs, quota, spanMs } from "../harness.ts";

export function controlCases(declare: Case): void {
  declare(
    "an update changes priority and delay of a waiting job and keeps its token count and position",
    configOf([quota("q", 1)]),
    async (d) => {
      await d.add(job(1), job(2), job(3, { exact: false, tokens: { input: 50, output: 0 } }), job(4));
      await d.scheduler.setTokenCounts([{ jobId: jobId(3), tokens: { input: 7, output: 3 } }]);
      expect(await d.scheduler.update(job(3, { priority: "interactive", exact: false }))).toBe("waiting");
      expect(await d.scheduler.listUncounted(10)).toEqual([]);
      expect(await d.scheduler.update(job(2, { delayMs: 3 * spanMs }))).toBe("waiting");
      expect((await d.waiting(jobId(2))).waitingOn).toEqual({ kind: "delay" });
      expect((await d.scheduler.snapshot()).waiting).toMatchObject([
        { environment: "PROD", priority: "interactive", ready: 1, delayed: 0 },
        { environment: "PROD", priority: "standard", ready: 2, delayed: 1 },
      ]);
      const order: number[] = [];
      for (let i = 0; i < 3; i++) {
        const [grant] = await d.grants();
        if (grant) {
          order.push(Number(grant.jobId.slice(-3)));
          if (grant.jobId === jobId(3)) expect(grant.reserved).toEqual({ input: 7, output: 3 });
          expect(await d.scheduler.update(job(order.at(-1)!, { priority: "batch" }))).toBe("running");
          await d.settle(grant);
        }
        await d.advance(spanMs + 1);
      }
      expect(order.slice().sort()).toEqual([1, 3, 4]);
      expect(order.indexOf(1)).toBeLessThan(order.indexOf(4));
      // Removes the delay again.
      expect(await d.scheduler.update(job(2))).toBe("waiting");
      expect(await d.take()).toEqual([2]);
      // An unknown job is added.
      expect(await d.scheduler.update(job(9))).toBe("waiting");
      await d.advance(spanMs + 1);
      expect(await d.take()).toEqual([9]);
    },
  );

  declare(
    "a booked job that is updated loses its booking",
    configOf([quota("q", 100, { unit: "tokens" })]),
    async (d) => {
      await d.add(job(1, { cost: 60 }), job(2, { cost: 90 }));
      expect(await d.take()).toEqual([1]);
      await d.scheduler.update(job(2, { delayMs: 10 * spanMs }));
      await d.add(...jobs(3, 6, { cost: 10 }));
      expect(await d.take()).toEqual([3, 4, 5, 6]);
    },
  );

  declare(
    "the estimated position is the position once the job is added, and the estimate changes nothing",
    configOf([quota("q", 2)]),
    async (d) => {
      expect(await d.scheduler.estimatePosition(job(5))).toMatchObject({
        state: "waiting",
        position: 1,
        startsInMs: 0,
      });
      expect(await d.scheduler.explain(jobId(5))).toEqual({ state: "absent" });
      await d.add(...jobs(1, 6));
      await d.take();
      const other = { tenant: "u", priority: "interactive" } as const;
      for (const asked of [job(7), job(8, other), job(9, { delayMs: 10 * spanMs })]) {
        const before = await d.scheduler.snapshot();
        const estimated = await d.scheduler.estimatePosition(asked);
        expect(await d.scheduler.snapshot()).toEqual(before);
        expect(await d.scheduler.estimatePosition(asked)).toEqual(estimated);
        await d.add(asked);
        await d.advance(1001);
        const { startsInMs, ...rest } = await d.waiting(asked.jobId);
        expect(estimated).toMatchObject(rest);
        if (estimated.state === "waiting") expect(Math.abs(estimated.startsInMs! - startsInMs!)).toBeLessThan(1100);
        await d.scheduler.remove([asked.jobId]);
      }
      expect(await d.scheduler.estimatePosition(job(1))).toEqual({ state: "running", deployment: "d" });
    },
  );

  declare(
    "the estimated position of the last of many jobs is its position once they are added",
    configOf([quota("q", 100, { unit: "tokens", burst: 10 })]),
    async (d) => {
      await d.add(...jobs(1, 5, { cost: 10 }), ...jobs(6, 8, { cost: 20, tenant: "u" }));
      await d.advance(1001);
      const estimated = await d.scheduler.estimatePosition(job(140, { cost: 10 }), 39);
      await d.add(...jobs(101, 140, { cost: 10 }));
      await d.advance(1001);
      const { startsInMs, ...rest } = await d.waiting(jobId(140));
      expect(estimated).toMatchObject(rest);
      // 460 tokens at 100 per minute go before it.
      expect(startsInMs).toBeGreaterThan(4 * minuteMs);
      if (estimated.state === "waiting") expect(Math.abs(estimated.startsInMs! - startsInMs!)).toBeLessThan(1100);
    },
  );
}
