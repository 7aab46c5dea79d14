// A whole afternoon of calls within a second: the real scheduler in memory, with the real window of a minute, as discrete
// events against upstreams that count as the simulated provider does. Only time and randomness are made up.

import { IndexedHeap } from "../../../src/scheduler/indexed-heap.ts";
import { createMemoryScheduler } from "../../../src/scheduler/memory/memory-scheduler.ts";
import type { Grant, LearnedLimit, QueueEntry } from "../../../src/scheduler/scheduler.ts";
import type { SchedulerConfig } from "../../../src/scheduler/scheduler-configuration.ts";
import type { ExceededQuota, QuotaEngine } from "../../../src/simulator/quota-engine.ts";
import { randomNumbers } from "../../../src/simulator/random.ts";
import { Driver, job, minuteMs, numberOf, ok } from "../harness.ts";

/** One way, at most, unless the plan says otherwise. */
const longestWayMs = 300;
/** Between the charge and the attempt's record, at most. */
const recordMs = 50;
/** How long a call runs, at least and at most, unless the plan says otherwise. */
const usualCallMs: Range = [1000, 10_000];

export type Range = readonly [least: number, most: number];

export interface Plan {
  config: SchedulerConfig;
  /** What answers for each deployment; two that share an engine share its quota. */
  upstreams: Record<string, Upstream>;
  minutes: number;
  /** Tokens that a job of the standing backlog reserves: of every order of magnitude in between. */
  sizes: Range;
  /** The share of its reservation that a call uses. Default all of it. */
  used?: Range;
  /** Calls of others on the same quota, at an even pace. */
  foreign?: readonly Foreign[];
  /** What is known from before. */
  learned?: readonly LearnedLimit[];
  /** Jobs beside the backlog. */
  planted?: readonly { atMs: number; entry: QueueEntry }[];
  seed?: number;
  /** Least and most time that a call runs, in milliseconds. Default: 1 to 10 s. */
  callMs?: Range;
  /** Most time on the way, each way, in milliseconds. Default: 300. */
  jitterMs?: number;
}

export interface Upstream {
  engine: QuotaEngine;
  /** While it is down it refuses for want of capacity. */
  isDown?(now: number): boolean;
}

export interface Foreign {
  engine: QuotaEngine;
  fromMs: number;
  untilMs?: number;
  tokensPerMinute: number;
  tokensPerCall: number;
}

export interface Call {
  job: number;
  deployment: string;
  chargedAt: number;
  reserved: number;
  used: number;
  /** When our side knows how it ended; infinite if it still runs. */
  settledAt: number;
  refused?: ExceededQuota | "capacity";
}

export interface Run {
  calls: Call[];
  /** What others were let through. */
  foreign: { at: number; tokens: number }[];
  /** Jobs that were given up. */
  impossible: number[];
  driver: Driver;
}

export async function simulate(plan: Plan): Promise<Run> {
  return await new Simulation(plan).run();
}

class Simulation {
  readonly #plan: Plan;
  readonly #random: () => number;
  readonly #events = new IndexedHeap<{ at: number; run: () => unknown }>((a, b) => a.at < b.at);
  readonly #run: Run;
  #now = 0;
  #added = 0;
  #granted = 0;
  #askAt = 0;

