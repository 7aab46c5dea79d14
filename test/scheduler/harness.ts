// Small configurations and jobs for the scheduler's tests, and a driver that uses only the port.

import type {
  AcquireRequest,
  AcquireResult,
  DeploymentSignal,
  Grant,
  QueueEntry,
  QuotaSnapshot,
  Scheduler,
  SettleAnswer,
  Settlement,
} from "../../src/scheduler/scheduler.ts";
import type { DeploymentConfig, QuotaConfig, SchedulerConfig } from "../../src/scheduler/scheduler-configuration.ts";

/** A scheduler under test, with admission still closed, and the control of its clock. */
export interface Opened {
  scheduler: Scheduler;
  advance(ms: number): Promise<void>;
  cleanup(): Promise<void>;
}

export type Open = (config: SchedulerConfig) => Promise<Opened>;

/** Declares one case of a conformance suite: opens a scheduler with this configuration and closes it afterwards. */
export type Case = (
  name: string,
  config: SchedulerConfig,
  run: (driver: Driver) => Promise<void>,
  options?: { closed: boolean },
) => void;

export const minuteMs = 60_000;
export const hourMs = 60 * minuteMs;
const sendWithinMs = 500;
const networkJitterMs = 300;
/** How long a charge counts against a quota per minute, in ms. */
export const spanMs = minuteMs + sendWithinMs + networkJitterMs;
/** Longer than most cases last, so that no lease ends in them. */
export const leaseMs = 48 * hourMs;

/** A quota on requests per minute without spreading, unless overridden. */
export function quota(name: string, limit: number, parts: Partial<QuotaConfig> = {}): QuotaConfig {
  return { name, unit: "requests", per: "minute", limit, burst: limit, ...parts };
}

export function deployment(id: string, quotas: string[], parts: Partial<DeploymentConfig> = {}): DeploymentConfig {
  return { id, region: "us-east-1", maxConcurrency: 10_000, quotas, outputBurndown: 1, ...parts };
}

/** Every deployment serves the model `m`, unless overridden. */
export function configOf(
  quotas: QuotaConfig[],
  deployments: DeploymentConfig[] = [
    deployment(
      "d",
      quotas.map((q) => q.name),
    ),
  ],
  parts: Partial<SchedulerConfig> = {},
): SchedulerConfig {
  return {
    version: "1",
    quotas,
    deployments,
    models: { m: { deployments: deployments.map((d) => d.id), choice: "headroom" } },
    weights: { environments: {}, priorities: { interactive: 1, standard: 1, batch: 1 }, tenants: {} },
    leaseMs,
    sendWithinMs,
    networkJitterMs,
    ...parts,
  };
}

export function jobId(n: number): string {
  return `00000000-0000-7000-8000-${String(n).padStart(12, "0")}`;
}

export function numberOf(job: { jobId: string }): number {
  return Number(job.jobId.slice(-12));
}

/** Job n was submitted as the nth. It costs one token of input, unless overridden. */
export function job(n: number, parts: Partial<QueueEntry> & { cost?: number } = {}): QueueEntry {
  const { cost = 1, ...rest } = parts;
  return {
    jobId: jobId(n),
    environment: "PROD",
    tenant: "t",
    priority: "standard",
    models: ["m"],
    tokens: { input: cost, output: 0 },
    exact: true,
    order: n,
    ...rest,
  };
}

/** Jobs `from` to `to`, both included. */
export function jobs(from: number, to: number, parts: Partial<QueueEntry> & { cost?: number } = {}): QueueEntry[] {
  return Array.from({ length: to - from + 1 }, (_, i) => job(from + i, parts));
}

export const ok: DeploymentSignal = { kind: "ok" };
export const none: DeploymentSignal = { kind: "none" };

type Filter = Pick<AcquireRequest, "environments" | "deployments">;

export class Driver {
  readonly scheduler: Scheduler;
  readonly advance: (ms: number) => Promise<void>;
  #operations = 0;

  constructor(opened: Opened) {
    this.scheduler = opened.scheduler;
    this.advance = opened.advance;
  }

