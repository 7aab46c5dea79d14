// Jobs that a configuration change leaves without a deployment: they wait for the next change, and become impossible
// only after some time.
import { expect } from "vitest";
import { type Case, configOf, deployment, job, jobId, jobs, minuteMs, numberOf, quota } from "../harness.ts";

const waitMs = 10 * minuteMs;
const both = configOf([quota("q", 100, { unit: "tokens" })], [deployment("a", ["q"]), deployment("b", [])], {
  models: { m: { deployments: ["a"], choice: "headroom" }, old: { deployments: ["b"], choice: "headroom" } },
  missingModelWaitMs: waitMs,
});
const withoutOld = { ...both, version: "2", models: { m: both.models.m! } };

export function missingModelCases(declare: Case): void {
  declare("B7: jobs of a removed model wait, are counted, and become impossible in the end", both, async (d) => {
    await d.add(...jobs(1, 3, { models: ["old"] }), ...jobs(11, 12));
    await d.scheduler.configure(withoutOld);
    const { grants, impossible, retryInMs } = await d.acquire();
    expect([grants.map(numberOf), impossible, retryInMs]).toEqual([[11, 12], [], waitMs]);
    expect((await d.scheduler.snapshot()).missingModels).toEqual([{ model: "old", jobs: 3, failInMs: waitMs }]);
    expect((await d.waiting(jobId(1))).waitingOn).toEqual({
      kind: "configuration",
      reason: expect.stringMatching(/^No deployment/),
    });
    await d.advance(waitMs - 1);
    expect((await d.acquire()).impossible).toEqual([]);
    // The same configuration again, from another process, extends nothing.
    await d.scheduler.configure(withoutOld);
    await d.advance(1);
    expect((await d.acquire()).impossible.map(({ jobId: id }) => id)).toEqual([1, 2, 3].map(jobId));
    expect((await d.scheduler.snapshot()).missingModels).toEqual([]);
  });

  declare("B7: jobs run when their removed model returns, and jobs added meanwhile wait too", both, async (d) => {
    await d.add(...jobs(1, 3, { models: ["old"] }));
    await d.scheduler.configure(withoutOld);
    await d.advance(minuteMs);
    await d.add(...jobs(4, 4, { models: ["old"] }));
    expect(await d.take()).toEqual([]);
    expect((await d.scheduler.snapshot()).missingModels).toEqual([
      { model: "old", jobs: 4, failInMs: waitMs - minuteMs },
    ]);
    await d.scheduler.configure({ ...both, version: "3" });
    expect(await d.take()).toEqual([1, 2, 3, 4]);
    expect((await d.scheduler.snapshot()).missingModels).toEqual([]);
  });

  declare("a fallback replaces a removed model", both, async (d) => {
    await d.add(...jobs(1, 2, { models: ["old", "m"] }));
    await d.scheduler.configure(withoutOld);
    expect((await d.scheduler.snapshot()).missingModels).toEqual([]);
    expect((await d.grants()).map((grant) => grant.model)).toEqual(["m", "m"]);
  });

  declare("a job that costs more than a lowered quota waits, and others continue", both, async (d) => {
    await d.add(job(1, { cost: 80 }), ...jobs(2, 4));
    const lowered = { ...both, version: "2", quotas: [quota("q", 50, { unit: "tokens" })] };
    await d.scheduler.configure(lowered);
    const first = await d.acquire();
    expect([first.grants.map(numberOf), first.impossible]).toEqual([[2, 3, 4], []]);
    expect((await d.waiting(jobId(1))).waitingOn).toMatchObject({ kind: "configuration" });
    await d.advance(waitMs);
    expect((await d.acquire()).impossible).toMatchObject([{ jobId: jobId(1) }]);
  });

  declare("a rebuild does not restart the wait", both, async (d) => {
    await d.scheduler.configure(withoutOld);
    await d.advance(minuteMs);
    const ticket = (await d.scheduler.beginRebuild())!;
    await d.scheduler.restore(ticket, { entries: jobs(1, 1, { models: ["old"] }) });
    await d.scheduler.finishRebuild(ticket);
    expect((await d.acquire()).retryInMs).toBe(waitMs - minuteMs);
  });
}
