// The whole scheduler in memory under random commands, next to a model that only keeps the books: which jobs wait and
// run, and what was charged when. The model knows none of the rules by which the scheduler decides. It checks what must
// never happen.
import fc from "fast-check";
import { expect, test } from "vitest";
import { createMemoryScheduler } from "../../src/scheduler/memory/memory-scheduler.ts";
import type {
  AcquireResult,
  DeploymentSignal,
  Grant,
  QueueEntry,
  RestoredCharge,
  Settlement,
} from "../../src/scheduler/scheduler.ts";
import type { SchedulerConfig } from "../../src/scheduler/scheduler-configuration.ts";
import { configOf, Driver, deployment, jobId, minuteMs, quota } from "./harness.ts";

const leaseMs = 20_000;

/** Two models on three deployments that share some quotas; a daily quota that is reached; one limit is lowered. */
function config(tokensPerMinute: number, jobsPerDay: number): SchedulerConfig {
  return {
    ...configOf(
      [
        quota("requests", 12),
        quota("tokens", tokensPerMinute, { unit: "tokens", burst: Math.ceil(tokensPerMinute / 10) }),
        quota("output", 600, { unit: "output_tokens" }),
        quota("day", jobsPerDay, { per: "day" }),
        quota("reset", 400, { per: "day", resetHourUtc: 3 }),
      ],
      [
        deployment("a", ["requests", "tokens"], { maxConcurrency: 4 }),
        deployment("b", ["tokens", "output", "reset"], { region: "eu-west-1", outputBurndown: 3 }),
        deployment("c", ["day", "output"], { maxConcurrency: 3 }),
      ],
    ),
    version: `${tokensPerMinute}`,
    models: {
      m: { deployments: ["a", "b"], choice: "headroom" },
      n: { deployments: ["c", "b"], choice: "order" },
    },
    weights: {
      environments: { PROD: 4 },
      priorities: { interactive: 16, standard: 4, batch: 1 },
      tenants: { heavy: 3 },
    },
    leaseMs,
  };
}

const configs = [config(1000, 60), config(400, 60), config(1000, 20)];

// ---------------------------------------------------------------- commands

const entry = fc.record({
  environment: fc.constantFrom("PROD", "UAT"),
  tenant: fc.constantFrom("heavy", "light", "constructor"),
  priority: fc.constantFrom("interactive" as const, "standard" as const, "batch" as const),
  models: fc.constantFrom<string[]>(["m"], ["n"], ["m", "n"], ["n", "m"]),
  regions: fc.constantFrom<string[] | undefined>(undefined, ["us-east-1"], ["eu-west-1"]),
  tokens: fc.oneof(
    fc.record({ input: fc.integer({ min: 1, max: 30 }), output: fc.integer({ min: 1, max: 30 }) }),
    fc.record({ input: fc.integer({ min: 100, max: 600 }), output: fc.integer({ min: 1, max: 60 }) }),
  ),
  exact: fc.boolean(),
  delayMs: fc.constantFrom(undefined, undefined, 0, 500, 5000),
});

const signal: fc.Arbitrary<DeploymentSignal> = fc.oneof(
  { weight: 6, arbitrary: fc.constant({ kind: "ok" } as const) },
  fc.constant({ kind: "none" } as const),
  fc.record({
    kind: fc.constant("throttled" as const),
    throttle: fc.constantFrom("requests" as const, "tokens" as const, "tokens_per_day" as const, "unknown" as const),
    retryAfterMs: fc.constantFrom(...[undefined, 0, 3000]),
  }),
  fc.record({ kind: fc.constant("capacity" as const), retryAfterMs: fc.constantFrom(...[undefined, 2000]) }),
  fc.constant({ kind: "misconfigured", reason: "no access" } as const),
  fc.constant({ kind: "refused", reason: "no" } as const),
) as fc.Arbitrary<DeploymentSignal>;

const settlement = fc.record({
  /** Index among all grants ever made, live or not. */
  pick: fc.nat(),
  live: fc.boolean(),
  ends: fc.boolean(),
  requeueAfterMs: fc.constantFrom(0, 0, 700, 8000),
  charge: fc.oneof(
    fc.constantFrom("keep" as const, "void" as const),
    fc.record({
      input: fc.integer({ min: 0, max: 150 }),
      output: fc.integer({ min: 0, max: 100 }),
    }),
  ),
  signal,
});