  operation(): string {
    this.#operations += 1;
    return `operation-${this.#operations}`;
  }

  /** Opens admission by a rebuild from nothing. */
  async open(): Promise<this> {
    await this.scheduler.finishRebuild((await this.scheduler.beginRebuild())!);
    return this;
  }

  add(...entries: QueueEntry[]): Promise<number> {
    return this.scheduler.enqueue(entries);
  }

  acquire(max = 1000, filter: Filter = {}): Promise<AcquireResult> {
    return this.scheduler.acquire({ operation: this.operation(), worker: "w", max, ...filter });
  }

  async grants(max?: number, filter?: Filter): Promise<Grant[]> {
    return (await this.acquire(max, filter)).grants;
  }

  /** Returns the numbers of the granted jobs. */
  async take(max?: number, filter?: Filter): Promise<number[]> {
    return (await this.grants(max, filter)).map(numberOf);
  }

  async takeOne(filter?: Filter): Promise<Grant> {
    const [grant] = await this.grants(1, filter);
    if (!grant) throw new Error("nothing was granted");
    return grant;
  }

  /** Takes this many jobs, one each `stepMs`. A refusal of one of them points to the limit, not to the burst. */
  async takeEvenly(count: number, stepMs: number): Promise<Grant[]> {
    const grants: Grant[] = [];
    for (let i = 0; i < count; i++) {
      grants.push(await this.takeOne());
      await this.advance(stepMs);
    }
    return grants;
  }

  async settle(
    grant: { jobId: string; grant: string },
    parts: Partial<Pick<Settlement, "job" | "charge" | "signal">> = {},
  ): Promise<SettleAnswer> {
    const { jobId: id, grant: token } = grant;
    const settlement = { jobId: id, grant: token, job: "ended", charge: "keep", signal: ok, ...parts } as const;
    return (await this.scheduler.settle([settlement]))[0]!;
  }

  /** Ends all calls successfully; each used what was reserved. */
  async finish(grants: readonly Grant[]): Promise<void> {
    await this.scheduler.settle(
      grants.map(({ jobId, grant, reserved }) => ({ jobId, grant, job: "ended", charge: reserved, signal: ok })),
    );
  }

  /** Runs every job that may start now to its end. Returns their numbers. */
  async run(max?: number, filter?: Filter): Promise<number[]> {
    const grants = await this.grants(max, filter);
    await this.finish(grants);
    return grants.map(numberOf);
  }

  /** Refuses the call: its job is requeued in its position, its request stays charged and its tokens are released. */
  refuse(grant: Grant, signal: DeploymentSignal): Promise<SettleAnswer> {
    return this.settle(grant, { job: { requeueAfterMs: 0 }, charge: { input: 0, output: 0 }, signal });
  }

  recharge(grant: Grant, operation = this.operation()) {
    return this.scheduler.recharge({ operation, jobId: grant.jobId, grant: grant.grant });
  }

  /** Reports that the call has left late. */
  leftLate({ jobId: id, grant }: Grant, operation = this.operation()) {
    return this.scheduler.recharge({ operation, jobId: id, grant, isSent: true });
  }

  async renew(grant: { jobId: string; grant: string }): Promise<"renewed" | "lost"> {
    return (await this.scheduler.renew([grant]))[0]!;
  }

  async quota(name: string): Promise<QuotaSnapshot> {
    return (await this.scheduler.snapshot()).quotas.find((q) => q.name === name)!;
  }

  async used(name: string): Promise<number> {
    return (await this.quota(name)).used;
  }

  async limit(name: string): Promise<number> {
    return (await this.quota(name)).effectiveLimit;
  }

  async deployment(id: string) {
    return (await this.scheduler.snapshot()).deployments.find((d) => d.id === id)!;
  }

  async waiting(id: string) {
    const explanation = await this.scheduler.explain(id);
    if (explanation.state !== "waiting") throw new Error(`the job is ${explanation.state}`);
    return explanation;
  }
}