  constructor(plan: Plan) {
    this.#plan = plan;
    this.#random = randomNumbers(String(plan.seed ?? 7));
    const clock = { now: () => this.#now, wall: () => this.#now };
    const scheduler = createMemoryScheduler({ config: plan.config, clock });
    const driver = new Driver({ scheduler, advance: async () => {}, cleanup: async () => {} });
    this.#run = { calls: [], foreign: [], impossible: [], driver };
  }

  async run(): Promise<Run> {
    const { minutes, foreign = [], planted = [], learned = [] } = this.#plan;
    const { scheduler } = this.#run.driver;
    const ticket = (await scheduler.beginRebuild())!;
    await scheduler.restore(ticket, { learned });
    await scheduler.finishRebuild(ticket);
    for (const { atMs, entry } of planted) {
      this.#at(atMs, async () => {
        await this.#run.driver.add(entry);
        await this.#acquire();
      });
    }
    for (const traffic of foreign) this.#at(traffic.fromMs, () => this.#callOf(traffic));
    await this.#acquire();
    const end = minutes * minuteMs;
    for (let event = this.#events.pop(); event && event.at < end; event = this.#events.pop()) {
      this.#now = event.at;
      await event.run();
    }
    this.#now = end;
    return this.#run;
  }

  #at(time: number, run: () => unknown): void {
    this.#events.push({ at: time, run });
  }

  #between([least, most]: Range): number {
    return least + this.#random() * (most - least);
  }

  /** There is always more to do, in sizes of every order of magnitude. */
  async #refill(): Promise<void> {
    const [least, most] = this.#plan.sizes;
    const more = Array.from({ length: 500 }, () => {
      this.#added += 1;
      const cost = Math.round(least * (most / least) ** this.#random());
      return job(this.#added, { cost, tenant: `t${this.#added % 5}` });
    });
    await this.#run.driver.add(...more);
  }

  async #acquire(): Promise<void> {
    if (this.#added - this.#granted < 400) await this.#refill();
    const { grants, impossible, retryInMs } = await this.#run.driver.acquire(100);
    this.#granted += grants.length;
    for (const grant of grants) this.#send(grant);
    this.#run.impossible.push(...impossible.map(numberOf));
    this.#askAt = this.#now + (retryInMs ?? 5000);
    const wanted = this.#askAt;
    // A timer fires a little late.
    this.#at(wanted + this.#between([0, 2]), () => (this.#askAt === wanted ? this.#acquire() : undefined));
  }

  #send(grant: Grant): void {
    const { driver, calls } = this.#run;
    const { engine, isDown } = this.#plan.upstreams[grant.deployment]!;
    const { jitterMs = longestWayMs, callMs = usualCallMs } = this.#plan;
    const reserved = grant.reserved.input;
    const used = Math.ceil(reserved * this.#between(this.#plan.used ?? [1, 1]));
    const { deployment } = grant;
    const settledAt = Number.POSITIVE_INFINITY;
    const call: Call = { job: numberOf(grant), deployment, chargedAt: this.#now, reserved, used, settledAt };
    calls.push(call);

    const answer = (run: () => Promise<unknown>) =>
      this.#at(this.#now + this.#between([0, jitterMs]), async () => {
        call.settledAt = this.#now;
        await run();
        await this.#acquire();
      });
    this.#at(this.#now + this.#between([0, recordMs]) + this.#between([0, jitterMs]), () => {
      if (isDown?.(this.#now)) {
        call.refused = "capacity";
        this.#granted -= 1;
        answer(() => driver.refuse(grant, { kind: "capacity" }));
        return;
      }
      const admission = engine.admit(this.#now, { input: reserved, maxTokens: 0 });
      if (typeof admission === "string") {
        call.refused = admission;
        this.#granted -= 1;
        answer(() => driver.refuse(grant, { kind: "throttled", throttle: admission }));
        return;
      }
      this.#at(this.#now + this.#between(callMs), () => {
        engine.settle(this.#now, admission, { input: used, output: 0 });
        answer(() => {
          return driver.settle(grant, { charge: { input: used, output: 0 }, signal: ok });
        });
      });
    });
  }

  #callOf(traffic: Foreign): void {
    const { engine, tokensPerMinute, tokensPerCall, untilMs = Number.POSITIVE_INFINITY } = traffic;
    if (this.#now >= untilMs) return;
    const admission = engine.admit(this.#now, { input: tokensPerCall, maxTokens: 0 });
    if (typeof admission !== "string") this.#run.foreign.push({ at: this.#now, tokens: tokensPerCall });
    this.#at(this.#now + (tokensPerCall * minuteMs) / tokensPerMinute, () => this.#callOf(traffic));
  }
}

// ---------------------------------------------------------------- what was reached

/** In what a quota counts. */
export type Unit = "requests" | "tokens";

/** The calls of one deployment, or of all, that were not refused. */
export function admitted(calls: readonly Call[], deployment?: string): Call[] {
  return calls.filter((call) => !call.refused && (deployment === undefined || call.deployment === deployment));
}

export function refused(calls: readonly Call[], fromMs = 0, untilMs = Number.POSITIVE_INFINITY): number {
  return calls.filter((call) => call.refused && call.chargedAt >= fromMs && call.chargedAt < untilMs).length;
}

/**
 * What counted on average in the minute before each moment between two times: reservations of running calls and what
 * ended ones used; and the latter alone. A call that was refused counts for nothing.
 */
export function use(calls: readonly Call[], unit: Unit, fromMs: number, untilMs: number) {
  let held = 0;
  let settled = 0;
  let samples = 0;
  let oldest = 0;
  const counted = calls.filter((call) => !call.refused);
  for (let t = fromMs + minuteMs; t <= untilMs; t += 250) {
    while (counted[oldest] && counted[oldest]!.chargedAt <= t - minuteMs) oldest += 1;
    for (let i = oldest; i < counted.length && counted[i]!.chargedAt <= t; i++) {
      const call = counted[i]!;
      const isOver = call.settledAt <= t;
      held += unit === "requests" ? 1 : isOver ? call.used : call.reserved;
      if (isOver) settled += unit === "requests" ? 1 : call.used;
    }
    samples += 1;
  }
  return { held: held / samples, settled: settled / samples };
}

/** Tokens of others per minute, between two times. */
export function foreignUse({ foreign }: Run, fromMs: number, untilMs: number): number {
  const tokens = foreign.filter(({ at }) => at >= fromMs && at < untilMs).reduce((sum, call) => sum + call.tokens, 0);
  return (tokens * minuteMs) / (untilMs - fromMs);
}

export function percent(share: number): number {
  return Number((share * 100).toFixed(2));
}
