// The port to the heart: which job goes next, where, and when.
//
// A scheduler is an index of the store that can be rebuilt at any time. It holds ids, costs and quota usage, never a
// prompt. Dispatcher a job and charging its quotas is one atomic step. All times at this port are durations in
// milliseconds: callers and scheduler need not agree on a clock. Every operation may be repeated when its reply was
// lost: jobs by their id, grants by their token, acquire and recharge by an operation id.
// Held to its word by test/scheduler/conformance.ts, which every adapter runs.
import type { JobId } from "../domain/ids.ts";
import type { Priority } from "../domain/job.ts";
import type { TokenCount } from "../domain/tokens.ts";
import type { QuotaUnit, SchedulerConfig } from "./scheduler-configuration.ts";

export interface Scheduler {
  /** Takes over a configuration. Jobs, leases, usage and learned limits stay; quotas are matched by name. */
  configure(config: SchedulerConfig): Promise<void>;

  /**
   * Sets weights of tenants over those of the configuration, whichever that is from now on. They stand in place of all
   * that were set before; who is not among them has the configuration's weight again. A Redis that lost everything has
   * lost them as well, so they are to be set again now and then.
   */
  setTenantWeights(tenants: Record<string, number>): Promise<void>;

  /** Puts jobs into the queue. A job that is waiting or running already is left as it is. */
  enqueue(entries: readonly QueueEntry[]): Promise<void>;

  /**
   * Takes up to `max` jobs that may be called now. In one step per job: pick it by fair shares, find a deployment all of
   * whose quotas admit its cost, take it from the queue, charge, lease. Nothing is charged unless a job is taken.
   */
  acquire(request: AcquireRequest): Promise<AcquireResult>;

  /**
   * A worker that comes too late to send (`sendWithinMs` has passed) moves its charge to now, if the quotas admit that
   * now; otherwise the charge is taken back and the worker has to settle the grant.
   */
  recharge(request: { operation: string; jobId: JobId; grant: string }): Promise<RechargeResult>;

  /**
   * Prolongs leases by a full lease period. The answers are in the order of the argument. A lease that has expired comes
   * back if its job still waits: no other worker has been granted it, so the call that runs is the only one. While
   * admission is closed no lease is called lost, because nobody knows yet which there are.
   */
  renew(leases: readonly { jobId: JobId; grant: string }[]): Promise<("renewed" | "lost")[]>;

  /**
   * Ends grants: what becomes of the job, what of the charge, and what was seen of the deployment. Answers `lost` for a
   * grant that had expired or been replaced: then a requeue is ignored, but charge and signal still count, and
   * `ended` still takes the job out, because an answer that was paid for is an answer. Answers `rejected` if the
   * refusals of the job turn out to be its own fault (see suspicion.ts): it is out of the queue, and the caller fails it.
   */
  settle(settlements: readonly Settlement[]): Promise<SettleAnswer[]>;

  /** Takes a job out because it ended by other means (cancelled, expired, found ended). Its lease, if any, is lost. */
  remove(jobIds: readonly JobId[]): Promise<("waiting" | "running" | "absent")[]>;

  /**
   * Waiting jobs near the heads of their queues whose cost is still an estimate, for somebody to count exactly.
   * `models` are the entry's: how many tokens a text has depends on who reads it.
   */
  listUncounted(limit: number): Promise<{ jobId: JobId; environment: string; models: readonly string[] }[]>;

  /** Replaces the estimate of waiting jobs by an exact count. Other jobs are left as they are. */
  setTokenCounts(counts: readonly { jobId: JobId; tokens: TokenCount }[]): Promise<void>;

  /** Where a job stands. From a snapshot made at most once a second, so that asking costs the queue nothing. */
  explain(jobId: JobId): Promise<Explanation>;

  /**
   * Where a job would stand if it were added now, and so many more that cost the same right before it. Nothing is added.
   * @param more a whole number; default 0
   */
  estimatePosition(entry: QueueEntry, more?: number): Promise<Explanation>;

  /**
   * Gives a job that waits another priority or delay, those of the entry, with its count of tokens as it is; its place is
   * the one that it would have if it had been added so. A job that is not known is added. One that runs is left as it is.
   */
  update(entry: QueueEntry): Promise<"waiting" | "running">;

  /** Deployments, quotas in use, learned limits, depths. */
  snapshot(): Promise<SchedulerSnapshot>;

  /** Forgets what was learned about a quota (or all): its effective limit is the configured one again. */
  resetLearnedLimits(quota?: string): Promise<void>;

  /** Puts a deployment that was taken out of service, cools down or is parked back at once, and opens its quotas. */
  reinstate(deployment: string): Promise<void>;

  /**
   * Grants nothing of it any more until it is resumed; what runs goes on. Pausing what is paused changes nothing. It
   * holds through a rebuild; to outlive an emptied scheduler it is given back by `restore`.
   */
  pause(target: PauseTarget): Promise<void>;
  resume(target: PauseTarget): Promise<void>;

