// What a scheduler reports about jobs and itself, and how it applies a new configuration.
import { expect } from "vitest";
import {
  type Case,
  configOf,
  type Driver,
  deployment,
  job,
  jobId,
  jobs,
  none,
  numberOf,
  quota,
  spanMs,
} from "../harness.ts";

const tokens = (limit: number, burst = limit) => quota("q", limit, { unit: "tokens", burst });

/** Runs until all of the jobs have started. Returns when each did. */
async function startTimes(d: Driver, wanted: readonly number[], stepMs: number): Promise<Map<number, number>> {
  const starts = new Map<number, number>();
  for (let at = 0; at < 100 * spanMs && wanted.some((n) => !starts.has(n)); at += stepMs) {
    for (const grant of await d.grants()) {
      starts.set(numberOf(grant), at);
      await d.settle(grant, { charge: { input: grant.reserved.input, output: 0 } });
    }
    await d.advance(stepMs);
  }
  return starts;
}

export function reportCases(declare: Case): void {
  declare("explain: absent, running, next, waiting for a quota, delayed", configOf([quota("q", 2)]), async (d) => {
    expect(await d.scheduler.explain(jobId(1))).toEqual({ state: "absent" });
    await d.add(...jobs(1, 4), job(5, { delayMs: 90_000 }));
    expect(await d.waiting(jobId(1))).toMatchObject({ position: 1, waitingOn: { kind: "turn" }, startsInMs: 0 });
    await d.take();
    expect(await d.scheduler.explain(jobId(1))).toEqual({ state: "running", deployment: "d" });
    const third = await d.waiting(jobId(3));
    expect(third).toMatchObject({ position: 1, waitingOn: { kind: "quota", deployment: "d", quota: "q" } });
    expect(Math.abs(third.startsInMs! - spanMs)).toBeLessThanOrEqual(2);
    const delayed = await d.waiting(jobId(5));
    expect(delayed.waitingOn).toEqual({ kind: "delay" });
    expect(delayed.startsInMs).toBeGreaterThanOrEqual(90_000);
  });

  declare("explain: cooling down, and out of service without a time", configOf([]), async (d) => {
    await d.add(...jobs(1, 2));
    await d.refuse(await d.takeOne(), { kind: "capacity" });
    expect((await d.waiting(jobId(1))).waitingOn).toMatchObject({ kind: "cool_down", deployment: "d" });
    await d.advance(1000);
    await d.refuse(await d.takeOne(), { kind: "misconfigured", reason: "no access" });
    expect(await d.waiting(jobId(1))).toEqual({
      state: "waiting",
      position: 1,
      waitingOn: { kind: "out_of_service", deployment: "d", reason: "no access" },
    });
  });

  declare(
    "explain names what a job behind a full quota waits for, and its position among many",
    configOf([quota("q", 10)]),
    async (d) => {
      await d.add(...jobs(1, 100), ...jobs(1001, 1100, { tenant: "u" }));
      await d.take();
      // 5 of each tenant have run: 49 of its own jobs, and as many of the other tenant, precede job 55.
      const { position } = await d.waiting(jobId(55));
      expect(position).toBeGreaterThanOrEqual(97);
      expect(position).toBeLessThanOrEqual(101);
    },
  );

  declare("explaining jobs changes nothing", configOf([tokens(100, 10)]), async (d) => {
    await d.add(...jobs(1, 50, { cost: 10 }));
    for (let i = 1; i <= 50; i++) await d.scheduler.explain(jobId(i));
    await d.scheduler.snapshot();
    expect(await d.take()).toEqual([1]);
    expect(await d.used("q")).toBe(10);
  });

  const backlogs = [
    { name: "requests, not spread", config: configOf([quota("q", 10)]), slotMs: spanMs },
    { name: "tokens, spread over the window", config: configOf([tokens(1000, 100)]), slotMs: spanMs / 10 },
    { name: "requests, spread", config: configOf([quota("q", 60, { burst: 6 })]), slotMs: spanMs / 10 },
  ];
  for (const { name, config, slotMs } of backlogs) {
    declare(`a steady backlog starts when estimated, within one slot: ${name}`, config, async (d) => {
      await d.add(...jobs(1, 120, { cost: 100 }));
      const asked = [2, 5, 9, 15, 30, 60, 90].filter((n) => name.startsWith("requests") || n <= 60);
      const foretold = new Map<number, number>();
      for (const n of asked) foretold.set(n, (await d.waiting(jobId(n))).startsInMs!);
      const starts = await startTimes(d, asked, 100);
      for (const n of asked) {
        const wrongBy = Math.abs(starts.get(n)! - foretold.get(n)!);
        expect(wrongBy, `job ${n}: foretold ${foretold.get(n)}, started ${starts.get(n)}`).toBeLessThanOrEqual(
          Math.max(slotMs + 200, 0.15 * starts.get(n)!),
        );
      }
    });
  }

  declare(
    "a steady backlog of several tenants, estimated halfway",
    configOf([quota("q", 60, { burst: 6 })]),
    async (d) => {
      await d.add(...jobs(1, 200, { tenant: "a" }), ...jobs(1001, 1200, { tenant: "b" }));
      await startTimes(d, [40], 100);
      const asked = [60, 1060, 120, 1120];
      const foretold = new Map<number, number>();
      for (const n of asked) foretold.set(n, (await d.waiting(jobId(n))).startsInMs!);
      const starts = await startTimes(d, asked, 100);
      for (const n of asked) {
        const wrongBy = Math.abs(starts.get(n)! - foretold.get(n)!);
        expect(wrongBy, `job ${n}: foretold ${foretold.get(n)}, started ${starts.get(n)}`).toBeLessThanOrEqual(
          Math.max(spanMs / 10 + 200, 0.15 * starts.get(n)!),
        );
      }
    },
  );

  declare(
    "snapshot",
    configOf(
      [quota("q", 10), quota("day", 100, { per: "day" })],
      [deployment("d", ["q", "day"], { maxConcurrency: 5 })],
    ),
    async (d) => {
      await d.add(...jobs(1, 3), job(4, { delayMs: 1000 }), job(5, { environment: "UAT", priority: "batch" }));
      await d.take(2, { environments: ["PROD"] });
      const snapshot = await d.scheduler.snapshot();
      expect(snapshot).toMatchObject({ configVersion: "1", open: true, running: 2 });
      expect(snapshot.deployments).toEqual([{ id: "d", running: 2, maxConcurrency: 5, state: "in_service" }]);
      expect(snapshot.quotas[0]).toMatchObject({
        name: "q",
        unit: "requests",
        per: "minute",
        configuredLimit: 10,
        effectiveLimit: 10,
        used: 2,
        reserved: 2,
        settled: 0,
      });
      expect(Math.abs(snapshot.quotas[0]!.nextFreeInMs! - spanMs)).toBeLessThanOrEqual(2);
      expect(snapshot.quotas[1]).toMatchObject({ name: "day", used: 2 });
      const next = { model: "m", waitingOn: { kind: "turn" }, startsInMs: 0 };
      expect(snapshot.waiting).toEqual([
        { environment: "PROD", priority: "standard", ...next, ready: 1, delayed: 1, oldestOrder: 3 },
        { environment: "UAT", priority: "batch", ...next, ready: 1, delayed: 0, oldestOrder: 5 },
      ]);
      expect(snapshot.backlogs).toEqual([{ model: "m", emptyInMs: 0 }]);
      await d.advance(2 * spanMs);
      expect((await d.quota("q")).nextFreeInMs).toBeUndefined();
    },
  );

  // ------------------------------------------------------------ configure

  declare(
    "a new configuration keeps jobs, usage, leases and learned limits",
    configOf([quota("q", 100)]),
    async (d) => {
      await d.add(...jobs(1, 300));
      const grants = await d.takeEvenly(52, 650);
      await d.refuse(grants[0]!, { kind: "throttled", throttle: "requests" });
      expect(await d.limit("q")).toBe(50);
      await d.scheduler.configure({ ...configOf([quota("q", 200)]), version: "2" });
      const snapshot = await d.scheduler.snapshot();
      expect(snapshot).toMatchObject({ configVersion: "2", running: 51 });
      expect(await d.quota("q")).toMatchObject({ configuredLimit: 200, effectiveLimit: 50, used: 52 });
      expect(await d.renew(grants[1]!)).toBe("renewed");
      await d.settle(grants[1]!, { charge: "void", signal: none });
      expect(await d.used("q")).toBe(51);
    },
  );

  declare(
    "what was learned stays below a raised limit, and follows a limit lowered below it",
    configOf([tokens(6000, 600)]),
    async (d) => {
      const learned = { quota: "q", effectiveLimit: 3000, effectiveBurst: 200 };
      const ticket = (await d.scheduler.beginRebuild())!;
      await d.scheduler.restore(ticket, { learned: [learned] });
      await d.scheduler.finishRebuild(ticket);
      const after = async (limit: number, burst: number, version: string) => {
        await d.scheduler.configure({ ...configOf([tokens(limit, burst)]), version });
        const { effectiveLimit, effectiveBurst } = await d.quota("q");
        return { effectiveLimit, effectiveBurst };
      };
      // The same share of a limit that is twice as large.
      expect(await after(12_000, 1200, "2")).toEqual({ effectiveLimit: 3000, effectiveBurst: 400 });
      expect(await after(2400, 240, "3")).toEqual({ effectiveLimit: 2400, effectiveBurst: 80 });
      // Nothing is below the configured limit any more, so it is raised with it. The burst still is.
      expect(await after(6000, 600, "4")).toEqual({ effectiveLimit: 6000, effectiveBurst: 200 });
    },
  );

  declare(
    "a limit lowered below a job's cost: a waiting job fails with both numbers, a running one stays charged",
    configOf([tokens(1000)]),
    async (d) => {
      await d.add(job(1, { cost: 500 }), job(2, { cost: 600 }), job(3, { cost: 100 }));
      const [running] = await d.grants(1);
      await d.scheduler.configure({ ...configOf([tokens(400)]), version: "2" });
      const { grants, impossible } = await d.acquire();
      expect([grants, impossible.map(numberOf)]).toEqual([[], [2]]);
      expect(impossible[0]!.reason).toMatch(/600 tokens.*400 per minute/);
      expect(await d.used("q")).toBe(500);
      await d.settle(running!, { charge: { input: 300, output: 0 } });
      expect(await d.used("q")).toBe(300);
      expect(await d.take()).toEqual([3]);
    },
  );

  declare("a lowered limit binds at once, a raised one too", configOf([quota("q", 10)]), async (d) => {
    await d.add(...jobs(1, 100));
    await d.take(6);
    await d.scheduler.configure({ ...configOf([quota("q", 5)]), version: "2" });
    expect(await d.take()).toEqual([]);
    await d.scheduler.configure({ ...configOf([quota("q", 8)]), version: "3" });
    expect(await d.take()).toEqual([7, 8]);
  });

  declare("a longer network jitter applies to existing quotas", configOf([quota("q", 1)]), async (d) => {
    await d.add(...jobs(1, 3));
    await d.scheduler.configure({ ...configOf([quota("q", 1)]), version: "2", networkJitterMs: 5300 });
    expect(await d.take()).toEqual([1]);
    await d.advance(spanMs + 4999);
    expect(await d.take()).toEqual([]);
    await d.advance(3);
    expect(await d.take()).toEqual([2]);
  });

  declare(
    "a quota removed from the configuration and put back keeps its usage",
    configOf([quota("q", 2)], [deployment("d", ["q"], { maxConcurrency: 2 })]),
    async (d) => {
      const original = configOf([quota("q", 2)], [deployment("d", ["q"], { maxConcurrency: 2 })]);
      await d.add(...jobs(1, 9));
      const grants = await d.grants();
      await d.scheduler.configure({ ...configOf([], [deployment("e", [])], { models: {} }), version: "2" });
      expect((await d.scheduler.snapshot()).deployments.map((each) => each.id)).toEqual(["e"]);
      expect((await d.scheduler.snapshot()).quotas).toEqual([]);
      await d.scheduler.configure({ ...original, version: "3" });
      expect(await d.used("q")).toBe(2);
      expect((await d.deployment("d")).running).toBe(2);
      await d.advance(spanMs + 1);
      expect(await d.take()).toEqual([]);
      for (const grant of grants) await d.settle(grant);
      expect((await d.deployment("d")).running).toBe(0);
    },
  );

  declare("new weights apply", configOf([quota("q", 1000)]), async (d) => {
    await d.add(...jobs(1, 100, { tenant: "a" }), ...jobs(1001, 1100, { tenant: "b" }));
    const base = configOf([quota("q", 1000)]);
    await d.scheduler.configure({ ...base, version: "2", weights: { ...base.weights, tenants: { b: 3 } } });
    const counts = { a: 0, b: 0 };
    for (let i = 0; i < 40; i++) counts[numberOf(await d.takeOne()) < 1000 ? "a" : "b"] += 1;
    expect(Math.abs(counts.b - 30)).toBeLessThanOrEqual(1);
  });
}
