// The scheduler in memory: the reference implementation of the port, for one process. Every operation runs to its end
// without waiting, so each is atomic. It is an index of the store: what is lost with the process is rebuilt at the next
// start.
import type { Clock } from "../../domain/clock.ts";
import { type JobId, newToken } from "../../domain/ids.ts";
import type { TokenCount } from "../../domain/tokens.ts";
import { Pauses } from "../pause-scopes.ts";
import type {
  AcquireRequest,
  AcquireResult,
  DeploymentChange,
  Explanation,
  PauseTarget,
  QueueEntry,
  RebuildTicket,
  RechargeRequest,
  RechargeResult,
  RestorePart,
  Scheduler,
  SchedulerSnapshot,
  SettleAnswer,
  Settlement,
} from "../scheduler.ts";
import type { SchedulerConfig } from "../scheduler-configuration.ts";
import { applySignal, refusalOf } from "../signals.ts";
import { type Judgement, judgeRefusal, suspectWaitMs } from "../suspicion.ts";
import { reportWaiting } from "./backlog.ts";
import { Dispatcher } from "./dispatcher.ts";
import type { Situation } from "./estimates.ts";
import { Explainer } from "./explainer.ts";
import { Fleet } from "./fleet.ts";
import { admitsAgain, chargeAgain, type Lease, Leases, settleCharges } from "./leases.ts";
import { Rebuild } from "./memory-rebuild.ts";
import type { Entry } from "./queue-items.ts";
import { Replies } from "./repeated-replies.ts";
import { WaitingJobs } from "./waiting-jobs.ts";

export interface MemorySchedulerOptions {
  config: SchedulerConfig;
  clock: Clock;
  /** Makes grant tokens, which must be unguessable except in tests. Default: random. */
  token?: () => string;
}

/** Creates a scheduler in memory. Its admission is closed until a rebuild finishes. */
export function createMemoryScheduler(options: MemorySchedulerOptions): Scheduler {
  return new MemoryScheduler(options);
}

class MemoryScheduler implements Scheduler {
  readonly #clock: Clock;
  readonly #token: () => string;
  #config: SchedulerConfig;
  /** When the configuration last changed, in milliseconds of the clock. */
  #configuredAt: number;
  readonly #fleet: Fleet;
  readonly #waiting: WaitingJobs;
  readonly #dispatcher: Dispatcher;
  readonly #leases = new Leases();
  readonly #explainer = new Explainer();
  readonly #replies = new Replies();
  readonly #listeners = new Set<() => void>();
  readonly #changeListeners = new Set<(change: DeploymentChange) => void>();
  readonly #rebuild = new Rebuild();
  readonly #pauses = new Pauses();

  constructor(options: MemorySchedulerOptions) {
    this.#clock = options.clock;
    this.#token = options.token ?? newToken;
    this.#config = options.config;
    this.#fleet = new Fleet(options.config);
    this.#waiting = new WaitingJobs(options.config, this.#fleet, this.#pauses);
    this.#dispatcher = new Dispatcher(options.config, this.#waiting, this.#leases, this.#pauses, this.#token);
    this.#configuredAt = this.#now();
    this.#dispatcher.impossibleFrom = this.#impossibleFrom;
  }

