// A whole afternoon of calls within a second: the real scheduler in memory, with the real window of a minute, as discrete
// events against upstreams that count as the simulated provider does. Only time and randomness are made up.

import type { Clock } from "../../../src/domain/clock.ts";
import { IndexedHeap } from "../../../src/scheduler/indexed-heap.ts";
import { createMemoryScheduler } from "../../../src/scheduler/memory/memory-scheduler.ts";
import type { Grant, LearnedLimit, QueueEntry, Scheduler } from "../../../src/scheduler/scheduler.ts";
import type { SchedulerConfig } from "../../../src/scheduler/scheduler-configuration.ts";
import type { ExceededQuota, QuotaEngine } from "../../../src/simulator/quota-engine.ts";
import { randomNumbers } from "../../../src/simulator/random.ts";
import { Driver, job, minuteMs, none, numberOf, ok } from "../harness.ts";

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
  /** How late our process is. Default: not at all. */
  late?: Lateness;
  /** Opens the scheduler. Default: in memory. */
  open?(config: SchedulerConfig, clock: Clock): Promise<Scheduler>;
}

/** How late a busy process is: single steps of a call, and the whole process. */
export interface Lateness {
  /** Share of the calls that lose the processor after the last look at the clock before they leave. */
  share: number;
  /** How long such a call takes to leave, and then to notice that it has left, at most, in milliseconds. */
  callMs: number;
  /** How long the whole process stands still, at most, and how long it runs in between, at most. Default: it never does. */
  stopsMs?: { stopped: number; running: number };
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
  /** When our side knows that it has left. Set if the process is late. */
  noticedAt?: number;
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

async function openInMemory(config: SchedulerConfig, clock: Clock): Promise<Scheduler> {
  return createMemoryScheduler({ config, clock });
}

export async function simulate(plan: Plan): Promise<Run> {
  return await new Simulation(plan).run();
}

class Simulation {
  readonly #plan: Plan;
  readonly #random: () => number;
  readonly #events = new IndexedHeap<{ at: number; run: () => unknown }>((a, b) => a.at < b.at);
  #run!: Run;
  #now = 0;
  /** When the process stands still, in order. Those that are over are removed. */
  readonly #stops: { from: number; until: number }[] = [];
  #added = 0;
  #granted = 0;
  #askAt = 0;

  constructor(plan: Plan) {
    this.#plan = plan;
    this.#random = randomNumbers(String(plan.seed ?? 7));
    const { stopsMs } = plan.late ?? {};
    for (let t = 0; stopsMs && t < plan.minutes * minuteMs; t = this.#stops.at(-1)!.until) {
      const from = t + this.#between([0, stopsMs.running]);
      this.#stops.push({ from, until: from + this.#between([1, stopsMs.stopped]) });
    }
  }

  async run(): Promise<Run> {
    const { minutes, foreign = [], planted = [], learned = [], config, open = openInMemory } = this.#plan;
    const scheduler = await open(config, { now: () => this.#now, wall: () => this.#now });
    const driver = new Driver({ scheduler, advance: async () => {}, cleanup: async () => {} });
    this.#run = { calls: [], foreign: [], impossible: [], driver };
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

  /** Does something in our process: if it stands still at that time, as soon as it runs again. */
  #atOurs(time: number, run: () => unknown): void {
    this.#at(time, () => {
      while (this.#stops[0] && this.#stops[0].until <= this.#now) this.#stops.shift();
      const stop = this.#stops[0];
      return stop && stop.from <= this.#now ? this.#atOurs(stop.until, run) : run();
    });
  }

  /** Returns how late a step of a call is. */
  #lateMs(isLate: boolean): number {
    return isLate ? this.#between([0, this.#plan.late!.callMs]) : 0;
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
    this.#atOurs(wanted + this.#between([0, 2]), () => (this.#askAt === wanted ? this.#acquire() : undefined));
  }

  #send(grant: Grant): void {
    const { driver, calls } = this.#run;
    const { jitterMs = longestWayMs, late } = this.#plan;
    const reserved = grant.reserved.input;
    const used = Math.ceil(reserved * this.#between(this.#plan.used ?? [1, 1]));
    const settledAt = Number.POSITIVE_INFINITY;
    const job = numberOf(grant);
    const call: Call = { job, deployment: grant.deployment, chargedAt: this.#now, reserved, used, settledAt };
    calls.push(call);
    const isLate = late !== undefined && this.#random() < late.share;
    let sendBy = this.#now + grant.sendWithinMs;

    const check = async (): Promise<void> => {
      if (this.#now > sendBy) {
        const moved = await driver.recharge(grant);
        if (moved.status !== "recharged") {
          calls.splice(calls.indexOf(call), 1);
          this.#granted -= 1;
          await driver.settle(grant, { job: { requeueAfterMs: 0 }, charge: "void", signal: none });
          return this.#acquire();
        }
        sendBy = this.#now + moved.sendWithinMs;
      }
      if (isLate) this.#atOurs(this.#now + this.#lateMs(isLate), leave);
      else leave();
    };
    const leave = (): void => {
      this.#at(this.#now + this.#between([0, jitterMs]), () => this.#arrive(grant, call));
      if (!late) return;
      call.noticedAt = this.#now + this.#lateMs(isLate);
      this.#atOurs(call.noticedAt, () => {
        call.noticedAt = this.#now;
        return this.#now > sendBy
          ? driver.scheduler.recharge({ ...grant, operation: driver.operation(), isSent: true })
          : undefined;
      });
    };
    this.#atOurs(this.#now + this.#between([0, recordMs]), check);
  }

  #arrive(grant: Grant, call: Call): void {
    const { driver } = this.#run;
    const { engine, isDown } = this.#plan.upstreams[grant.deployment]!;
    const { jitterMs = longestWayMs, callMs = usualCallMs } = this.#plan;
    const { reserved, used } = call;
    const answer = (run: () => Promise<unknown>) => {
      // What our process notices later comes later there.
      const at = Math.max(this.#now + this.#between([0, jitterMs]), (call.noticedAt ?? 0) + 1);
      this.#atOurs(at, async () => {
        call.settledAt = this.#now;
        await run();
        await this.#acquire();
      });
    };
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
      answer(() => driver.settle(grant, { charge: { input: used, output: 0 }, signal: ok }));
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
