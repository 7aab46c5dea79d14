// What a scheduler reports about everything that waits, and about the use of quotas by running and by ended calls.
import { expect } from "vitest";
import type { WaitingRow } from "../../../src/scheduler/scheduler.ts";
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

async function use(d: Driver, name = "q"): Promise<[reserved: number, settled: number]> {
  const { used, reserved, settled } = await d.quota(name);
  expect(reserved + settled).toBe(used);
  return [reserved, settled];
}

const twoModels = configOf(
  [quota("q", 2)],
  [deployment("a", ["q"]), deployment("b", [], { maxConcurrency: 1, region: "eu-west-1" })],
  {
    models: { m: { deployments: ["a"], choice: "order" }, n: { deployments: ["b"], choice: "order" } },
  },
);

export function backlogCases(declare: Case): void {
  // ------------------------------------------------------------ reserved and settled

  declare("a charge is reserved while its call runs and settled when it ends", configOf([tokens(1000)]), async (d) => {
    await d.add(...jobs(1, 4, { cost: 100 }));
    const [first, second, third, fourth] = await d.grants();
    expect(await use(d)).toEqual([400, 0]);
    await d.settle(first!, { charge: { input: 30, output: 0 } });
    expect(await use(d)).toEqual([300, 30]);
    await d.settle(second!, { charge: "keep" });
    expect(await use(d)).toEqual([200, 130]);
    await d.settle(third!, { charge: "void", signal: none });
    expect(await use(d)).toEqual([100, 130]);
    await d.settle(fourth!, { job: { requeueAfterMs: 0 }, charge: { input: 100, output: 0 }, signal: none });
    expect(await use(d)).toEqual([0, 230]);
    expect(await d.take()).toEqual([4]);
    expect(await use(d)).toEqual([100, 230]);
  });

  declare("a call that reserves nothing settles what it used", configOf([tokens(1000)]), async (d) => {
    await d.add(job(1, { cost: 0 }), job(2, { cost: 10 }));
    const [free] = await d.grants();
    await d.settle(free!, { charge: { input: 15, output: 0 } });
    await d.advance(1);
    await d.add(job(3, { cost: 1 }));
    await d.grants();
    await d.advance(spanMs);
    expect(await use(d)).toEqual([1, 0]);
  });

  declare("a charge that moves is reserved once", configOf([tokens(1000)]), async (d) => {
    await d.add(job(1, { cost: 100 }));
    const grant = await d.takeOne();
    await d.recharge(grant);
    expect(await use(d)).toEqual([100, 0]);
    await d.finish([grant]);
    expect(await use(d)).toEqual([0, 100]);
  });

  declare("a charge leaves the window while its call runs", configOf([tokens(1000)]), async (d) => {
    await d.add(job(1, { cost: 100 }));
    const early = await d.takeOne();
    await d.advance(1000);
    await d.add(job(2, { cost: 10 }), job(3, { cost: 1 }));
    const [late] = await d.grants();
    expect(await use(d)).toEqual([111, 0]);
    await d.advance(spanMs - 999);
    expect(await use(d)).toEqual([11, 0]);
    await d.settle(early, { charge: { input: 90, output: 0 } });
    expect(await use(d)).toEqual([11, 0]);
    await d.settle(late!, { charge: { input: 7, output: 0 } });
    expect(await use(d)).toEqual([1, 7]);
    await d.advance(2 * spanMs);
    expect(await use(d)).toEqual([0, 0]);
  });

  declare(
    "the charge of a lost lease and of a removed job is settled, and a late answer corrects it",
    configOf([tokens(1000), quota("day", 1000, { per: "day", unit: "tokens" })]),
    async (d) => {
      await d.add(...jobs(1, 2, { cost: 100 }));
      const grants = await d.grants();
      await d.scheduler.remove([jobId(1)]);
      expect([await use(d), await use(d, "day")]).toEqual([
        [100, 100],
        [100, 100],
      ]);
      expect(await d.settle(grants[0]!, { charge: { input: 5, output: 0 }, signal: none })).toBe("lost");
      expect([await use(d), await use(d, "day")]).toEqual([
        [100, 5],
        [100, 5],
      ]);
    },
  );

  declare(
    "an expired lease reserves nothing",
    configOf([quota("day", 1000, { per: "day", unit: "tokens" })], undefined, { leaseMs: 60_000 }),
    async (d) => {
      await d.add(job(1, { cost: 100 }));
      await d.grants();
      await d.advance(60_000);
      expect(await d.renew({ jobId: jobId(9), grant: "other" })).toBe("lost");
      expect(await use(d, "day")).toEqual([0, 100]);
    },
  );

  declare(
    "a quota per day separates the calls of one slot",
    configOf([quota("day", 10_000, { per: "day", unit: "tokens" })]),
    async (d) => {
      await d.add(...jobs(1, 3, { cost: 100 }));
      const grants = await d.grants();
      await d.settle(grants[1]!, { charge: { input: 40, output: 0 } });
      expect(await use(d, "day")).toEqual([200, 40]);
      await d.advance(3_600_000);
      await d.add(job(4, { cost: 1 }));
      await d.grants();
      await d.settle(grants[0]!, { charge: "keep" });
      expect(await use(d, "day")).toEqual([101, 140]);
    },
  );

  // ------------------------------------------------------------ rows

  declare("rows: by environment, priority and model, each with its oldest job", twoModels, async (d) => {
    await d.add(...jobs(3, 5, { tenant: "u" }), job(2), job(1, { delayMs: 1000 }));
    await d.add(job(7, { models: ["n", "m"], priority: "batch" }), job(6, { models: ["n"], priority: "batch" }));
    await d.add(job(8, { environment: "UAT", delayMs: 1000 }));
    const on = { kind: "turn" } as const;
    const next = { waitingOn: on, startsInMs: 0 };
    const rows: WaitingRow[] = [
      { environment: "PROD", priority: "batch", model: "n", ready: 2, delayed: 0, oldestOrder: 6, ...next },
      { environment: "PROD", priority: "standard", model: "m", ready: 4, delayed: 1, oldestOrder: 2, ...next },
      { environment: "UAT", priority: "standard", model: "m", ready: 0, delayed: 1 },
    ];
    expect((await d.scheduler.snapshot()).waiting).toEqual(rows);
    await d.grants(1);
    await d.scheduler.remove([jobId(3)]);
    await d.scheduler.update(job(5, { tenant: "u", delayMs: 90_000 }));
    await d.advance(1000);
    await d.grants(3);
    await d.advance(2 * spanMs);
    const states = await Promise.all(jobs(1, 8).map(async ({ jobId: id }) => (await d.scheduler.explain(id)).state));
    const { waiting } = await d.scheduler.snapshot();
    const counted = waiting.reduce((sum, { ready, delayed }) => sum + ready + delayed, 0);
    expect(counted).toBe(states.filter((state) => state === "waiting").length);
    expect(counted).toBeGreaterThan(0);
  });

  declare("rows: what the oldest job waits for", twoModels, async (d) => {
    await d.add(...jobs(1, 5), ...jobs(6, 8, { models: ["n"] }));
    const grants = await d.grants();
    const on = async () => (await d.scheduler.snapshot()).waiting.map((row) => row.waitingOn);
    expect(await on()).toEqual([
      { kind: "quota", deployment: "a", quota: "q" },
      { kind: "concurrency", deployment: "b" },
    ]);
    await d.scheduler.pause({ model: "m" });
    await d.settle(grants.find((grant) => grant.deployment === "b")!, {
      job: { requeueAfterMs: 0 },
      charge: "keep",
      signal: { kind: "capacity", reason: "busy" },
    });
    expect(await on()).toEqual([
      { kind: "paused", target: { model: "m" } },
      { kind: "cool_down", deployment: "b", reason: "busy" },
    ]);
    await d.scheduler.configure({ ...twoModels, version: "2", models: {} });
    expect(await on()).toMatchObject([{ kind: "configuration" }, { kind: "configuration" }]);
  });

  declare("rows: jobs of a paused tenant do not speak for the others", configOf([quota("q", 10)]), async (d) => {
    await d.add(...jobs(1, 3, { tenant: "held" }), ...jobs(4, 6, { tenant: "other", priority: "batch" }));
    await d.add(job(7, { tenant: "other" }));
    await d.scheduler.pause({ tenant: "held" });
    expect(await d.scheduler.snapshot()).toMatchObject({
      waiting: [
        { priority: "batch", ready: 3, oldestOrder: 4, waitingOn: { kind: "turn" }, startsInMs: 0 },
        { priority: "standard", ready: 4, oldestOrder: 7, waitingOn: { kind: "turn" }, startsInMs: 0 },
      ],
      // The queue is not empty as long as the tenant is paused.
      backlogs: [{ model: "m" }],
    });
    await d.scheduler.pause({ tenant: "other", environment: "PROD" });
    const { waiting, backlogs } = await d.scheduler.snapshot();
    expect(waiting[1]).toMatchObject({ oldestOrder: 1, waitingOn: { kind: "paused", target: { tenant: "held" } } });
    expect([waiting[1]!.startsInMs, backlogs]).toEqual([undefined, [{ model: "m" }]]);
    await d.scheduler.resume({ tenant: "held" });
    await d.scheduler.resume({ tenant: "other", environment: "PROD" });
    expect((await d.scheduler.snapshot()).backlogs).toEqual([{ model: "m", emptyInMs: expect.any(Number) }]);
  });

  declare("rows: when the next job starts", configOf([quota("q", 2)]), async (d) => {
    expect(await d.scheduler.snapshot()).not.toHaveProperty("nextReadyInMs");
    await d.add(...jobs(1, 4), job(5, { delayMs: 90_000 }), job(6, { delayMs: 70_000 }));
    await d.grants();
    await d.advance(10_000);
    const { waiting, nextReadyInMs } = await d.scheduler.snapshot();
    const expected = (await d.waiting(jobId(3))).startsInMs!;
    expect(nextReadyInMs).toBe(60_000);
    expect(waiting).toMatchObject([{ ready: 2, delayed: 2, waitingOn: { kind: "quota" } }]);
    expect(waiting[0]!.startsInMs).toBe(expected);
    await d.advance(expected);
    expect(await d.grants(1)).toHaveLength(1);
  });

  declare("rows: a job with a start kept free for it is ready", configOf([tokens(100)]), async (d) => {
    await d.add(job(1, { cost: 90 }), job(2, { cost: 50 }), job(3, { cost: 20 }));
    await d.grants();
    expect((await d.scheduler.snapshot()).waiting).toMatchObject([
      { ready: 2, delayed: 0, oldestOrder: 2, waitingOn: { kind: "quota", quota: "q" } },
    ]);
  });

  declare(
    "rows: a rebuild",
    configOf([tokens(100)]),
    async (d) => {
      const ticket = (await d.scheduler.beginRebuild())!;
      await d.scheduler.restore(ticket, { entries: jobs(1, 3) });
      expect(await d.scheduler.snapshot()).toMatchObject({
        waiting: [{ ready: 3, oldestOrder: 1, waitingOn: { kind: "rebuild" } }],
        backlogs: [{ model: "m" }],
      });
    },
    { closed: true },
  );

  // ------------------------------------------------------------ when the queue will be empty

  const loads = [
    { name: "requests", config: configOf([quota("q", 10)]), slotMs: spanMs },
    { name: "tokens, spread over the window", config: configOf([tokens(1000, 100)]), slotMs: spanMs / 10 },
    {
      name: "requests and tokens, with a day that suffices",
      config: configOf([quota("r", 20), tokens(1000), quota("day", 20_000, { per: "day", unit: "tokens" })]),
      slotMs: spanMs,
    },
    {
      name: "two deployments",
      config: configOf([quota("q", 5), quota("p", 5)], [deployment("d", ["q"]), deployment("e", ["p"])]),
      slotMs: spanMs,
    },
  ];
  for (const { name, config, slotMs } of loads) {
    declare(`the queue is empty when estimated, within one slot: ${name}`, config, async (d) => {
      await d.add(...jobs(1, 30, { tenant: "a", cost: 100 }), ...jobs(31, 60, { priority: "batch", cost: 100 }));
      const [{ emptyInMs } = {}] = (await d.scheduler.snapshot()).backlogs;
      expect((await d.waiting(jobId(60))).startsInMs! / emptyInMs!).toBeGreaterThan(0.7);
      const starts: number[] = [];
      let at = 0;
      for (; starts.length < 60 && at < 100 * spanMs; at += 200) {
        const grants = await d.grants();
        starts.push(...grants.map(numberOf));
        for (const { reserved, ...grant } of grants) await d.settle(grant, { charge: reserved });
        await d.advance(200);
      }
      expect(Math.abs(at - emptyInMs!), `expected ${emptyInMs}, was ${at}`).toBeLessThanOrEqual(
        Math.max(slotMs + 400, 0.15 * at),
      );
      expect((await d.scheduler.snapshot()).backlogs).toEqual([]);
    });
  }

  declare("it is unknown when a queue without quotas, or a paused one, will be empty", twoModels, async (d) => {
    await d.add(...jobs(1, 5), ...jobs(6, 8, { models: ["n"] }));
    const { backlogs } = await d.scheduler.snapshot();
    expect(backlogs).toEqual([{ model: "m", emptyInMs: expect.any(Number) }, { model: "n" }]);
    await d.scheduler.pause({ deployment: "a" });
    expect((await d.scheduler.snapshot()).backlogs).toEqual([{ model: "m" }, { model: "n" }]);
  });

  declare("a report costs the same for many tenants, and counts them all", configOf([quota("q", 10)]), async (d) => {
    await d.add(...Array.from({ length: 700 }, (_, i) => job(i + 1, { tenant: `t${i}` })));
    const { waiting, backlogs } = await d.scheduler.snapshot();
    expect(waiting).toMatchObject([{ ready: 700, oldestOrder: 1, waitingOn: { kind: "turn" } }]);
    expect(Math.abs(backlogs[0]!.emptyInMs! - 69 * spanMs)).toBeLessThanOrEqual(spanMs + 100);
  });
}