  async configure(config: SchedulerConfig): Promise<void> {
    if (config.version !== this.#config.version) this.#configuredAt = this.#now();
    this.#config = config;
    this.#dispatcher.config = config;
    this.#dispatcher.impossibleFrom = this.#impossibleFrom;
    this.#waiting.unbookAll();
    this.#fleet.reconfigure(config);
    this.#followPauses();
    this.#waiting.reconfigure(config, this.#fleet);
    this.#notifyChanges();
    this.#wake();
  }

  async setTenantWeights(tenants: Record<string, number>): Promise<void> {
    this.#waiting.setTenantWeights(tenants);
  }

  async enqueue(entries: readonly QueueEntry[]): Promise<number> {
    const added = this.#waiting.addAll(entries, this.#now());
    this.#wake();
    return added;
  }

  async acquire(request: AcquireRequest): Promise<AcquireResult> {
    return this.#replies.once(`acquire ${request.operation}`, () => {
      const now = this.#tick();
      const closed = this.#rebuild.closed(now);
      return closed ? { grants: [], impossible: [], closed } : this.#dispatcher.acquire(request, now);
    });
  }

  async recharge(request: RechargeRequest): Promise<RechargeResult> {
    return this.#replies.once(`recharge ${request.operation}`, () => {
      const now = this.#tick();
      const lease = this.#leases.liveOf(request);
      if (!lease) return { status: "lost" } as const;
      for (const { quota, charge } of lease.charges) quota.void(charge, now);
      lease.wasLate = request.isSent ?? false;
      if (lease.wasLate || admitsAgain(lease, now)) {
        chargeAgain(lease, now);
        return { status: "recharged", sendWithinMs: this.#config.sendWithinMs } as const;
      }
      this.#wake();
      return { status: "refused" } as const;
    });
  }

  async renew(leases: readonly { jobId: JobId; grant: string }[]): Promise<("renewed" | "lost")[]> {
    const now = this.#tick();
    return leases.map((request) => {
      const lease = this.#leases.liveOf(request);
      // Until everything is restored, the set of leases is not known.
      if (!lease) return !this.#rebuild.isOpen || this.#dispatcher.resume(request, now) ? "renewed" : "lost";
      lease.expiresAt = now + this.#config.leaseMs;
      return "renewed";
    });
  }

  async settle(settlements: readonly Settlement[]): Promise<SettleAnswer[]> {
    const now = this.#tick();
    const answers = settlements.map((settlement) => this.#settle(settlement, now));
    this.#notifyChanges();
    this.#wake();
    return answers;
  }

  async remove(jobIds: readonly JobId[]): Promise<("waiting" | "running" | "absent")[]> {
    const now = this.#tick();
    const answers = jobIds.map((jobId) => {
      const entry = this.#waiting.get(jobId);
      if (!entry) return "absent";
      const state = entry.state === "running" ? "running" : "waiting";
      this.#drop(entry, now);
      return state;
    });
    this.#wake();
    return answers;
  }

  async listUncounted(limit: number): Promise<{ jobId: JobId; environment: string; models: readonly string[] }[]> {
    return this.#waiting.listUncounted(limit);
  }

  async setTokenCounts(counts: readonly { jobId: JobId; tokens: TokenCount }[]): Promise<void> {
    for (const { jobId, tokens } of counts) this.#waiting.setTokenCounts(jobId, tokens);
    this.#wake();
  }

  async explain(jobId: JobId): Promise<Explanation> {
    const now = this.#tick();
    const entry = this.#waiting.get(jobId);
    return entry ? this.#explain(entry, now) : { state: "absent" };
  }

  #explain(entry: Entry, now: number, more = 0): Explanation {
    if (entry.state === "running") {
      return { state: "running", deployment: this.#leases.live(entry.grant!)!.deployment.id };
    }
    return this.#explainer.explain(entry, { ...this.#situationOf(entry, now), queue: this.#waiting.queue, more });
  }

  #situationOf(entry: Entry, now: number): Situation {
    const open = this.#rebuild.isOpen;
    const paused = this.#pauses.ofOwner(entry);
    return { now, open, paused, route: this.#waiting.routeOf(entry), applicant: this.#waiting.applicant(entry) };
  }

  async estimatePosition(entry: QueueEntry, more = 0): Promise<Explanation> {
    const now = this.#tick();
    const isKnown = this.#waiting.get(entry.jobId) !== undefined;
    const added = this.#waiting.add(entry, now);
    const explanation = this.#explain(added, now, isKnown ? 0 : more);
    if (!isKnown) {
      this.#waiting.leave(added);
      this.#waiting.drop(added);
    }
    return explanation;
  }

  async update(entry: QueueEntry): Promise<"waiting" | "running"> {
    const answer = this.#waiting.update(entry, this.#tick());
    this.#wake();
    return answer;
  }

  async snapshot(): Promise<SchedulerSnapshot> {
    const now = this.#tick();
    return {
      configVersion: this.#config.version,
      open: this.#rebuild.isOpen,
      ...this.#fleet.snapshot(now),
      ...reportWaiting(this.#waiting, this.#pauses, now, (entry) => this.#situationOf(entry, now)),
      running: this.#leases.size,
      paused: this.#pauses.list(),
      missingModels: this.#waiting.routes
        .missingModels()
        .map((missing) => ({ ...missing, failInMs: Math.max(0, this.#impossibleFrom - now) })),
    };
  }

  async resetLearnedLimits(quota?: string): Promise<void> {
    this.#fleet.resetLearnedLimits(quota);
    this.#wake();
  }

  async reinstate(deployment: string): Promise<void> {
    this.#fleet.reinstate(deployment);
    this.#notifyChanges();
    this.#wake();
  }

  async pause(target: PauseTarget): Promise<void> {
    this.#setPaused([target], true);
  }

  async resume(target: PauseTarget): Promise<void> {
    this.#setPaused([target], false);
  }

  #setPaused(targets: readonly PauseTarget[], isPaused: boolean): void {
    this.#waiting.unbookAll();
    for (const target of targets) this.#pauses.set(target, isPaused);
    this.#followPauses();
    this.#wake();
  }

  #followPauses(): void {
    for (const deployment of this.#fleet.deployments.values()) {
      deployment.paused = this.#pauses.has({ deployment: deployment.id });
    }
    this.#waiting.routes.followPauses();
  }

  async beginRebuild(): Promise<RebuildTicket | undefined> {
    const ticket = this.#rebuild.begin(this.#token(), this.#now(), this.#config.leaseMs);
    if (!ticket) return undefined;
    this.#waiting.clear();
    this.#leases.clear();
    this.#fleet.clear();
    this.#followPauses();
    return ticket;
  }

  async restore(ticket: RebuildTicket, part: RestorePart): Promise<void> {
    const now = this.#tick();
    if (!this.#rebuild.extend(ticket, now, this.#config.leaseMs)) return;
    if (part.paused?.length) this.#setPaused(part.paused, true);
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
      const lease = this.#dispatcher.lease(entry, grant, where, entry.tokens, this.#leases.restoredCharges(grant), now);
      this.#waiting.queue.charge(entry, lease.fairCost);
    }
  }

  async finishRebuild(ticket: RebuildTicket): Promise<void> {
    if (!this.#rebuild.extend(ticket, this.#now(), this.#config.leaseMs)) return;
    this.#rebuild.finish();
    this.#leases.allRestored();
    this.#wake();
  }

  onWork(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  onDeploymentChange(listener: (change: DeploymentChange) => void): () => void {
    this.#changeListeners.add(listener);
    return () => this.#changeListeners.delete(listener);
  }

  async close(): Promise<void> {
    this.#changeListeners.clear();
    this.#listeners.clear();
  }

  // -------------------------------------------------------------- leases

  /** Removes a job altogether. Its lease, if any, is lost. */
  #drop(entry: Entry, now: number): void {
    const lease = entry.grant === undefined ? undefined : this.#leases.live(entry.grant);
    if (lease) this.#release(lease, now);
    else this.#waiting.leave(entry);
    this.#waiting.drop(entry);
  }

  /** Ends a lease. The caller decides what becomes of the job. The charges stay. */
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

  #settle(settlement: Settlement, now: number): SettleAnswer {
    const live = this.#leases.liveOf(settlement);
    const lease = live ?? this.#leases.retired(settlement.grant);
    let judgement: Judgement | undefined;
    if (lease && !lease.settled) {
      this.#waiting.queue.correct(lease.entry, settleCharges(lease, settlement.charge, now));
      if (live && settlement.job !== "ended") judgement = this.#judge(live, settlement.signal, now);
      if (judgement?.blamed ?? true) {
        applySignal(lease, settlement.signal, now, this.#fleet.deployments.values(), judgement);
      }
      lease.settled = judgement?.rejected ? "rejected" : live ? "settled" : "lost";
    }
    const entry = this.#waiting.get(settlement.jobId);
    if (live) {
      this.#release(live, now);
      live.entry.grant = undefined;
      if (settlement.job === "ended" || judgement?.rejected) this.#drop(live.entry, now);
      else {
        const { quotas } = live.deployment;
        const closedForMs = Math.max(0, ...quotas.map((quota) => quota.learning.closedUntil - now));
        const isServed = live.deployment.inService(now);
        const waitMs = judgement ? suspectWaitMs(judgement.suspect, isServed, closedForMs) : 0;
        this.#waiting.enter(live.entry, now, Math.max(settlement.job.requeueAfterMs, waitMs));
      }
    } else if (entry && settlement.job === "ended") {
      this.#drop(entry, now);
    }
    return lease?.settled ?? "lost";
  }

  /** Judges whose fault a refusal is. Returns undefined if the signal is no refusal. */
  #judge({ entry, deployment, grantedAt }: Lease, signal: Settlement["signal"], now: number): Judgement | undefined {
    const refusal = refusalOf(signal, deployment, now);
    if (!refusal) return undefined;
    const { suspects } = this.#waiting;
    const answeredAt = (id: string) => this.#fleet.deployments.get(id)?.answeredAt ?? Number.NEGATIVE_INFINITY;
    const judgement = judgeRefusal(suspects.get(entry.jobId), refusal, deployment.id, grantedAt, answeredAt);
    suspects.set(entry.jobId, judgement.suspect);
    return judgement;
  }

  // -------------------------------------------------------------- helpers

  get #impossibleFrom(): number {
    return this.#configuredAt + (this.#config.missingModelWaitMs ?? 0);
  }

  /** Whole milliseconds, so that charges and windows are counted in integers. */
  #now(): number {
    return Math.floor(this.#clock.now());
  }

  /** Applies what the passage of time causes: daily resets and expired leases. Every operation calls it first. */
  #tick(): number {
    const now = this.#now();
    this.#fleet.rollDays(now, this.#clock.wall());
    if (this.#rebuild.isOpen) this.#expireLeases(now);
    return now;
  }

  #notifyChanges(): void {
    for (const deployment of this.#fleet.deployments.values()) {
      const change = deployment.takeChange();
      if (change) for (const listener of this.#changeListeners) listener(change);
    }
  }

  #wake(): void {
    if (!this.#rebuild.isOpen) return;
    for (const listener of this.#listeners) listener();
  }
}
