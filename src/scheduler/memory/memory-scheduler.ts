// The scheduler in memory: the reference implementation of the port, for one process. Every operation runs to its end
// without waiting for anything, so each is atomic. It is an index of the store: what is lost with the process is
// rebuilt at the next start.
import type { Clock } from "../../domain/clock.ts";
import { type JobId, newToken } from "../../domain/ids.ts";
import type { TokenCount } from "../../domain/tokens.ts";
import { costOn, decide, fairCostOn } from "../admission.ts";
import type { Deployment } from "../deployment.ts";
import type {
  AcquireRequest,
  AcquireResult,
  Explanation,
  Grant,
  QueueEntry,
  RebuildTicket,
  RestampResult,
  RestorePart,
  Scheduler,
  SchedulerConfig,
  SchedulerSnapshot,
  Settlement,
} from "../scheduler.ts";
import { applySignal } from "../signals.ts";
import type { Entry } from "./entry.ts";
import { Explainer } from "./explainer.ts";
import { Fleet } from "./fleet.ts";
import { chargeAll, type Lease, Leases, settleCharges } from "./leases.ts";
import { Rebuild } from "./rebuild.ts";
import { Replies } from "./replies.ts";
import { WaitingRoom } from "./waiting-room.ts";

export interface MemorySchedulerOptions {
  config: SchedulerConfig;
  clock: Clock;
  /** Makes grant tokens; unguessable unless a test needs to know them. */
  token?: () => string;
}

/** Heads of one route that are asked in one acquire whether they fit beside what is booked. */
const headsAsked = 32;
/** Jobs handed out as impossible in one acquire: a model that is gone may have left a million. */
const impossibleAtOnce = 256;

/** A scheduler in memory. It starts closed: a rebuild opens it. */
export function createMemoryScheduler(options: MemorySchedulerOptions): Scheduler {
  return new MemoryScheduler(options);
}

class MemoryScheduler implements Scheduler {
  readonly #clock: Clock;
  readonly #token: () => string;
  #config: SchedulerConfig;
  readonly #fleet: Fleet;
  readonly #waiting: WaitingRoom;
  readonly #leases = new Leases();
  readonly #explainer = new Explainer();
  readonly #replies = new Replies();
  readonly #listeners = new Set<() => void>();
  readonly #rebuild = new Rebuild();

  constructor(options: MemorySchedulerOptions) {
    this.#clock = options.clock;
    this.#token = options.token ?? newToken;
    this.#config = options.config;
    this.#fleet = new Fleet(options.config);
    this.#waiting = new WaitingRoom(options.config, this.#fleet);
  }

  async configure(config: SchedulerConfig): Promise<void> {
    this.#config = config;
    this.#waiting.unbookAll();
    this.#fleet.reconfigure(config);
    this.#waiting.reconfigure(config, this.#fleet);
    this.#wake();
  }

  async weigh(tenants: Record<string, number>): Promise<void> {
    this.#waiting.weigh(tenants);
  }

  async add(entries: readonly QueueEntry[]): Promise<void> {
    const now = this.#now();
    for (const entry of entries) this.#waiting.add(entry, now);
    this.#wake();
  }

  async acquire(request: AcquireRequest): Promise<AcquireResult> {
    return this.#replies.once(`acquire ${request.operation}`, () => this.#acquire(request));
  }

