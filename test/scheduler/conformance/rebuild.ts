// Starting from nothing: admission is closed until everything in the store is restored.
import { expect } from "vitest";
import {
  type Case,
  configOf,
  deployment,
  hourMs,
  job,
  jobId,
  jobs,
  leaseMs,
  none,
  numberOf,
  quota,
  spanMs,
} from "../harness.ts";

const tokens = (limit: number) => quota("q", limit, { unit: "tokens" });
const closed = { closed: true };
const charge = { deployment: "d", tokens: { input: 10, output: 0 }, settled: true, grant: "old" };

export function rebuildCases(declare: Case): void {
  declare(
    "an empty scheduler is closed and says so",
    configOf([]),
    async (d) => {
      await d.add(job(1));
      expect(await d.acquire()).toEqual({ grants: [], impossible: [], closed: "rebuild" });
      const ticket = (await d.scheduler.beginRebuild())!;
      expect(await d.acquire()).toEqual({ grants: [], impossible: [], closed: "rebuilding" });
      expect((await d.scheduler.snapshot()).open).toBe(false);
      await d.scheduler.restore(ticket, { entries: [job(2)] });
      expect((await d.waiting(jobId(2))).waitingOn).toEqual({ kind: "rebuild" });
      expect((await d.acquire()).closed).toBe("rebuilding");
      await d.scheduler.finishRebuild(ticket);
      expect((await d.scheduler.snapshot()).open).toBe(true);
      expect(await d.take()).toEqual([2]);
    },
    closed,
  );

  declare(
    "only one rebuild runs at a time, and an invalid ticket changes nothing",
    configOf([]),
    async (d) => {
      const ticket = (await d.scheduler.beginRebuild())!;
      expect(await d.scheduler.beginRebuild()).toBeUndefined();
      await d.scheduler.restore({ id: "other" }, { entries: [job(1)] });
      await d.scheduler.finishRebuild({ id: "other" });
      expect((await d.acquire()).closed).toBe("rebuilding");
      await d.scheduler.finishRebuild(ticket);
      expect(await d.take()).toEqual([]);
      await d.scheduler.restore(ticket, { entries: [job(1)] });
      expect(await d.take()).toEqual([]);
    },
    closed,
  );

  declare(
    "another process may start an abandoned rebuild again after a lease period",
    configOf([]),
    async (d) => {
      const abandoned = (await d.scheduler.beginRebuild())!;
      await d.advance(leaseMs - 1);
      await d.scheduler.restore(abandoned, { entries: [job(1)] });
      await d.advance(leaseMs - 1);
      expect(await d.scheduler.beginRebuild()).toBeUndefined();
      await d.advance(leaseMs);
      expect((await d.acquire()).closed).toBe("rebuild");
      const ticket = (await d.scheduler.beginRebuild())!;
      expect(ticket).toBeDefined();
      await d.scheduler.finishRebuild(abandoned);
      expect((await d.acquire()).closed).toBe("rebuilding");
      await d.scheduler.finishRebuild(ticket);
      expect(await d.acquire()).toEqual({ grants: [], impossible: [] });
    },
    closed,
  );

  declare(
    "jobs submitted during a rebuild stay, and none is queued twice",
    configOf([]),
    async (d) => {
      const ticket = (await d.scheduler.beginRebuild())!;
      await d.add(job(2), job(3));
      await d.scheduler.restore(ticket, { entries: jobs(1, 2) });
      await d.scheduler.restore(ticket, { entries: [job(4, { delayMs: 1000 })] });
      await d.scheduler.finishRebuild(ticket);
      expect(await d.take()).toEqual([1, 2, 3]);
      await d.advance(1000);
      expect(await d.take()).toEqual([4]);
    },
    closed,
  );

  declare("a rebuild drops everything known before", configOf([tokens(100)]), async (d) => {
    await d.add(...jobs(1, 5, { cost: 30 }));
    const grants = await d.grants();
    await d.refuse(grants[0]!, { kind: "misconfigured", reason: "x" });
    await d.open();
    expect(await d.scheduler.snapshot()).toMatchObject({ running: 0, waiting: [], backlogs: [] });
    expect([await d.used("q"), (await d.deployment("d")).state]).toEqual([0, "in_service"]);
    expect(await d.renew(grants[1]!)).toBe("lost");
    expect(await d.take()).toEqual([]);
  });

  declare(
    "listeners are called when admission opens",
    configOf([]),
    async (d) => {
      const ticket = (await d.scheduler.beginRebuild())!;
      let calls = 0;
      d.scheduler.onWork(() => {
        calls += 1;
      });
      await d.scheduler.finishRebuild(ticket);
      await expect.poll(() => calls, { timeout: 5000 }).toBeGreaterThan(0);
    },
    closed,
  );

  declare(
    "usage of the last window counts from when it was charged",
    configOf([tokens(100), quota("r", 10)]),
    async (d) => {
      const ticket = (await d.scheduler.beginRebuild())!;
      await d.scheduler.restore(ticket, {
        charges: [
          { ...charge, agoMs: 200_000, grant: "g0" },
          { ...charge, agoMs: 60_500, grant: "g1", tokens: { input: 30, output: 5 } },
          { ...charge, agoMs: 10_000, grant: "g2", tokens: { input: 40, output: 0 }, settled: false },
        ],
        entries: [job(1, { cost: 60 })],
      });
      await d.scheduler.finishRebuild(ticket);
      expect([await d.used("q"), await d.used("r")]).toEqual([75, 2]);
      expect(await d.quota("q")).toMatchObject({ reserved: 40, settled: 35 });
      const { retryInMs } = await d.acquire();
      expect(Math.abs(retryInMs! - (spanMs - 60_500))).toBeLessThanOrEqual(2);
      await d.advance(retryInMs!);
      expect(await d.take()).toEqual([1]);
    },
    closed,
  );

  declare(
    "real usage is counted with its burndown, a reservation as it was reserved",
    configOf([tokens(1000)], [deployment("d", ["q"], { outputBurndown: 5 })]),
    async (d) => {
      const ticket = (await d.scheduler.beginRebuild())!;
      const each = { ...charge, agoMs: 1, tokens: { input: 10, output: 4 } };
      await d.scheduler.restore(ticket, { charges: [{ ...each, grant: "a" }] });
      expect(await d.used("q")).toBe(30);
      await d.scheduler.restore(ticket, {
        charges: [
          { ...each, grant: "b", settled: false },
          { ...each, deployment: "gone" },
        ],
      });
      expect(await d.used("q")).toBe(60);
    },
    closed,
  );

  declare(
    "charges restored out of order never age out too early",
    configOf([tokens(100)]),
    async (d) => {
      const ticket = (await d.scheduler.beginRebuild())!;
      const charges = [1000, 50_000, 20_000].map((agoMs, i) => ({
        ...charge,
        agoMs,
        grant: `g${i}`,
        tokens: { input: 30, output: 0 },
      }));
      await d.scheduler.restore(ticket, { charges });
      await d.scheduler.finishRebuild(ticket);
      for (const [waitMs, atLeast] of [
        [0, 90],
        [spanMs - 50_001, 90],
        [30_000, 60],
        [19_000, 30],
      ] as const) {
        await d.advance(waitMs);
        expect(await d.used("q")).toBeGreaterThanOrEqual(atLeast);
      }
      await d.advance(1003);
      expect(await d.used("q")).toBe(0);
    },
    closed,
  );

  declare(
    "usage of the day counts from its last reset",
    configOf(
      [...Array(24).keys()].map((hour) => quota(`q${hour}`, 10, { per: "day", resetHourUtc: hour })),
      [...Array(24).keys()].map((hour) => deployment(`d${hour}`, [`q${hour}`])),
    ),
    async (d) => {
      const ticket = (await d.scheduler.beginRebuild())!;
      const charges = [...Array(24).keys()].map((hour) => ({
        ...charge,
        deployment: `d${hour}`,
        grant: `g${hour}`,
        agoMs: 12 * hourMs,
      }));
      await d.scheduler.restore(ticket, { charges });
      await d.scheduler.finishRebuild(ticket);
      await d.acquire();
      const { quotas } = await d.scheduler.snapshot();
      // In the twelve hours since then twelve of the resets have happened.
      expect(quotas.filter((q) => q.used === 1)).toHaveLength(12);
      expect(quotas.filter((q) => q.used === 0)).toHaveLength(12);
    },
    closed,
  );

  declare(
    "a learned limit is restored, up to the configured one",
    configOf([quota("q", 100), quota("p", 100)]),
    async (d) => {
      const ticket = (await d.scheduler.beginRebuild())!;
      const learned = [
        { quota: "q", effectiveLimit: 70 },
        { quota: "p", effectiveLimit: 900 },
        { quota: "gone", effectiveLimit: 3 },
      ];
      await d.scheduler.restore(ticket, { learned });
      await d.scheduler.finishRebuild(ticket);
      expect([await d.limit("q"), await d.limit("p")]).toEqual([70, 100]);
    },
    closed,
  );

  const lease = { jobId: jobId(1), grant: "held", deployment: "d" };
  declare(
    "an attempt with an unknown end is left alone for one lease period",
    configOf([tokens(100)]),
    async (d) => {
      const ticket = (await d.scheduler.beginRebuild())!;
      await d.scheduler.restore(ticket, { entries: jobs(1, 2), leases: [lease, { ...lease, jobId: jobId(9) }] });
      await d.scheduler.finishRebuild(ticket);
      expect(await d.take()).toEqual([2]);
      expect(await d.scheduler.explain(jobId(1))).toEqual({ state: "running", deployment: "d" });
      expect((await d.deployment("d")).running).toBe(2);
      await d.advance(leaseMs - 1);
      expect(await d.take()).toEqual([]);
      await d.advance(1);
      expect(await d.take()).toEqual([1, 2]);
      expect(await d.renew(lease)).toBe("lost");
    },
    closed,
  );

  declare(
    "a live worker re-asserts its lease and continues",
    configOf([tokens(100)]),
    async (d) => {
      const ticket = (await d.scheduler.beginRebuild())!;
      // During a rebuild the set of leases is not known, so none is reported lost.
      expect(await d.renew(lease)).toBe("renewed");
      await d.scheduler.restore(ticket, { entries: jobs(1, 2), leases: [lease] });
      expect(await d.renew(lease)).toBe("renewed");
      await d.scheduler.finishRebuild(ticket);
      await d.advance(leaseMs - 1);
      expect(await d.renew(lease)).toBe("renewed");
      expect(await d.renew({ ...lease, grant: "other" })).toBe("lost");
      await d.advance(leaseMs - 1);
      expect(await d.take()).toEqual([2]);
      expect(await d.settle(lease)).toBe("settled");
      expect(await d.scheduler.explain(jobId(1))).toEqual({ state: "absent" });
    },
    closed,
  );

  for (const order of ["charges first", "leases first"]) {
    declare(
      `the settlement of a re-asserted lease corrects its charge: ${order}`,
      configOf([tokens(100)]),
      async (d) => {
        const ticket = (await d.scheduler.beginRebuild())!;
        const charges = [{ ...charge, grant: "held", agoMs: 1000, tokens: { input: 80, output: 0 }, settled: false }];
        const leases = { entries: [job(1, { cost: 80 })], leases: [lease] };
        for (const part of order === "charges first" ? [{ charges }, leases] : [leases, { charges }]) {
          await d.scheduler.restore(ticket, part);
        }
        await d.scheduler.finishRebuild(ticket);
        expect(await d.quota("q")).toMatchObject({ used: 80, reserved: 80 });
        expect(await d.settle(lease, { charge: { input: 7, output: 0 }, signal: none })).toBe("settled");
        expect(await d.quota("q")).toMatchObject({ used: 7, reserved: 0 });
      },
      closed,
    );
  }

  declare(
    "a restored lease earns its tenant nothing",
    configOf([tokens(10_000)]),
    async (d) => {
      const ticket = (await d.scheduler.beginRebuild())!;
      const own = jobs(1, 40, { tenant: "a", cost: 100 });
      const leases = own.slice(0, 20).map((j) => ({ jobId: j.jobId, grant: `held ${j.jobId}`, deployment: "d" }));
      await d.scheduler.restore(ticket, { entries: [...own, ...jobs(1001, 1040, { tenant: "b", cost: 100 })], leases });
      await d.scheduler.finishRebuild(ticket);
      for (const each of leases) await d.settle(each, { charge: { input: 100, output: 0 } });
      const taken = await d.take(20);
      expect(taken.filter((n) => n > 1000).length).toBeGreaterThanOrEqual(10);
    },
    closed,
  );

  declare("a repeated acquire from before the rebuild grants nothing twice", configOf([]), async (d) => {
    await d.add(job(1));
    const request = { operation: "once", worker: "w", max: 1 };
    const before = await d.scheduler.acquire(request);
    expect(before.grants.map(numberOf)).toEqual([1]);
    const ticket = (await d.scheduler.beginRebuild())!;
    await d.scheduler.restore(ticket, { entries: [job(1)] });
    await d.scheduler.finishRebuild(ticket);
    expect(await d.take()).toEqual([1]);
    expect(await d.renew(before.grants[0]!)).toBe("lost");
  });
}