  /**
   * Starts a rebuild: admission closes (acquire grants nothing) and everything known is dropped. Leases come back by
   * `restore`. Answers undefined if another process is rebuilding; one that was not heard of for a lease period has
   * given up.
   */
  beginRebuild(): Promise<RebuildTicket | undefined>;
  /** Adds usage, learned limits and waiting jobs to what is being rebuilt. May be called many times. */
  restore(ticket: RebuildTicket, part: RestorePart): Promise<void>;
  /** Opens admission. */
  finishRebuild(ticket: RebuildTicket): Promise<void>;

  /** Calls the listener when acquire may have something new to give. Returns the function that ends it. */
  onWork(listener: () => void): () => void;

  /**
   * Calls the listener when a deployment stops serving or serves again: in the process whose operation brought that
   * about, once for each change. Returns the function that ends it.
   */
  onDeploymentChange(listener: (change: DeploymentChange) => void): () => void;

  close(): Promise<void>;
}

// ---------------------------------------------------------------- jobs and grants

export interface QueueEntry {
  jobId: JobId;
  environment: string;
  tenant: string;
  priority: Priority;
  /** Aliases: the job's own, then its fallbacks in order (used only when no deployment of those before is in service). */
  models: string[];
  /** Regions that may serve it; absent means any. */
  regions?: string[];
  /** Input tokens (estimated or counted) and max_tokens. */
  tokens: TokenCount;
  /** Whether `tokens` was counted exactly. */
  exact: boolean;
  /** Place in the flow: by (order, jobId). The time of submission. */
  order: number;
  /** Not to be granted for so long. */
  delayMs?: number;
}

export interface AcquireRequest {
  /** Unique per call; a repeated call gets the same grants. */
  operation: string;
  worker: string;
  max: number;
  /** Only jobs of these environments, only on these deployments; absent means all. */
  environments?: readonly string[];
  deployments?: readonly string[];
}

export interface AcquireResult {
  grants: Grant[];
  /**
   * Jobs taken out because no quota of their own model can ever admit them (the configuration was lowered, or the model
   * is gone), and none did for `missingModelWaitMs`. The caller fails them. Some hundreds at a time.
   */
  impossible: { jobId: JobId; environment: string; reason: string }[];
  /** Ask again after this long, or when `onWork` says so; absent if nothing waits. 0 if there may be more right now. */
  retryInMs?: number;
  /** Admission is closed: a rebuild is needed (`rebuild`) or under way (`rebuilding`). */
  closed?: "rebuild" | "rebuilding";
}

/** The time-limited, fenced right of one worker to run one job. */
export interface Grant {
  jobId: JobId;
  environment: string;
  /** The fence: unguessable, new for every grant. */
  grant: string;
  deployment: string;
  /** The alias that the deployment serves: the job's own or a fallback. */
  model: string;
  /** What was charged. */
  reserved: TokenCount;
  /** The call must leave within this time of when `acquire` was called, or be recharged. */
  sendWithinMs: number;
  /** The lease ends after this long unless renewed. */
  leaseMs: number;
  /** How often the job has been granted, this time included (since the last rebuild). */
  grants: number;
}

export type RechargeResult =
  | { status: "recharged"; sendWithinMs: number }
  /**
   * The quotas do not admit it now: the charge is taken back. The lease stays until it is settled, so that nobody else
   * begins the job before it is on record that this attempt was not sent.
   */
  | { status: "refused" }
  /** The lease is no longer ours. */
  | { status: "lost" };

export interface Settlement {
  jobId: JobId;
  grant: string;
  /** `ended`: the outcome is stored. Otherwise back to its own place, ready after a delay. */
  job: "ended" | { requeueAfterMs: number };
  /** Real usage; or `keep` the reservation because usage is unknown; or `void` it because nothing was sent. */
  charge: { input: number; output: number; cacheWrite?: number } | "keep" | "void";
  signal: DeploymentSignal;
}

export type SettleAnswer = "settled" | "lost" | "rejected";

/** What a call showed about its deployment. */
export type DeploymentSignal =
  | { kind: "ok" }
  /** Nothing new (aborted, not sent, the request's own fault). */
  | { kind: "none" }
  /**
   * Our quota: its limit or its burst is learned; without a kind, of the fullest. `tokens_per_day` parks every
   * deployment that shares a quota per day with this one, or its daily pool if it has none: 15 minutes at first, doubled
   * up to an hour while it goes on.
   */
  | { kind: "throttled"; throttle: "requests" | "tokens" | "tokens_per_day" | "unknown"; retryAfterMs?: number }
  /** The provider's capacity: the deployment cools down, exponentially. */
  | { kind: "capacity"; reason?: string; retryAfterMs?: number }
  /** It cannot work: out of service until reinstated, reconfigured, or tried again after some minutes. */
  | { kind: "misconfigured"; reason: string }
  /** Refused, and the words do not tell whether by the job's or the deployment's fault: other jobs show it. */
  | { kind: "refused"; reason: string };