const command = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("add" as const),
      entries: fc.array(entry, { minLength: 1, maxLength: 6 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("acquire" as const),
      max: fc.integer({ min: 1, max: 8 }),
      environments: fc.constantFrom(undefined, undefined, ["PROD"], ["UAT"]),
      deployments: fc.constantFrom(undefined, undefined, ["a"], ["b", "c"]),
      repeats: fc.boolean(),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("settle" as const),
      each: fc.array(settlement, { minLength: 1, maxLength: 4 }),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("advance" as const),
      ms: fc.oneof(
        fc.integer({ min: 0, max: 3000 }),
        fc.integer({ min: 0, max: 90_000 }),
        fc.constantFrom(leaseMs, 60_800, 60_801, 3_600_000, 40_000_000),
      ),
    }),
  },
  fc.record({ kind: fc.constant("advanceAsTold" as const) }),
  fc.record({ kind: fc.constant("renew" as const), share: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ kind: fc.constant("recharge" as const), pick: fc.nat(), live: fc.boolean() }),
  fc.record({ kind: fc.constant("remove" as const), pick: fc.nat() }),
  fc.record({ kind: fc.constant("setTokenCounts" as const), percent: fc.integer({ min: 10, max: 150 }) }),
  fc.record({ kind: fc.constant("configure" as const), to: fc.nat({ max: configs.length - 1 }) }),
  fc.record({ kind: fc.constant("forget" as const) }),
  fc.record({ kind: fc.constant("reinstate" as const), deployment: fc.constantFrom("a", "b", "c") }),
  fc.record({ kind: fc.constant("rebuild" as const), meanwhileMs: fc.constantFrom(0, 5000) }),
);

type Command = typeof command extends fc.Arbitrary<infer C> ? C : never;

// ---------------------------------------------------------------- the books

interface Held {
  grant: Grant;
  until: number;
  chargedAt: number;
  /** Expired: not renewed in time. Its worker may revive it while the job waits. */
  state: "live" | "expired" | "over";
}

/** One call's charge to one quota: what it counts now, never more than was reserved. */
interface Charged {
  grant: string;
  quota: string;
  at: number;
  reserved: number;
  counts: number;
}

class World {
  now = 5;
  config = configs[0]!;
  readonly driver: Driver;
  /** Jobs that were added and have not ended. */
  readonly jobs = new Map<string, QueueEntry>();
  readonly held: Held[] = [];
  charged: Charged[] = [];
  added = 0;
  looked = 0;
  lastRetry: number | undefined;

  constructor() {
    const scheduler = createMemoryScheduler({
      config: this.config,
      clock: { now: () => this.now, wall: () => Date.UTC(2026, 0, 1) + this.now },
    });
    this.driver = new Driver({ scheduler, advance: async (ms) => this.advance(ms), cleanup: async () => {} });
  }

  advance(ms: number): void {
    this.now += ms;
  }

  live(): Held[] {
    for (const held of this.held) if (held.state === "live" && held.until <= this.now) held.state = "expired";
    return this.held.filter((held) => held.state === "live");
  }

  /** What a call costs a quota when it is charged. */
  reservedOn(name: string, grant: Grant): number {
    const { unit } = this.config.quotas.find((q) => q.name === name)!;
    const { outputBurndown } = this.config.deployments.find((d) => d.id === grant.deployment)!;
    const { input, output } = grant.reserved;
    const bounded = output * outputBurndown;
    return { requests: 1, tokens: input + bounded, input_tokens: input, output_tokens: bounded }[unit];
  }

  charge(grant: Grant): void {
    for (const name of this.config.deployments.find((d) => d.id === grant.deployment)!.quotas) {
      const reserved = this.reservedOn(name, grant);
      this.charged.push({ grant: grant.grant, quota: name, at: this.now, reserved, counts: reserved });
      const { per, limit, resetHourUtc } = this.config.quotas.find((q) => q.name === name)!;
      const lastReset =
        Math.floor((this.now - 3 * 60 * minuteMs) / (24 * 60 * minuteMs)) * 24 * 60 * minuteMs + 3 * 60 * minuteMs;
      const windowMs = per === "day" ? 24 * 60 * minuteMs : minuteMs;
      const since =
        resetHourUtc === undefined ? this.now - windowMs - 800 : Math.max(lastReset - 1, this.now - windowMs);
      const counts = this.charged.filter((c) => c.quota === name && c.at > since).reduce((sum, c) => sum + c.counts, 0);
      expect(counts, `${name} at ${this.now}`).toBeLessThanOrEqual(limit);
    }
  }

