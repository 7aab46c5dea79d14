// Which job goes next: fair shares of scarce quotas, as a tree of environment, priority and tenant.
import { expect } from "vitest";
import type { Priority } from "../../../src/domain/job.ts";
import type { QueueEntry } from "../../../src/scheduler/scheduler.ts";
import type { SchedulerConfig } from "../../../src/scheduler/scheduler-configuration.ts";
import { type Case, configOf, type Driver, deployment, job, jobs, none, numberOf, quota, spanMs } from "../harness.ts";

function weighted(weights: Partial<SchedulerConfig["weights"]>): SchedulerConfig {
  const base = configOf([quota("q", 1000)]);
  return { ...base, weights: { ...base.weights, ...weights } };
}

/** Returns how many of the next jobs belong to each owner. They are granted one at a time. */
async function shares(d: Driver, total: number, ownerOf: (n: number) => string): Promise<Record<string, number>> {
  const counts = new Map<string, number>();
  for (let i = 0; i < total; i++) {
    const owner = ownerOf(numberOf(await d.takeOne()));
    counts.set(owner, (counts.get(owner) ?? 0) + 1);
  }
  return Object.fromEntries(counts);
}

/** Adds 200 jobs of each owner. All jobs of one owner are added before those of the next. */
function floods(owners: Partial<QueueEntry>[]): QueueEntry[] {
  return owners.flatMap((owner, i) => jobs(1000 * (i + 1), 1000 * (i + 1) + 199, owner));
}

