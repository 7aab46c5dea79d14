// The scheduler's port: decides which job runs next, on which deployment, and when.
// A scheduler is an index of the store that can be rebuilt at any time.
//
// It holds ids, costs and quota usage, never a prompt. Dispatching a job and charging its quotas is one atomic step.
// All times at this port are durations in milliseconds, so callers and scheduler need not agree on a clock.
//
// A caller that lost a reply may repeat any operation. Jobs are matched by id, grants by token, acquire and recharge by
// an operation id. Every adapter runs the conformance suite in test/scheduler/conformance.ts.
import type { JobId } from "../domain/ids.ts";
import type { Priority } from "../domain/job.ts";
import type { TokenCount } from "../domain/tokens.ts";
import type { SchedulerConfig } from "./scheduler-configuration.ts";
import type { DeploymentChange, Explanation, PauseTarget, SchedulerSnapshot } from "./scheduler-reports.ts";

export type * from "./scheduler-reports.ts";

export interface Scheduler {
  /** Replaces the configuration. Jobs, leases, usage and learned limits stay; quotas are matched by name. */
  configure(config: SchedulerConfig): Promise<void>;

  /**
   * Sets weights of tenants that override those of the present and every later configuration. Each call replaces all
   * weights of earlier calls; a tenant that is missing gets the configuration's weight again. A Redis that lost its
   * data has lost these weights too, so set them again regularly.
   */
  setTenantWeights(tenants: Record<string, number>): Promise<void>;

  /**
   * Adds jobs to the queue. Ignores a job that is already waiting or running.
   * @returns the number of jobs that were added
   */
  enqueue(entries: readonly QueueEntry[]): Promise<number>;

  /**
   * Dispatches up to `max` jobs that may run now.
   * Each job is one step: pick it by fair shares, find a deployment whose quotas all admit its cost, dequeue it, charge
   * it, lease it. Nothing is charged unless a job is granted.
   */
  acquire(request: AcquireRequest): Promise<AcquireResult>;

  /**
   * Moves a grant's charge to now. A worker calls this when `sendWithinMs` has passed before it sent the call. If the
   * quotas do not admit the cost now, the charge is released and the worker must settle the grant.
   */
  recharge(request: RechargeRequest): Promise<RechargeResult>;

  /**
   * Extends leases by a full lease period and answers in the order of the argument.
   * An expired lease is revived if its job still waits: no other worker has the job, so the running call is the only
   * one. While admission is closed no lease is reported lost, because the set of leases is not yet known.
   */
  renew(leases: readonly { jobId: JobId; grant: string }[]): Promise<("renewed" | "lost")[]>;

  /**
   * Ends grants: says what becomes of the job, what was used of the charge, and what the call showed about its
   * deployment.
   * Answers `lost` for a grant that expired or was replaced. Then a requeue is ignored, but charge and signal still
   * count. `ended` still removes the job, because its answer was paid for.
   * Answers `rejected` if the job's refusals turn out to be its own fault (see suspicion.ts). The job has then left the
   * queue, and the caller fails it.
   */
  settle(settlements: readonly Settlement[]): Promise<SettleAnswer[]>;

  /** Removes jobs that ended by other means (cancelled, expired, found ended). A lease of such a job is lost. */
  remove(jobIds: readonly JobId[]): Promise<("waiting" | "running" | "absent")[]>;

  /**
   * Returns waiting jobs near the heads of their queues whose cost is still an estimate, so that the caller can count
   * their tokens. `models` are the entry's, because the number of tokens in a text depends on the model.
   */
  listUncounted(limit: number): Promise<{ jobId: JobId; environment: string; models: readonly string[] }[]>;

  /** Replaces the estimated tokens of waiting jobs by an exact count. Ignores other jobs. */
  setTokenCounts(counts: readonly { jobId: JobId; tokens: TokenCount }[]): Promise<void>;

  /**
   * Returns a job's queue position and what it waits for. Uses a snapshot that is at most a second old, so that calls
   * do not slow the queue.
   */
  explain(jobId: JobId): Promise<Explanation>;

  /**
   * Returns the position that a job would get if it were enqueued now, behind `more` jobs of the same cost. Adds
   * nothing.
   * @param more a whole number; default 0
   */
  estimatePosition(entry: QueueEntry, more?: number): Promise<Explanation>;

