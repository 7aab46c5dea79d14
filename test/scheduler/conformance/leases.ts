// The right to run a job: time-limited, and fenced by the grant's token.
import { expect } from "vitest";
import {
  type Case,
  configOf,
  deployment,
  job,
  jobId,
  jobs,
  leaseMs,
  none,
  numberOf,
  ok,
  quota,
  spanMs,
} from "../harness.ts";

const tokens = (limit: number) => quota("q", limit, { unit: "tokens" });
/** A lease far shorter than a window, so that charges outlive it. */
const short = (limit: number) => ({ ...configOf([tokens(limit)]), leaseMs: 10_000 });

export function leaseCases(declare: Case): void {
  declare(
    "a lease that is not renewed expires: the job is requeued in its own position, and its charge stays",
    short(100),
    async (d) => {
      await d.add(...jobs(1, 3));
      const grant = await d.takeOne();
      expect(grant.leaseMs).toBe(10_000);
      await d.advance(9999);
      expect(await d.take(1)).toEqual([2]);
      await d.advance(1);
      expect(await d.take()).toEqual([1, 3]);
      expect(await d.renew(grant)).toBe("lost");
      expect(await d.used("q")).toBe(4);
    },
  );

  declare("A1: an expired lease is revived while its job waits, and is charged once", short(100), async (d) => {
    await d.add(...jobs(1, 2));
    const [one, two] = await d.grants(2);
    await d.advance(10_000);
    expect(await d.renew(one!)).toBe("renewed");
    expect(await d.scheduler.explain(jobId(1))).toEqual({ state: "running", deployment: "d" });
    expect(await d.take()).toEqual([2]);
    expect(await d.renew(two!)).toBe("lost");
    expect(await d.used("q")).toBe(3);
    // It is a lease like any other: renewed, and expiring again.
    await d.advance(9000);
    expect(await d.renew(one!)).toBe("renewed");
    await d.advance(10_000);
    expect(await d.take()).toEqual([1, 2]);
    expect(await d.renew(one!)).toBe("lost");
  });

  declare("A1: a revived lease is settled as usual, and is not revived after that", short(100), async (d) => {
    await d.add(job(1, { cost: 50 }));
    const grant = await d.takeOne();
    await d.advance(10_000);
    expect(await d.renew(grant)).toBe("renewed");
    expect(await d.settle(grant, { job: { requeueAfterMs: 0 }, charge: { input: 5, output: 0 } })).toBe("settled");
    expect(await d.used("q")).toBe(5);
    expect(await d.renew(grant)).toBe("lost");
    expect(await d.take()).toEqual([1]);
  });

  declare(
    "A1: a lease is revived for a booked job, but not for another's job or one that ended",
    short(100),
    async (d) => {
      await d.add(...jobs(1, 3, { cost: 60 }));
      const one = await d.takeOne();
      await d.advance(10_000);
      expect(await d.renew({ ...one, jobId: jobId(2) })).toBe("lost");
      // Another worker acquires: the job is booked, because it does not fit now.
      expect(await d.take()).toEqual([]);
      expect(await d.renew(one)).toBe("renewed");
      await d.advance(10_000);
      await d.scheduler.remove([jobId(1)]);
      expect(await d.renew(one)).toBe("lost");
    },
  );

  declare("acquire says when a lease may expire", short(100), async (d) => {
    await d.add(job(1));
    await d.take();
    const { retryInMs } = await d.acquire();
    expect(retryInMs).toBeLessThanOrEqual(10_000);
    await d.advance(10_000);
    expect(await d.take()).toEqual([1]);
  });

  declare("a renewed lease lasts a full period from then", short(100), async (d) => {
    await d.add(job(1));
    const grant = await d.takeOne();
    for (let i = 0; i < 5; i++) {
      await d.advance(9000);
      expect(await d.renew(grant)).toBe("renewed");
    }
    await d.advance(9999);
    expect(await d.take()).toEqual([]);
    await d.advance(1);
    expect(await d.take()).toEqual([1]);
  });

  declare("renew answers in the order of its argument", short(100), async (d) => {
    await d.add(...jobs(1, 2));
    const [one, two] = await d.grants();
    const wrong = { jobId: two!.jobId, grant: one!.grant };
    expect(await d.scheduler.renew([wrong, two!, { jobId: jobId(9), grant: "no" }, one!])).toEqual([
      "lost",
      "renewed",
      "lost",
      "renewed",
    ]);
  });

  declare("only renewing an expired lease revives it", short(100), async (d) => {
    await d.add(...jobs(1, 2));
    const [one, two] = await d.grants();
    await d.advance(10_000);
    expect((await d.recharge(one!)).status).toBe("lost");
    expect(await d.settle(two!, { job: { requeueAfterMs: 60_000 }, charge: { input: 1, output: 0 } })).toBe("lost");
    // The requeue was ignored: the job waits in its own position without a delay.
    expect(await d.take()).toEqual([1, 2]);
  });

  declare(
    "a settlement with an expired token cannot requeue, but its charge and its signal count",
    short(100),
    async (d) => {
      await d.add(job(1, { cost: 50 }));
      const old = await d.takeOne();
      await d.advance(10_000);
      const current = await d.takeOne();
      expect(await d.used("q")).toBe(100);
      const late = {
        job: { requeueAfterMs: 0 },
        charge: { input: 5, output: 0 },
        signal: { kind: "misconfigured", reason: "x" },
      } as const;
      expect(await d.settle(old, late)).toBe("lost");
      expect(await d.used("q")).toBe(55);
      expect((await d.deployment("d")).state).toBe("out_of_service");
      expect(await d.renew(current)).toBe("renewed");
      expect(await d.scheduler.explain(jobId(1))).toEqual({ state: "running", deployment: "d" });
    },
  );

  declare("a late answer removes the job, whether it is waiting or running elsewhere", short(100), async (d) => {
    await d.add(...jobs(1, 3));
    const [one, two] = await d.grants(2);
    await d.advance(10_000);
    const again = await d.takeOne();
    expect(numberOf(again)).toBe(1);
    expect(await d.settle(one!)).toBe("lost");
    expect(await d.settle(two!)).toBe("lost");
    expect(await d.renew(again)).toBe("lost");
    expect(await d.take()).toEqual([3]);
    expect(await d.settle(again, { job: { requeueAfterMs: 0 } })).toBe("lost");
    expect(await d.take()).toEqual([]);
    for (const n of [1, 2]) expect(await d.scheduler.explain(jobId(n))).toEqual({ state: "absent" });
  });

  declare("a made-up token changes nothing", short(100), async (d) => {
    await d.add(...jobs(1, 2, { cost: 10 }));
    const [one, two] = await d.grants();
    const crossed = { jobId: one!.jobId, grant: two!.grant };
    for (const wrong of [{ jobId: one!.jobId, grant: "made-up" }, crossed]) {
      const settlement = { job: { requeueAfterMs: 0 }, charge: "void", signal: none } as const;
      expect(await d.settle(wrong, settlement)).toBe("lost");
      expect((await d.scheduler.recharge({ operation: d.operation(), ...wrong })).status).toBe("lost");
    }
    expect(await d.used("q")).toBe(20);
    expect(await d.scheduler.renew([one!, two!])).toEqual(["renewed", "renewed"]);
    expect(await d.take()).toEqual([]);
  });

  declare("a repeated settlement gets the same answer and counts once", short(1000), async (d) => {
    await d.add(...jobs(1, 3, { cost: 10 }));
    const [one, two, three] = await d.grants();
    const requeue = { job: { requeueAfterMs: 0 }, charge: { input: 4, output: 0 }, signal: none } as const;
    for (let i = 0; i < 3; i++) {
      expect(await d.settle(one!, { charge: { input: 3, output: 0 } })).toBe("settled");
      expect(await d.settle(two!, requeue)).toBe("settled");
      expect(await d.used("q")).toBe(17);
    }
    const again = await d.takeOne();
    expect(numberOf(again)).toBe(2);
    // Repeated while the job runs under a new grant: still only a repetition.
    expect(await d.settle(two!, requeue)).toBe("settled");
    expect(await d.renew(again)).toBe("renewed");
    // Repeated with another charge: the first one counts.
    expect(await d.settle(one!, { charge: { input: 900, output: 0 } })).toBe("settled");
    expect(await d.used("q")).toBe(27);
    await d.advance(10_000);
    for (let i = 0; i < 2; i++) expect(await d.settle(three!, { charge: { input: 1, output: 0 } })).toBe("lost");
    expect(await d.used("q")).toBe(18);
  });

  declare("a job never has two leases at the same time", configOf([], [deployment("d", [])]), async (d) => {
    await d.add(...jobs(1, 20));
    const all = [...(await d.grants(7)), ...(await d.grants(7)), ...(await d.grants(100))];
    expect(new Set(all.map(numberOf)).size).toBe(20);
    expect(new Set(all.map((g) => g.grant)).size).toBe(20);
  });

  // ------------------------------------------------------------ recharge

  declare("recharge moves the charge to now", configOf([tokens(10)]), async (d) => {
    await d.add(job(1, { cost: 10 }), job(2, { cost: 10 }));
    const grant = await d.takeOne();
    await d.advance(5000);
    expect(await d.recharge(grant)).toEqual({ status: "recharged", sendWithinMs: 500 });
    expect(await d.used("q")).toBe(10);
    await d.advance(spanMs - 1);
    expect(await d.take()).toEqual([]);
    await d.advance(2);
    expect(await d.take()).toEqual([2]);
  });

  declare("a recharged charge is the one that is settled", configOf([tokens(100)]), async (d) => {
    await d.add(job(1, { cost: 60 }));
    const grant = await d.takeOne();
    await d.advance(1000);
    await d.recharge(grant);
    expect(await d.settle(grant, { charge: { input: 7, output: 0 } })).toBe("settled");
    expect(await d.used("q")).toBe(7);
  });

  declare(
    "a recharge without free quota releases the charge, and the lease stays until it is settled",
    configOf([tokens(10)]),
    async (d) => {
      await d.add(job(1, { cost: 6 }), job(2, { cost: 10 }), job(3, { cost: 4 }));
      const grant = await d.takeOne();
      await d.advance(spanMs + 1);
      expect(await d.take(1)).toEqual([2]);
      expect(await d.recharge(grant)).toEqual({ status: "refused" });
      expect(await d.renew(grant)).toBe("renewed");
      expect(await d.used("q")).toBe(10);
      expect(await d.settle(grant, { job: { requeueAfterMs: 0 }, charge: "void", signal: none })).toBe("settled");
      expect(await d.used("q")).toBe(10);
      await d.advance(spanMs + 1);
      expect(await d.take()).toEqual([1, 3]);
    },
  );

  declare("a repeated recharge gets the same answer and charges once", configOf([tokens(10)]), async (d) => {
    await d.add(job(1, { cost: 6 }), job(2, { cost: 10 }), job(3, { cost: 1 }));
    const grant = await d.takeOne();
    await d.advance(1000);
    for (let i = 0; i < 3; i++) expect((await d.recharge(grant, "r1")).status).toBe("recharged");
    expect(await d.used("q")).toBe(6);
    await d.advance(spanMs + 1);
    expect(await d.take(1)).toEqual([2]);
    for (let i = 0; i < 2; i++) expect((await d.recharge(grant, "r2")).status).toBe("refused");
    expect(await d.used("q")).toBe(10);
  });

  declare("a recharge does not extend the lease", { ...configOf([]), leaseMs: 10_000 }, async (d) => {
    await d.add(job(1));
    const grant = await d.takeOne();
    await d.advance(9000);
    expect((await d.recharge(grant)).status).toBe("recharged");
    await d.advance(1000);
    expect((await d.recharge(grant)).status).toBe("lost");
  });

  declare(
    "calls in flight count towards maxConcurrency until their lease ends",
    {
      ...configOf([], [deployment("d", [], { maxConcurrency: 1 })]),
      leaseMs,
    },
    async (d) => {
      await d.add(...jobs(1, 2));
      const grant = await d.takeOne();
      await d.advance(leaseMs - 1);
      expect(await d.take()).toEqual([]);
      await d.advance(1);
      expect(await d.take()).toEqual([1]);
      expect(await d.settle(grant, { signal: ok })).toBe("lost");
      expect(await d.take()).toEqual([2]);
    },
  );
}