  took(result: AcquireResult): void {
    for (const grant of result.grants) {
      const known = this.jobs.get(grant.jobId);
      expect(known, "granted a job that was never added").toBeDefined();
      expect(this.live().map((held) => held.grant.jobId)).not.toContain(grant.jobId);
      const { regions, models } = known!;
      expect(models).toContain(grant.model);
      expect(this.config.models[grant.model]!.deployments).toContain(grant.deployment);
      const where = this.config.deployments.find((d) => d.id === grant.deployment)!;
      if (regions) expect(regions).toContain(where.region);
      this.held.push({ grant, until: this.now + leaseMs, chargedAt: this.now, state: "live" });
      expect(this.live().filter((h) => h.grant.deployment === where.id).length).toBeLessThanOrEqual(
        where.maxConcurrency,
      );
      this.charge(grant);
    }
    for (const { jobId: id } of result.impossible) {
      expect(this.jobs.delete(id), "impossible, but unknown").toBe(true);
      expect(this.live().map((held) => held.grant.jobId)).not.toContain(id);
    }
  }

  /** Checks the jobs against the books: some of them, or all after the last command. */
  async agree(which: "some" | "all"): Promise<void> {
    const running = new Map(this.live().map((held) => [held.grant.jobId, held.grant.deployment]));
    this.looked += 1;
    for (let n = 1; n <= this.added; n++) {
      if (which === "some" && (n + this.looked) % 8 !== 0) continue;
      const id = jobId(n);
      const explanation = await this.driver.scheduler.explain(id);
      const expected = running.has(id) ? "running" : this.jobs.has(id) ? "waiting" : "absent";
      expect(explanation.state, id).toBe(expected);
      if (explanation.state === "running") expect(explanation.deployment).toBe(running.get(id));
      if (explanation.state === "waiting") {
        expect(explanation.position).toBeGreaterThanOrEqual(1);
        if (explanation.startsInMs !== undefined) expect(explanation.startsInMs).toBeGreaterThanOrEqual(0);
        if (explanation.startsInMs !== undefined) expect(Number.isSafeInteger(explanation.startsInMs)).toBe(true);
      }
    }
    const snapshot = await this.driver.scheduler.snapshot();
    expect(snapshot.running).toBe(running.size);
    const waiting = snapshot.waiting.reduce((sum, d) => sum + d.ready + d.delayed, 0);
    expect(waiting).toBe(this.jobs.size - running.size);
    for (const each of snapshot.deployments) {
      expect(each.running).toBe([...running.values()].filter((id) => id === each.id).length);
    }
  }

