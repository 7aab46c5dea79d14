// What an operator pauses is not granted until it is resumed.
import { expect } from "vitest";
import type { PauseTarget } from "../../../src/scheduler/scheduler.ts";
import { type Case, configOf, deployment, job, jobId, jobs, quota, spanMs } from "../harness.ts";

/** `m` on a and b, `n` on c. */
const config = configOf([], [deployment("a", []), deployment("b", []), deployment("c", [])], {
  models: { m: { deployments: ["a", "b"], choice: "order" }, n: { deployments: ["c"], choice: "order" } },
});

export function pauseCases(declare: Case): void {
  const targets: { target: PauseTarget; paused: number[] }[] = [
    { target: { model: "m" }, paused: [1, 2, 4] },
    { target: { tenant: "t" }, paused: [1, 2, 3] },
    { target: { tenant: "t", environment: "UAT" }, paused: [2] },
    { target: { tenant: "absent" }, paused: [] },
  ];
  for (const { target, paused } of targets) {
    declare(`paused and resumed: ${JSON.stringify(target)}`, config, async (d) => {
      await d.scheduler.pause(target);
      await d.scheduler.pause(target);
      await d.add(job(1), job(2, { environment: "UAT" }), job(3, { models: ["n"] }), job(4, { tenant: "u" }));
      for (const n of paused) {
        const waiting = await d.waiting(jobId(n));
        expect(waiting.waitingOn).toEqual({ kind: "paused", target });
        expect(waiting).not.toHaveProperty("startsInMs");
      }
      expect((await d.scheduler.snapshot()).paused).toEqual([target]);
      const { grants, retryInMs } = await d.acquire();
      expect(grants.map((grant) => Number(grant.jobId.slice(-12))).sort()).toEqual(
        [1, 2, 3, 4].filter((n) => !paused.includes(n)),
      );
      // Only a resume can change that; running calls end some day.
      if (grants.length === 0) expect(retryInMs).toBeUndefined();
      await d.scheduler.resume(target);
      expect((await d.scheduler.snapshot()).paused).toEqual([]);
      expect((await d.take()).sort()).toEqual(paused);
    });
  }

  declare("a paused deployment leaves its work to the others of its model", config, async (d) => {
    await d.scheduler.pause({ deployment: "a" });
    await d.add(...jobs(1, 2));
    expect((await d.grants()).map((grant) => grant.deployment)).toEqual(["b", "b"]);
    await d.scheduler.pause({ deployment: "b" });
    await d.add(job(3));
    expect(await d.take()).toEqual([]);
    expect((await d.waiting(jobId(3))).waitingOn).toEqual({ kind: "paused", target: { deployment: "a" } });
  });

  declare("a running call continues during a pause: it is renewed, recharged and settled", config, async (d) => {
    await d.add(job(1));
    const grant = await d.takeOne();
    for (const target of [{ model: "m" }, { deployment: "a" }, { tenant: "t" }]) await d.scheduler.pause(target);
    expect(await d.renew(grant)).toBe("renewed");
    expect((await d.recharge(grant)).status).toBe("recharged");
    expect(await d.settle(grant)).toBe("settled");
  });

  declare("a pause is no reason for a fallback", config, async (d) => {
    await d.scheduler.pause({ model: "m" });
    await d.add(job(1, { models: ["m", "n"] }));
    expect(await d.take()).toEqual([]);
    await d.scheduler.resume({ model: "m" });
    for (const id of ["a", "b"]) await d.scheduler.pause({ deployment: id });
    expect(await d.take()).toEqual([]);
  });

  declare("a paused model is not used as a fallback either", config, async (d) => {
    await d.scheduler.pause({ model: "n" });
    await d.add(job(1, { models: ["m", "n"] }), job(2, { models: ["m", "n"] }), job(3, { models: ["m", "n"] }));
    for (const id of ["a", "b"]) {
      const grant = (await d.grants(1))[0]!;
      expect(grant.deployment).toBe(id);
      await d.refuse(grant, { kind: "misconfigured", reason: "no access" });
    }
    expect(await d.take()).toEqual([]);
    expect((await d.waiting(jobId(3))).waitingOn).toEqual({ kind: "paused", target: { model: "n" } });
  });

  declare(
    "a heavy job that is paused keeps no start free",
    configOf([quota("q", 100, { unit: "tokens" })]),
    async (d) => {
      await d.add(job(1, { cost: 50 }));
      await d.take();
      await d.advance(10_000);
      await d.add(job(2, { cost: 90, tenant: "heavy" }), ...jobs(3, 7, { cost: 10, tenant: "small" }));
      expect(await d.take()).toEqual([3]);
      await d.scheduler.pause({ tenant: "heavy" });
      expect(await d.take()).toEqual([4, 5, 6, 7]);
      await d.scheduler.resume({ tenant: "heavy" });
      await d.advance(spanMs + 1);
      expect(await d.take()).toEqual([2]);
    },
  );

  declare("pauses survive a rebuild and a new configuration, and can be restored", config, async (d) => {
    await d.scheduler.pause({ model: "m" });
    const ticket = (await d.scheduler.beginRebuild())!;
    await d.scheduler.restore(ticket, { paused: [{ tenant: "t", environment: "PROD" }, { deployment: "gone" }] });
    await d.scheduler.restore(ticket, { entries: [job(1, { tenant: "u" }), job(2, { models: ["n"] })] });
    await d.scheduler.finishRebuild(ticket);
    expect((await d.scheduler.snapshot()).paused).toEqual([
      { deployment: "gone" },
      { model: "m" },
      { tenant: "t", environment: "PROD" },
    ]);
    expect(await d.take()).toEqual([]);
    await d.scheduler.configure({ ...config, version: "2" });
    expect(await d.take()).toEqual([]);
    await d.scheduler.resume({ model: "m" });
    expect(await d.take()).toEqual([1]);
  });

  declare("a job that only waits for jobs due earlier says so", configOf([quota("q", 100)]), async (d) => {
    await d.add(...jobs(1, 5));
    expect((await d.waiting(jobId(1))).waitingOn).toEqual({ kind: "turn" });
    expect((await d.waiting(jobId(4))).waitingOn).toEqual({ kind: "fairness" });
  });
}