export function fairnessCases(declare: Case): void {
  declare("tenants share equally, whichever came first", weighted({}), async (d) => {
    await d.add(...floods([{ tenant: "a" }, { tenant: "b" }, { tenant: "c" }]));
    const counts = await shares(d, 90, (n) => "-abc"[Math.floor(n / 1000)]!);
    expect(counts).toEqual({ a: 30, b: 30, c: 30 });
  });

  declare(
    "each level shares by weight",
    weighted({
      environments: { PROD: 4, UAT: 1 },
      priorities: { interactive: 8, standard: 2, batch: 1 },
      tenants: { heavy: 3 },
    }),
    async (d) => {
      await d.add(
        ...floods([
          { environment: "UAT" },
          { tenant: "heavy" },
          { tenant: "light" },
          { priority: "batch" as Priority },
        ]),
      );
      const counts = await shares(d, 150, (n) => ["-", "uat", "heavy", "light", "batch"][Math.floor(n / 1000)]!);
      // 150: UAT 30, PROD 120; of PROD batch 40, standard 80; of standard heavy 60, light 20.
      const expected: Record<string, number> = { uat: 30, batch: 40, heavy: 60, light: 20 };
      for (const [owner, count] of Object.entries(expected))
        expect(Math.abs(counts[owner]! - count)).toBeLessThanOrEqual(2);
    },
  );

  declare(
    "weights of tenants that are set later override the configured ones, also after a new configuration",
    weighted({ tenants: { heavy: 3, other: 7 } }),
    async (d) => {
      const owner = (n: number) => ["-", "heavy", "light"][Math.floor(n / 1000)]!;
      await d.add(...floods([{ tenant: "heavy" }, { tenant: "light" }]));
      const expectShares = async (heavy: number, light: number) => {
        const counts = await shares(d, heavy + light, owner);
        expect(Math.abs(counts.heavy! - heavy)).toBeLessThanOrEqual(2);
      };
      await d.scheduler.setTenantWeights({ light: 3 });
      await expectShares(20, 20);
      await d.scheduler.setTenantWeights({ light: 1.5, heavy: 0.5 });
      await expectShares(10, 30);
      await d.scheduler.configure({ ...weighted({ tenants: { heavy: 9 } }), version: "2" });
      await expectShares(10, 30);
      await d.scheduler.setTenantWeights({});
      await d.scheduler.configure({ ...weighted({ tenants: {} }), version: "3" });
      await expectShares(20, 20);
    },
  );

  declare(
    "one tenant of PROD still gets PROD's share next to twenty of UAT",
    weighted({
      environments: { PROD: 1, UAT: 1 },
    }),
    async (d) => {
      const uat = Array.from({ length: 20 }, (_, i) =>
        jobs(10_000 + 100 * i, 10_099 + 100 * i, { environment: "UAT", tenant: `u${i}` }),
      );
      await d.add(...uat.flat(), ...jobs(1, 100));
      const counts = await shares(d, 80, (n) => (n < 1000 ? "prod" : "uat"));
      expect(counts).toEqual({ prod: 40, uat: 40 });
    },
  );

  declare(
    "fairness counts the share of the scarce quota, not the number of jobs",
    configOf([quota("t", 100_000, { unit: "tokens" })]),
    async (d) => {
      await d.add(...jobs(1, 900, { tenant: "small", cost: 10 }), ...jobs(1001, 1900, { tenant: "big", cost: 90 }));
      const counts = await shares(d, 500, (n) => (n < 1000 ? "small" : "big"));
      expect(counts.small).toBeGreaterThanOrEqual(445);
      expect(counts.small).toBeLessThanOrEqual(455);
    },
  );

  declare(
    "a tenant that reserved much and used little gets the difference back",
    configOf([quota("t", 1_000_000, { unit: "tokens" })]),
    async (d) => {
      await d.add(...jobs(1, 400, { tenant: "modest", cost: 100 }), ...jobs(1001, 1400, { tenant: "exact", cost: 50 }));
      const counts = { modest: 0, exact: 0 };
      for (let i = 0; i < 300; i++) {
        const grant = await d.takeOne();
        const owner = numberOf(grant) < 1000 ? "modest" : "exact";
        counts[owner] += 1;
        await d.settle(grant, { charge: { input: 50, output: 0 } });
      }
      expect(Math.abs(counts.modest - counts.exact)).toBeLessThanOrEqual(4);
    },
  );

  declare("idle time earns nothing", weighted({}), async (d) => {
    await d.add(...jobs(1, 400, { tenant: "busy" }), job(2000, { tenant: "late" }));
    await shares(d, 100, () => "any");
    await d.add(...jobs(2001, 2100, { tenant: "late" }));
    const counts = await shares(d, 60, (n) => (n < 2000 ? "busy" : "late"));
    expect(Math.abs(counts.busy! - counts.late!)).toBeLessThanOrEqual(2);
  });

  declare(
    "a tenant whose model was blocked does not shut the others out afterwards",
    configOf([quota("a", 1), quota("b", 100_000)], [deployment("a", ["a"]), deployment("b", ["b"])], {
      models: { m: { deployments: ["a"], choice: "headroom" }, n: { deployments: ["b"], choice: "headroom" } },
    }),
    async (d) => {
      await d.add(...jobs(1, 2000, { tenant: "x", models: ["n"] }), ...jobs(3001, 3100, { tenant: "blocked" }));
      await d.take(1000);
      await d.advance(spanMs / 2);
      await d.add(...jobs(4001, 4400, { tenant: "blocked", models: ["n"] }));
      const counts = await shares(d, 800, (n) => (n < 3000 ? "x" : "blocked"));
      expect(counts.x).toBeGreaterThan(0);
    },
  );

  declare("any string is a valid name of a tenant", configOf([quota("q", 1000)], undefined, {}), async (d) => {
    const names = ["constructor", "__proto__", "toString", "", "a\nb", "hasOwnProperty", "\u0000", "{}"];
    await d.add(...names.flatMap((tenant, i) => jobs(1000 * (i + 1), 1000 * (i + 1) + 99, { tenant })));
    const counts = await shares(d, 80, (n) => names[Math.floor(n / 1000) - 1]!);
    expect(names.map((name) => Object.hasOwn(counts, name) && counts[name])).toEqual(names.map(() => 10));
  });

  declare("ties go to the tenant that came first, not by name", weighted({}), async (d) => {
    await d.add(job(1, { tenant: "zz" }), job(2, { tenant: "mm" }), job(3, { tenant: "aa" }));
    expect(await d.take()).toEqual([1, 2, 3]);
  });

  declare(
    "a refused call does not count as service",
    configOf([quota("t", 1_000_000, { unit: "tokens" })]),
    async (d) => {
      await d.add(...jobs(1, 100, { tenant: "a", cost: 100 }), ...jobs(1001, 1100, { tenant: "b", cost: 100 }));
      const counts = { a: 0, b: 0 };
      for (let i = 0; i < 100; i++) {
        const grant = await d.takeOne();
        const owner = numberOf(grant) < 1000 ? "a" : "b";
        // Every other call of tenant a is refused.
        if (owner === "a" && i % 3 === 0)
          await d.settle(grant, { job: { requeueAfterMs: 0 }, charge: "void", signal: none });
        else counts[owner] += 1;
      }
      expect(Math.abs(counts.a - counts.b)).toBeLessThanOrEqual(2);
    },
  );

  declare(
    "interactive work does not wait for a large batch",
    weighted({
      priorities: { interactive: 16, standard: 4, batch: 1 },
    }),
    async (d) => {
      await d.add(...jobs(1, 3000, { priority: "batch" }));
      await d.take(500);
      await d.add(job(5000, { priority: "interactive" }));
      expect(await d.take(2)).toContain(5000);
    },
  );
}