  async run(c: Command): Promise<void> {
    const { driver } = this;
    switch (c.kind) {
      case "add": {
        const entries = c.entries.map(({ regions, delayMs, ...rest }) => {
          this.added += 1;
          return {
            jobId: jobId(this.added),
            order: this.added,
            ...rest,
            ...(regions && { regions }),
            ...(delayMs !== undefined && { delayMs }),
          };
        });
        for (const each of entries) this.jobs.set(each.jobId, each);
        await driver.add(...entries);
        await driver.add(entries[0]!);
        return;
      }
      case "acquire": {
        const { max, environments, deployments, repeats } = c;
        const request = {
          operation: driver.operation(),
          worker: "w",
          max,
          ...(environments && { environments }),
          ...(deployments && { deployments }),
        };
        const result = await driver.scheduler.acquire(request);
        this.took(result);
        expect(result.grants.length).toBeLessThanOrEqual(max);
        for (const grant of result.grants) {
          if (environments) expect(environments).toContain(grant.environment);
          if (deployments) expect(deployments).toContain(grant.deployment);
        }
        if (repeats) expect(await driver.scheduler.acquire(request)).toEqual(result);
        this.lastRetry = result.retryInMs;
        return this.mustNameATime(result, environments === undefined && deployments === undefined);
      }
      case "settle": {
        const settled: Settlement[] = [];
        const expected: string[] = [];
        for (const { pick, live, ends, requeueAfterMs, charge, signal: seen } of c.each) {
          const from = live ? this.live() : this.held;
          const held = from[pick % Math.max(1, from.length)];
          if (!held || settled.some((s) => s.grant === held.grant.grant)) continue;
          const { reserved } = held.grant;
          const used =
            typeof charge === "string"
              ? charge
              : {
                  input: Math.floor((charge.input * reserved.input) / 100),
                  output: Math.floor((charge.output * reserved.output) / 100),
                };
          settled.push({ ...held.grant, job: ends ? "ended" : { requeueAfterMs }, charge: used, signal: seen });
        }
        for (const s of settled) {
          const held = this.held.find((h) => h.grant.grant === s.grant)!;
          const isLive = this.live().includes(held);
          if (isLive) expected.push("settled");
          else expected.push("either");
          this.settleCharge(held, s);
          if (s.job === "ended") {
            this.jobs.delete(s.jobId);
            for (const other of this.held) if (other.grant.jobId === s.jobId) other.state = "over";
          }
          held.state = "over";
        }
        const answers = await driver.scheduler.settle(settled);
        expected.forEach((answer, i) => {
          const { jobId: id, job, signal: seen } = settled[i]!;
          if (answers[i] === "rejected") {
            expect(job).not.toBe("ended");
            expect(["refused", "misconfigured", "capacity"]).toContain(seen.kind);
            this.jobs.delete(id);
            for (const other of this.held) if (other.grant.jobId === id) other.state = "over";
          } else if (answer !== "either") expect(answers[i]).toBe(answer);
        });
        return;
      }
      case "advance":
        return this.advance(c.ms);
      case "advanceAsTold":
        return this.advance(this.lastRetry ?? 0);
      case "renew": {
        const all = this.held.filter((_, i) => i % c.share === 0);
        const live = this.live();
        const answers = await driver.scheduler.renew(all.map((held) => held.grant));
        all.forEach((held, i) => {
          if (answers[i] === "lost") {
            expect(live).not.toContain(held);
            return;
          }
          const { jobId: id } = held.grant;
          if (!live.includes(held)) {
            expect([held.state, this.jobs.has(id)]).toEqual(["expired", true]);
            expect(this.live().map((other) => other.grant.jobId)).not.toContain(id);
          }
          held.state = "live";
          held.until = this.now + leaseMs;
        });
        return;
      }
      case "recharge": {
        const from = c.live ? this.live() : this.held;
        const held = from[c.pick % Math.max(1, from.length)];
        if (!held) return;
        const isLive = this.live().includes(held);
        const { status } = await driver.recharge(held.grant);
        expect(status === "lost").toBe(!isLive);
        if (!isLive) return;
        for (const charge of this.charged) if (charge.grant === held.grant.grant) charge.counts = 0;
        if (status === "recharged") this.charge(held.grant);
        return;
      }
      case "remove": {
        const id = jobId(1 + (c.pick % Math.max(1, this.added)));
        const running = this.live().find((held) => held.grant.jobId === id);
        const [answer] = await driver.scheduler.remove([id]);
        expect(answer).toBe(running ? "running" : this.jobs.has(id) ? "waiting" : "absent");
        this.jobs.delete(id);
        if (running) running.state = "over";
        return;
      }
      case "setTokenCounts": {
        const listUncounted = await driver.scheduler.listUncounted(3);
        expect(listUncounted.length).toBeLessThanOrEqual(3);
        await driver.scheduler.setTokenCounts(
          listUncounted.map(({ jobId: id }) => {
            const job = this.jobs.get(id)!;
            job.exact = true;
            job.tokens = { input: Math.ceil((job.tokens.input * c.percent) / 100), output: job.tokens.output };
            return { jobId: id, tokens: job.tokens };
          }),
        );
        return;
      }
      case "configure":
        this.config = configs[c.to]!;
        return driver.scheduler.configure(this.config);
      case "forget":
        return driver.scheduler.resetLearnedLimits();
      case "reinstate":
        return driver.scheduler.reinstate(c.deployment);
      case "rebuild":
        return this.rebuild(c.meanwhileMs);
    }
  }