  /**
   * Gives a waiting job the priority and delay of `entry`, and the position it would have had with them from the start.
   * Keeps its token count. Adds a job that is not known and leaves a running one as it is.
   */
  update(entry: QueueEntry): Promise<"waiting" | "running">;

  /**
   * Returns deployments, quota usage, learned limits and what waits. Its work does not grow with the number of waiting
   * jobs.
   */
  snapshot(): Promise<SchedulerSnapshot>;

  /** Resets what was learned about one quota, or about all: the effective limit is the configured one again. */
  resetLearnedLimits(quota?: string): Promise<void>;

  /** Returns a deployment to service at once if it is out of service, cooling down or parked, and opens its quotas. */
  reinstate(deployment: string): Promise<void>;

  /**
   * Stops granting jobs of a model, deployment or tenant until it is resumed. Running calls continue; pausing twice
   * changes nothing. A pause survives a rebuild. To survive an emptied scheduler it must be passed to `restore`.
   */
  pause(target: PauseTarget): Promise<void>;
  /** Grants jobs of a paused model, deployment or tenant again. Resuming what is not paused changes nothing. */
  resume(target: PauseTarget): Promise<void>;

  /**
   * Starts a rebuild: closes admission, so acquire grants nothing, and drops everything known. `restore` brings leases
   * back. Returns undefined while another process is rebuilding. That process loses the rebuild when it has restored
   * nothing for a lease period.
   */
  beginRebuild(): Promise<RebuildTicket | undefined>;
  /** Adds usage, learned limits and waiting jobs to the rebuild. May be called any number of times. */
  restore(ticket: RebuildTicket, part: RestorePart): Promise<void>;
  /** Ends the rebuild and opens admission. */
  finishRebuild(ticket: RebuildTicket): Promise<void>;

  /**
   * Calls the listener when acquire may have something new to grant. Among several processes, a job notifies one whose
   * last acquire granted less than it asked for. A process is notified at most once until its next acquire. A notice
   * may be lost, so callers also ask again after some seconds. Returns a function that removes the listener.
   */
  onWork(listener: () => void): () => void;

  /**
   * Calls the listener once for each time a deployment leaves service or returns to it. Only the process whose
   * operation caused the change is notified. Returns a function that removes the listener.
   */
  onDeploymentChange(listener: (change: DeploymentChange) => void): () => void;

  /** Removes all listeners and closes the connections that the scheduler opened. */
  close(): Promise<void>;
}

// ---------------------------------------------------------------- jobs and grants

export interface QueueEntry {
  jobId: JobId;
  environment: string;
  tenant: string;
  priority: Priority;
  /**
   * Aliases: the job's own, then its fallbacks in order. A fallback is used only if no deployment of the earlier
   * aliases is in service.
   */
  models: string[];
  /** Regions that may serve the job. Default: any. */
  regions?: string[];
  /** Foundation model that must serve the job. Only deployments with the same `baseModel` do. Default: any. */
  baseModel?: string;
  /** Input tokens (estimated or counted) and max_tokens. */
  tokens: TokenCount;
  /** Whether `tokens` was counted exactly. */
  exact: boolean;
  /** Sorts the jobs of a flow, with `jobId` to break ties. It is the time of submission. */
  order: number;
  /** Time before the job may be granted. Default: 0. */
  delayMs?: number;
}

export interface AcquireRequest {
  /** Unique per call. A repeated call returns the same grants. */
  operation: string;
  worker: string;
  max: number;
  /** Grants only jobs of these environments, only on these deployments. Default: all. */
  environments?: readonly string[];
  deployments?: readonly string[];
}

export interface AcquireResult {
  grants: Grant[];
  /**
   * Jobs that were removed because no quota of their own model can ever admit them, and none did for
   * `missingModelWaitMs`. Either the configured limits were lowered or the model was removed. The caller fails these
   * jobs. One call returns at most a few hundred.
   */
  impossible: { jobId: JobId; environment: string; reason: string }[];
  /**
   * Time after which to call again, unless `onWork` fires first. 0 if there may be more right now; absent if nothing
   * waits or runs.
   */
  retryInMs?: number;
  /** Whether jobs still wait, in any environment. Absent: no job waits. */
  jobsWait?: true;
  /**
   * Why admission is closed: a rebuild is needed (`rebuild`) or in progress (`rebuilding`). Absent while it is open.
   */
  closed?: "rebuild" | "rebuilding";
}