// ---------------------------------------------------------------- what it says about itself

export type Explanation =
  | { state: "absent" }
  | { state: "running"; deployment: string }
  | {
      state: "waiting";
      /** 1: next among all the jobs it competes with. An estimate from the fair shares. */
      position: number;
      waitingOn: WaitingOn;
      /** Expected start, from now; absent if nothing can be said (out of service). */
      startsInMs?: number;
    };

export type WaitingOn =
  /** It may start at any moment. */
  | { kind: "turn" }
  | { kind: "quota"; deployment: string; quota: string }
  | { kind: "concurrency"; deployment: string }
  | { kind: "cool_down"; deployment: string; reason: string }
  | { kind: "out_of_service"; deployment: string; reason: string }
  /** A deployment refused it; it is called again in a while, and fails if that deployment serves others meanwhile. */
  | { kind: "refused"; deployment: string; reason: string }
  /** No deployment of the configuration can ever serve it. It waits for another configuration, and fails in the end. */
  | { kind: "configuration"; reason: string }
  /** Others are due before it. */
  | { kind: "fairness" }
  /** An operator has paused it. */
  | { kind: "paused"; target: PauseTarget }
  /** Retry or not_before. */
  | { kind: "delay" }
  | { kind: "rebuild" };

/** Jobs of a model (their own, not a fallback), calls to a deployment, or jobs of a tenant: in one environment, or in all. */
export type PauseTarget = { model: string } | { deployment: string } | { tenant: string; environment?: string };

export interface SchedulerSnapshot {
  configVersion: string;
  open: boolean;
  deployments: DeploymentSnapshot[];
  quotas: QuotaSnapshot[];
  /** Waiting jobs by environment and priority. */
  depths: { environment: string; priority: Priority; ready: number; delayed: number }[];
  running: number;
  paused: PauseTarget[];
  /** What the operator should change about the scheduler's server, in sentences without a full stop. Absent if nothing. */
  advice?: string[];
  /** Models that jobs wait for and that no deployment serves; by name. */
  missingModels: MissingModel[];
}

export interface MissingModel {
  model: string;
  jobs: number;
  /** Until these jobs are impossible. */
  failInMs: number;
}

export type DeploymentState = "in_service" | "cooling_down" | "out_of_service";

export interface DeploymentSnapshot {
  id: string;
  running: number;
  maxConcurrency: number;
  /** One that was out of service is until a call on trial is answered. */
  state: DeploymentState;
  reason?: string;
  /** Until it is tried again; 0 while it is. */
  forMs?: number;
}

export interface DeploymentChange {
  deployment: string;
  state: DeploymentState;
  /** Why it does not serve, or did not until now. */
  reason: string;
}

export interface QuotaSnapshot {
  name: string;
  unit: QuotaUnit;
  per: "minute" | "day";
  configuredLimit: number;
  /** After learning. */
  effectiveLimit: number;
  configuredBurst: number;
  /** After learning: what goes at once if the limit is the configured one, and in proportion if it is lower. */
  effectiveBurst: number;
  /** More is tried than is known to work. */
  probing: boolean;
  /** When the provider refused because of it last; absent if it never did. */
  throttledAgoMs?: number;
  /** Nothing is admitted for so long, because the provider refused; absent if it is open. */
  closedForMs?: number;
  /** Charged within the current window: reservations in flight + settled. */
  used: number;
  /** Until the next charge ages out; absent if none is on record. */
  nextFreeInMs?: number;
}

// ---------------------------------------------------------------- rebuild

export interface RebuildTicket {
  readonly id: string;
}

export interface RestorePart {
  entries?: readonly QueueEntry[];
  /** Calls of the last window (and day). */
  charges?: readonly RestoredCharge[];
  learned?: readonly LearnedLimit[];
  paused?: readonly PauseTarget[];
  /**
   * Attempts without a known end: for one lease period they are neither granted again nor queued, so that a worker that
   * is still alive can re-assert its lease first. Their jobs must be among `entries`.
   */
  leases?: readonly { jobId: JobId; grant: string; deployment: string }[];
}

export interface RestoredCharge {
  deployment: string;
  /** How long ago it was charged. */
  agoMs: number;
  /** What it used, or the reservation if that is not known. */
  tokens: TokenCount;
  /** Whether `tokens` is real usage (burndown applies) or a reservation. */
  settled: boolean;
  /** So that a later settlement finds it. */
  grant: string;
}

/** As `QuotaSnapshot` shows it. What is absent was not learned. */
export interface LearnedLimit {
  quota: string;
  effectiveLimit?: number;
  effectiveBurst?: number;
  throttledAgoMs?: number;
  closedForMs?: number;
}