  settleCharge(held: Held, { charge, grant }: Settlement): void {
    if (charge === "keep") return;
    for (const each of this.charged) {
      // The first settlement counts, and a recharged charge has moved.
      if (each.grant !== grant || each.counts !== each.reserved) continue;
      if (charge === "void") each.counts = 0;
      else {
        const { outputBurndown } = this.config.deployments.find((d) => d.id === held.grant.deployment)!;
        const { unit } = this.config.quotas.find((q) => q.name === each.quota)!;
        const output = charge.output * outputBurndown;
        const used = { requests: 1, tokens: charge.input + output, input_tokens: charge.input, output_tokens: output }[
          unit
        ];
        each.counts = Math.min(each.counts, used);
      }
    }
  }

  /** Everything from the books, as it is read from a store. */
  async rebuild(meanwhileMs: number): Promise<void> {
    const { scheduler } = this.driver;
    const live = this.live();
    const ticket = (await scheduler.beginRebuild())!;
    const attempts = new Map<string, RestoredCharge>();
    for (const { grant, chargedAt, state } of this.held) {
      const counts = this.charged.filter((c) => c.grant === grant.grant && c.at >= chargedAt);
      if (counts.every((c) => c.counts === 0)) continue;
      // Its usage is not known any more, so all that was reserved counts.
      const at = Math.max(chargedAt, ...counts.map((c) => c.at));
      const charge = { deployment: grant.deployment, agoMs: this.now - at, tokens: grant.reserved, settled: false };
      attempts.set(grant.grant, { ...charge, grant: grant.grant });
      for (const each of counts) if (state === "over") each.counts = Math.min(each.counts, each.reserved);
    }
    this.advance(meanwhileMs);
    for (const each of attempts.values()) each.agoMs += meanwhileMs;
    const inOrder = [...attempts.values()].sort((a, b) => b.agoMs - a.agoMs);
    await scheduler.restore(ticket, { charges: inOrder });
    const entries = [...this.jobs.values()].map(({ delayMs: _, ...job }) => job);
    const leases = live.map(({ grant: { jobId: id, grant, deployment: where } }) => ({
      jobId: id,
      grant,
      deployment: where,
    }));
    await scheduler.restore(ticket, { entries, leases });
    for (const held of live) held.until = this.now + leaseMs;
    await scheduler.finishRebuild(ticket);
  }

  /** With nothing running, something waiting and a worker that serves everything, time alone must bring the next start. */
  mustNameATime(result: AcquireResult, asksForAll: boolean): void {
    if (!asksForAll || result.grants.length > 0 || this.live().length > 0) return;
    if (this.jobs.size > 0) expect(result.retryInMs, "waits, but for nothing").toBeGreaterThanOrEqual(0);
    else expect(result.retryInMs).toBeUndefined();
  }

  /** Every job ends by itself, and no worker is told to retry in vain. */
  async drain(): Promise<void> {
    for (let asked = 0; this.jobs.size > 0; asked++) {
      expect(asked, `stuck with ${this.jobs.size} jobs`).toBeLessThan(3000);
      const result = await this.driver.acquire(50);
      this.took(result);
      for (const { jobId: id } of result.grants) this.jobs.delete(id);
      for (const held of this.live()) if (!this.jobs.has(held.grant.jobId)) held.state = "over";
      await this.driver.finish(result.grants);
      if (result.grants.length > 0 || result.retryInMs === 0) continue;
      this.mustNameATime(result, true);
      const wait = result.retryInMs!;
      if (wait > 1) {
        this.advance(wait - 1);
        const early = await this.driver.acquire(50);
        expect([early.grants, early.impossible], "came early and got something").toEqual([[], []]);
        this.advance(1);
      } else this.advance(wait);
    }
    await this.agree("all");
  }
}

test("no job is granted twice, lost or stuck, and no quota is exceeded, for random commands in any order", {
  timeout: 600_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(command, { minLength: 10, maxLength: 120, size: "max" }), async (commands) => {
      const world = new World();
      await world.driver.open();
      for (const each of commands) {
        await world.run(each);
        await world.agree("some");
      }
      await world.agree("all");
      await world.drain();
    }),
    { numRuns: 150 },
  );
});