/** The time-limited, fenced right of one worker to run one job. */
export interface Grant {
  jobId: JobId;
  environment: string;
  /** The fencing token: unguessable, and new for every grant. */
  grant: string;
  deployment: string;
  /** The alias that the deployment serves: the job's own or a fallback. */
  model: string;
  /** The tokens that were charged. */
  reserved: TokenCount;
  /** Time from the call of `acquire` within which the worker must send the call or recharge. */
  sendWithinMs: number;
  /** Time after which the lease ends unless it is renewed. */
  leaseMs: number;
  /** How many times the job was granted since the last rebuild, this grant included. */
  grants: number;
}

export interface RechargeRequest {
  /** Unique per call. A repeated call returns the same result. */
  operation: string;
  jobId: JobId;
  grant: string;
  /**
   * Whether the call has already left, later than `sendWithinMs` allows. Then its charge moves even if no quota admits
   * it, so no later call gets too close to it. If the provider refuses it, nothing is lowered. Default: false.
   */
  isSent?: boolean;
}

export type RechargeResult =
  | { status: "recharged"; sendWithinMs: number }
  /**
   * The quotas do not admit the cost now, so the charge is released. The lease stays until it is settled, so that no
   * other worker starts the job before the store records that this attempt was not sent.
   */
  | { status: "refused" }
  /** The lease no longer belongs to the caller. */
  | { status: "lost" };

export interface Settlement {
  jobId: JobId;
  grant: string;
  /** `ended` if the outcome is stored. Otherwise the job is requeued in its own position, ready after a delay. */
  job: "ended" | { requeueAfterMs: number };
  /** Real usage. `keep` keeps the reservation because usage is unknown; `void` cancels it because nothing was sent. */
  charge: { input: number; output: number; cacheWrite?: number } | "keep" | "void";
  signal: DeploymentSignal;
}

export type SettleAnswer = "settled" | "lost" | "rejected";

/** What a call showed about its deployment. */
export type DeploymentSignal =
  | { kind: "ok" }
  /** Nothing new: the call was aborted, was not sent, or failed by the request's own fault. */
  | { kind: "none" }
  /**
   * A quota of ours was exceeded: its limit or its burst is learned. `unknown` means the fullest quota.
   * `tokens_per_day` parks every deployment that shares a quota per day with this one, or its daily pool if it has
   * none. The park lasts 15 minutes at first, doubled up to an hour while throttling continues.
   */
  | { kind: "throttled"; throttle: "requests" | "tokens" | "tokens_per_day" | "unknown"; retryAfterMs?: number }
  /** The provider lacks capacity: the deployment cools down, with exponential backoff. */
  | { kind: "capacity"; reason?: string; retryAfterMs?: number }
  /**
   * The deployment cannot work. It is out of service until it is reinstated or reconfigured, or tried again after five
   * minutes.
   */
  | { kind: "misconfigured"; reason: string }
  /**
   * The provider refused and did not say whether the job or the deployment is at fault. Other jobs show which it is.
   */
  | { kind: "refused"; reason: string };

// ---------------------------------------------------------------- rebuild

export interface RebuildTicket {
  readonly id: string;
}

export interface RestorePart {
  entries?: readonly QueueEntry[];
  /** Calls of the last window, and of the last day for quotas per day. */
  charges?: readonly RestoredCharge[];
  learned?: readonly LearnedLimit[];
  paused?: readonly PauseTarget[];
  /**
   * Attempts without a known end. For one lease period they are neither granted again nor queued, so that a worker that
   * is still alive can re-assert its lease first. Their jobs must be among `entries`.
   */
  leases?: readonly { jobId: JobId; grant: string; deployment: string }[];
}

export interface RestoredCharge {
  deployment: string;
  /** Time since the charge. */
  agoMs: number;
  /** What the call used, or the reservation if usage is unknown. */
  tokens: TokenCount;
  /**
   * Whether `tokens` is real usage, to which the burndown applies, or a reservation. A reservation counts as reserved
   * until its lease ends.
   */
  settled: boolean;
  /** The grant's token, by which a later settlement finds the charge. */
  grant: string;
}

/** A quota's learned limits, as in `QuotaSnapshot`. An absent field was not learned. */
export interface LearnedLimit {
  quota: string;
  effectiveLimit?: number;
  effectiveBurst?: number;
  throttledAgoMs?: number;
  closedForMs?: number;
}
