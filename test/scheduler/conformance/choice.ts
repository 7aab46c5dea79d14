// Which deployment a job goes to: one that admits it, in an allowed region, in service, and served by the worker.
import { expect } from "vitest";
import type { DeploymentSignal } from "../../../src/scheduler/scheduler.ts";
import {
  type Case,
  configOf,
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

const capacity: DeploymentSignal = { kind: "capacity" };
const misconfigured: DeploymentSignal = { kind: "misconfigured", reason: "no access" };

const twoRegions = configOf(
  [quota("qa", 100), quota("qb", 10)],
  [deployment("a", ["qa"]), deployment("b", ["qb"], { region: "eu-west-1" })],
);

/** `own` is served by a; its fallback `other` by b. */
const withFallback = configOf([quota("qa", 5), quota("qb", 5)], [deployment("a", ["qa"]), deployment("b", ["qb"])], {
  models: { own: { deployments: ["a"], choice: "headroom" }, other: { deployments: ["b"], choice: "headroom" } },
});

const twoBaseModels = configOf(
  [quota("qa", 100), quota("qb", 10)],
  [
    deployment("a", ["qa"], { baseModel: "x" }),
    deployment("b", ["qb"], { baseModel: "y", region: "eu-west-1" }),
    deployment("c", ["qa"]),
  ],
  { models: { m: { deployments: ["a", "b", "c"], choice: "order" } } },
);

export function choiceCases(declare: Case): void {
  declare("the deployment with the most headroom is used first", twoRegions, async (d) => {
    await d.add(...jobs(1, 110));
    const grants = await d.grants(22);
    const onA = grants.filter((g) => g.deployment === "a").length;
    expect(onA).toBeGreaterThanOrEqual(19);
    expect(onA).toBeLessThan(22);
    expect(await d.grants()).toHaveLength(88);
  });

  declare(
    "deployments are used in the listed order if configured so",
    configOf([quota("qa", 3), quota("qb", 100)], [deployment("a", ["qa"]), deployment("b", ["qb"])], {
      models: { m: { deployments: ["a", "b"], choice: "order" } },
    }),
    async (d) => {
      await d.add(...jobs(1, 5));
      expect((await d.grants()).map((g) => g.deployment)).toEqual(["a", "a", "a", "b", "b"]);
    },
  );

  declare("a job never runs outside its regions", twoRegions, async (d) => {
    await d.add(...jobs(1, 15, { regions: ["eu-west-1"] }), ...jobs(21, 23, { regions: ["eu-west-1", "us-east-1"] }));
    const grants = await d.grants();
    expect(grants.filter((g) => numberOf(g) <= 15).map((g) => g.deployment)).toEqual(Array(10).fill("b"));
    expect(grants.filter((g) => numberOf(g) > 15).map((g) => g.deployment)).toEqual(Array(3).fill("a"));
  });

  declare("a job that names a foundation model runs only on deployments of that model", twoBaseModels, async (d) => {
    await d.add(...jobs(1, 15, { baseModel: "y" }), ...jobs(21, 23), job(24, { baseModel: "none" }));
    await d.add(job(25, { baseModel: "x", regions: ["eu-west-1"] }), job(26, { baseModel: "x" }));
    const { grants, impossible } = await d.acquire();
    expect(grants.filter((g) => numberOf(g) <= 15).map((g) => g.deployment)).toEqual(Array(10).fill("b"));
    expect(grants.filter((g) => numberOf(g) > 15).map((g) => [numberOf(g), g.deployment])).toEqual(
      expect.arrayContaining([21, 22, 23, 26].map((n) => [n, "a"])),
    );
    expect(grants).toHaveLength(14);
    expect(impossible.map(numberOf).sort()).toEqual([24, 25]);
  });

  declare("a blocked route delays no other route, not even in the same flow", twoRegions, async (d) => {
    await d.add(...jobs(1, 50, { regions: ["eu-west-1"] }));
    await d.take();
    await d.add(...jobs(51, 60));
    expect(await d.take()).toEqual(jobs(51, 60).map(numberOf));
  });

  declare("a worker is granted only what it serves", twoRegions, async (d) => {
    await d.add(...jobs(1, 4, { environment: "UAT" }), ...jobs(11, 14));
    expect(await d.take(100, { environments: ["none"] })).toEqual([]);
    expect(await d.take(2, { environments: ["UAT"] })).toEqual([1, 2]);
    const served = await d.grants(100, { environments: ["PROD"], deployments: ["b"] });
    expect(served.map((g) => [numberOf(g), g.deployment])).toEqual([11, 12, 13, 14].map((n) => [n, "b"]));
    expect(await d.take(100, { deployments: [] })).toEqual([]);
    expect(await d.take()).toEqual([3, 4]);
  });

  declare(
    "a fallback is used only when nothing before it is in service, and the grant names it",
    withFallback,
    async (d) => {
      await d.add(...jobs(1, 9, { models: ["own", "other"] }), ...jobs(11, 12, { models: ["own"] }));
      const grants = await d.grants(1);
      expect(grants[0]).toMatchObject({ deployment: "a", model: "own" });
      expect(await d.grants()).toHaveLength(4);
      // The quota of the job's own model is used up, which is no reason to fall back.
      expect(await d.take()).toEqual([]);
      await d.settle(grants[0]!, { signal: misconfigured });
      const fallback = await d.grants();
      expect(fallback.map((g) => [numberOf(g), g.deployment, g.model])).toEqual(
        [6, 7, 8, 9].map((n) => [n, "b", "other"]),
      );
      expect((await d.waiting(jobId(11))).waitingOn).toEqual({
        kind: "out_of_service",
        deployment: "a",
        reason: "no access",
      });
    },
  );

  declare(
    "the job's own model is used again when it returns, though the fallback is full for longer",
    withFallback,
    async (d) => {
      await d.add(...jobs(1, 20, { models: ["own", "other"] }));
      await d.refuse(await d.takeOne(), capacity);
      expect(await d.grants()).toHaveLength(5);
      const { grants, retryInMs } = await d.acquire();
      expect([grants, retryInMs]).toEqual([[], 1000]);
      await d.advance(1000);
      expect((await d.takeOne()).model).toBe("own");
    },
  );

  declare(
    "a fallback that can never admit the job is not used",
    configOf(
      [quota("big", 100, { unit: "tokens" }), quota("small", 10, { unit: "tokens" })],
      [deployment("a", ["big"]), deployment("b", ["small"])],
      {
        models: { own: { deployments: ["a"], choice: "headroom" }, other: { deployments: ["b"], choice: "headroom" } },
      },
    ),
    async (d) => {
      await d.add(
        job(1, { cost: 50, models: ["own", "other"] }),
        job(2, { cost: 5, models: ["own", "other"], tenant: "u" }),
      );
      await d.refuse(await d.takeOne(), misconfigured);
      expect(await d.take()).toEqual([2]);
      expect((await d.waiting(jobId(1))).waitingOn).toMatchObject({ kind: "out_of_service", deployment: "a" });
      await d.scheduler.reinstate("a");
      expect(await d.take()).toEqual([1]);
    },
  );

  declare(
    "a job too large for one deployment does not keep smaller ones from it",
    configOf(
      [quota("small", 10, { unit: "tokens" }), quota("big", 100, { unit: "tokens" })],
      [deployment("s", ["small"]), deployment("b", ["big"])],
    ),
    async (d) => {
      await d.add(job(1, { cost: 100 }));
      expect((await d.takeOne()).deployment).toBe("b");
      await d.add(job(2, { cost: 50 }), job(3, { cost: 5, tenant: "u" }), job(4, { cost: 5 }));
      expect((await d.grants()).map((g) => [numberOf(g), g.deployment])).toContainEqual([3, "s"]);
      expect(await d.scheduler.explain(jobId(2))).toMatchObject({ state: "waiting" });
    },
  );

  declare(
    "an overloaded deployment cools down, longer each time, and returns on trial",
    configOf([quota("q", 1000)]),
    async (d) => {
      await d.add(...jobs(1, 50));
      const waits: number[] = [];
      for (let i = 0; i < 9; i++) {
        await d.refuse(await d.takeOne(), capacity);
        const { grants, retryInMs } = await d.acquire();
        expect(grants).toEqual([]);
        const { state, forMs } = await d.deployment("d");
        expect(state).toBe("cooling_down");
        // A job that let others go first may be due again earlier.
        expect(retryInMs).toBeLessThanOrEqual(forMs!);
        waits.push(forMs!);
        await d.advance(forMs! - 1);
        expect(await d.take()).toEqual([]);
        await d.advance(1);
      }
      expect(waits).toEqual([1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]);
      // On trial: one at a time, until one succeeds.
      const trial = await d.grants();
      expect(trial).toHaveLength(1);
      expect(await d.take()).toEqual([]);
      await d.settle(trial[0]!, { signal: none });
      const again = await d.grants();
      expect(again).toHaveLength(1);
      await d.settle(again[0]!);
      // Jobs that were refused more than once let others go first.
      await d.advance(1000);
      expect(await d.grants()).toHaveLength(48);
      expect(await d.limit("q")).toBe(1000);
    },
  );

  declare("an overloaded deployment cools down for the provider's Retry-After", configOf([]), async (d) => {
    await d.add(...jobs(1, 3));
    await d.refuse(await d.takeOne(), { kind: "capacity", reason: "a proxy answers", retryAfterMs: 5000 });
    expect((await d.acquire()).retryInMs).toBe(5000);
    expect(await d.deployment("d")).toMatchObject({ state: "cooling_down", reason: "a proxy answers" });
  });

  declare("calls that ran when the outage began change nothing", configOf([]), async (d) => {
    await d.add(...jobs(1, 9));
    const grants = await d.grants(5);
    for (const grant of grants.slice(0, 3)) await d.refuse(grant, capacity);
    expect(await d.deployment("d")).toMatchObject({ state: "cooling_down", forMs: 1000 });
    await d.settle(grants[3]!, { signal: ok });
    expect(await d.deployment("d")).toMatchObject({ state: "cooling_down", forMs: 1000 });
    expect(await d.take()).toEqual([]);
  });

  declare(
    "calls that end after the outage change nothing: the trial is one call at a time until a new one succeeds",
    configOf([]),
    async (d) => {
      await d.add(...jobs(1, 20));
      const [first, second, ...others] = await d.grants(5);
      await d.refuse(first!, capacity);
      await d.advance(1000);
      await d.settle(second!, { signal: ok });
      for (const grant of others) await d.refuse(grant, capacity);
      expect((await d.deployment("d")).state).toBe("in_service");
      const trial = await d.grants();
      expect(trial).toHaveLength(1);
      expect(await d.grants()).toHaveLength(0);
      await d.settle(trial[0]!, { signal: ok });
      expect((await d.grants()).length).toBeGreaterThan(1);
    },
  );

  declare(
    "a misconfigured deployment is out of service until tried again after some minutes, or reinstated",
    configOf([]),
    async (d) => {
      await d.add(...jobs(1, 9));
      await d.refuse(await d.takeOne(), misconfigured);
      expect(await d.deployment("d")).toMatchObject({ state: "out_of_service", reason: "no access" });
      expect(await d.take()).toEqual([]);
      const { retryInMs } = await d.acquire();
      expect(retryInMs).toBeGreaterThanOrEqual(minuteMs);
      await d.advance(retryInMs!);
      const trial = await d.grants();
      expect(trial).toHaveLength(1);
      await d.refuse(trial[0]!, misconfigured);
      await d.scheduler.reinstate("d");
      // The job that was refused first left the trial to another.
      expect(await d.grants()).toHaveLength(8);
      await d.advance(1000);
      expect(await d.grants()).toHaveLength(1);
    },
  );

  declare("a new configuration returns a misconfigured deployment to service", configOf([]), async (d) => {
    await d.add(...jobs(1, 2));
    await d.refuse(await d.takeOne(), misconfigured);
    await d.scheduler.configure({ ...configOf([]), version: "2" });
    expect(await d.take()).toEqual([1, 2]);
  });

  declare("an outage of one deployment does not affect the other of the same model", twoRegions, async (d) => {
    await d.add(...jobs(1, 30));
    const grant = await d.takeOne();
    await d.refuse(grant, misconfigured);
    const grants = await d.grants();
    expect(new Set(grants.map((g) => g.deployment)).size).toBe(1);
    expect(grants[0]!.deployment).not.toBe(grant.deployment);
    await d.settle(grants[0]!, { signal: none });
    await d.advance(spanMs);
  });
}