  async restamp(request: { operation: string; jobId: JobId; grant: string }): Promise<RestampResult> {
    return this.#replies.once(`restamp ${request.operation}`, () => {
      const now = this.#tick();
      const lease = this.#leases.liveOf(request);
      if (!lease) return { status: "lost" } as const;
      for (const { quota, charge } of lease.charges) quota.void(charge, now);
      const { deployment, reserved } = lease;
      const admitted = deployment.quotas.every((quota) =>
        quota.admitsBeside(costOn(quota, deployment, reserved), now, request.jobId),
      );
      if (admitted) {
        lease.charges = chargeAll(deployment, reserved, now);
        return { status: "restamped", sendWithinMs: this.#config.sendWithinMs } as const;
      }
      this.#wake();
      return { status: "refused" } as const;
    });
  }

  async renew(leases: readonly { jobId: JobId; grant: string }[]): Promise<("renewed" | "lost")[]> {
    const now = this.#tick();
    return leases.map((asked) => {
      const lease = this.#leases.liveOf(asked);
      // Until everything is put back nobody knows which leases there are.
      if (!lease) return this.#rebuild.isOpen ? "lost" : "renewed";
      lease.expiresAt = now + this.#config.leaseMs;
      return "renewed";
    });
  }

  async settle(settlements: readonly Settlement[]): Promise<("settled" | "lost")[]> {
    const now = this.#tick();
    const answers = settlements.map((settlement) => this.#settle(settlement, now));
    this.#wake();
    return answers;
  }

  async remove(jobIds: readonly JobId[]): Promise<("waiting" | "running" | "absent")[]> {
    const now = this.#tick();
    const answers = jobIds.map((jobId) => {
      const entry = this.#waiting.get(jobId);
      if (!entry) return "absent";
      const was = entry.state === "running" ? "running" : "waiting";
      this.#drop(entry, now);
      return was;
    });
    this.#wake();
    return answers;
  }

  async unpriced(limit: number): Promise<{ jobId: JobId; environment: string; models: readonly string[] }[]> {
    return this.#waiting.unpriced(limit);
  }

  async reprice(prices: readonly { jobId: JobId; tokens: TokenCount }[]): Promise<void> {
    for (const { jobId, tokens } of prices) this.#waiting.reprice(jobId, tokens);
    this.#wake();
  }

  async explain(jobId: JobId): Promise<Explanation> {
    const now = this.#tick();
    const entry = this.#waiting.get(jobId);
    if (!entry) return { state: "absent" };
    if (entry.state === "running") {
      return { state: "running", deployment: this.#leases.live(entry.grant!)!.deployment.id };
    }
    return this.#explainer.explain(entry, {
      now,
      open: this.#rebuild.isOpen,
      queue: this.#waiting.queue,
      route: this.#waiting.routeOf(entry),
    });
  }

  async snapshot(): Promise<SchedulerSnapshot> {
    const now = this.#tick();
    return {
      configVersion: this.#config.version,
      open: this.#rebuild.isOpen,
      ...this.#fleet.snapshot(now),
      depths: this.#waiting.depths(),
      running: this.#leases.size,
    };
  }

  async forget(quota?: string): Promise<void> {
    this.#fleet.forget(quota);
    this.#wake();
  }

  async revive(deployment: string): Promise<void> {
    this.#fleet.revive(deployment);
    this.#wake();
  }

  async beginRebuild(): Promise<RebuildTicket | undefined> {
    const ticket = this.#rebuild.begin(this.#token(), this.#now(), this.#config.leaseMs);
    if (!ticket) return undefined;
    this.#waiting.clear();
    this.#leases.clear();
    this.#fleet.clear();
    return ticket;
  }

  async restore(ticket: RebuildTicket, part: RestorePart): Promise<void> {
    const now = this.#tick();
    if (!this.#rebuild.holds(ticket, now, this.#config.leaseMs)) return;
    for (const learned of part.learned ?? []) this.#fleet.quotas.get(learned.quota)?.learn(learned, now);
    for (const restored of part.charges ?? []) {
      this.#leases.restoreCharges(restored.grant, this.#fleet.restoreCharge(restored, now, this.#clock.wall()));
    }
    for (const entry of part.entries ?? []) this.#waiting.add(entry, now);
    for (const { jobId, grant, deployment } of part.leases ?? []) {
      const entry = this.#waiting.get(jobId);
      const where = this.#fleet.deployments.get(deployment);
      if (!entry || !where || entry.state === "running") continue;
      this.#waiting.leave(entry);
      const lease = this.#lease(entry, grant, where, entry.tokens, this.#leases.restoredCharges(grant), now);
      this.#waiting.queue.charge(entry, lease.fairCost);
    }
  }

  async finishRebuild(ticket: RebuildTicket): Promise<void> {
    if (!this.#rebuild.holds(ticket, this.#now(), this.#config.leaseMs)) return;
    this.#rebuild.finish();
    this.#leases.allRestored();
    this.#wake();
  }

  onWork(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    this.#listeners.clear();
  }

  // -------------------------------------------------------------- taking jobs

  #acquire(request: AcquireRequest): AcquireResult {
    const result: AcquireResult = { grants: [], impossible: [] };
    const now = this.#tick();
    const closedFor = this.#rebuild.closed(now);
    if (closedFor) return { ...result, closed: closedFor };
    this.#waiting.promote(now);

    let askAgainAt = this.#grantBooked(request, result, now);
    const closed = new Set<string>();
    const asked = new Map<string, number>();
    while (result.grants.length < request.max && result.impossible.length < impossibleAtOnce) {
      const candidate = this.#waiting.queue.next((route) => !closed.has(route), request.environments);
      if (!candidate) break;
      const { job } = candidate;
      const route = this.#waiting.routeOf(job);
      const verdict = decide(job, route.tiers, now, request.deployments);
      if (verdict.kind === "admitted") {
        this.#waiting.queue.remove(job);
        result.grants.push(this.#grant(job, verdict.deployment, verdict.model, now));
        continue;
      }
      if (verdict.kind === "impossible") {
        this.#drop(job, now);
        result.impossible.push({ jobId: job.jobId, environment: job.environment, reason: verdict.reason });
        continue;
      }
      askAgainAt = Math.min(askAgainAt, verdict.at);
      const count = (asked.get(job.route) ?? 0) + 1;
      asked.set(job.route, count);
      if (verdict.forAll || count > headsAsked) closed.add(job.route);
      // The first that does not fit gets a start kept free for it, or smaller ones would pass it for ever.
      else if (!route.booked && verdict.on.kind === "quota") this.#waiting.book(job, now, request.deployments);
      else this.#waiting.queue.passOver(candidate);
    }
    this.#waiting.queue.passedOverReturn();

    if (result.grants.length === request.max || result.impossible.length >= impossibleAtOnce) {
      return { ...result, retryInMs: 0 };
    }
    askAgainAt = Math.min(askAgainAt, this.#waiting.nextReadyAt);
    if (this.#leases.size > 0) askAgainAt = Math.min(askAgainAt, this.#leases.nextExpiry);
    if (!Number.isFinite(askAgainAt)) return result;
    return { ...result, retryInMs: Math.max(1, askAgainAt - now) };
  }

  /** Booked jobs have the first word. Answers when the first of those that still wait should ask again. */
  #grantBooked(request: AcquireRequest, result: AcquireResult, now: number): number {
    let askAgainAt = Number.POSITIVE_INFINITY;
    for (const route of this.#waiting.booked) {
      const entry = route.booked!;
      const served = !request.environments || request.environments.includes(entry.environment);
      const verdict = decide(entry, route.tiers, now, request.deployments);
      if (verdict.kind === "impossible") {
        this.#drop(entry, now);
        result.impossible.push({ jobId: entry.jobId, environment: entry.environment, reason: verdict.reason });
      } else if (verdict.kind === "admitted" && served && result.grants.length < request.max) {
        this.#waiting.clearBooking(route);
        result.grants.push(this.#grant(entry, verdict.deployment, verdict.model, now));
      } else {
        askAgainAt = Math.min(askAgainAt, this.#waiting.keepBooking(route, entry, now, served, request.deployments));
        if (served && verdict.kind === "blocked") askAgainAt = Math.min(askAgainAt, verdict.at);
      }
    }
    return askAgainAt;
  }

  #grant(entry: Entry, deployment: Deployment, model: string, now: number): Grant {
    entry.grants += 1;
    const charges = chargeAll(deployment, entry.tokens, now);
    const lease = this.#lease(entry, this.#token(), deployment, { ...entry.tokens }, charges, now, model);
    this.#waiting.queue.charge(entry, lease.fairCost);
    return {
      jobId: entry.jobId,
      environment: entry.environment,
      grant: lease.grant,
      deployment: deployment.id,
      model,
      reserved: lease.reserved,
      sendWithinMs: this.#config.sendWithinMs,
      leaseMs: this.#config.leaseMs,
      grants: entry.grants,
    };
  }

  #lease(
    entry: Entry,
    grant: string,
    deployment: Deployment,
    reserved: TokenCount,
    charges: Lease["charges"],
    now: number,
    model = "",
  ): Lease {
    entry.state = "running";
    entry.grant = grant;
    deployment.running += 1;
    const times = { grantedAt: now, expiresAt: now + this.#config.leaseMs };
    const cost = fairCostOn(deployment, reserved);
    const lease: Lease = { grant, entry, deployment, model, reserved, charges, fairCost: cost, ...times };
    this.#leases.add(lease);
    return lease;
  }

  // -------------------------------------------------------------- leases

  /** Takes a job out altogether. */
  #drop(entry: Entry, now: number): void {
    const lease = entry.grant === undefined ? undefined : this.#leases.live(entry.grant);
    if (lease) this.#release(lease, now);
    else this.#waiting.leave(entry);
    this.#waiting.forget(entry);
  }

  /** Ends a lease; what becomes of the job is up to the caller. Its charges stay. */
  #release(lease: Lease, now: number): void {
    lease.deployment.running -= 1;
    this.#leases.retire(lease, now);
  }

  #expireLeases(now: number): void {
    for (const lease of this.#leases.expired(now)) {
      this.#release(lease, now);
      this.#waiting.enter(lease.entry, now);
    }
  }

  #settle(settlement: Settlement, now: number): "settled" | "lost" {
    const live = this.#leases.liveOf(settlement);
    const lease = live ?? this.#leases.retired(settlement.grant);
    if (lease && !lease.settled) {
      this.#waiting.queue.correct(lease.entry, settleCharges(lease, settlement.charge, now));
      applySignal(lease, settlement.signal, now, this.#fleet.deployments.values());
      lease.settled = live ? "settled" : "lost";
    }
    const entry = this.#waiting.get(settlement.jobId);
    if (live) {
      this.#release(live, now);
      live.entry.grant = undefined;
      if (settlement.job === "ended") this.#drop(live.entry, now);
      else this.#waiting.enter(live.entry, now, settlement.job.requeueAfterMs);
    } else if (entry && settlement.job === "ended") {
      this.#drop(entry, now);
    }
    return lease?.settled ?? "lost";
  }

  // -------------------------------------------------------------- small things

  /** Whole milliseconds, so that charges and windows are counted in integers. */
  #now(): number {
    return Math.floor(this.#clock.now());
  }

  /** What time alone brings about, before anything else is looked at. */
  #tick(): number {
    const now = this.#now();
    this.#fleet.turnDays(now, this.#clock.wall());
    if (this.#rebuild.isOpen) this.#expireLeases(now);
    return now;
  }

  #wake(): void {
    if (!this.#rebuild.isOpen) return;
    for (const listener of this.#listeners) listener();
  }
}
