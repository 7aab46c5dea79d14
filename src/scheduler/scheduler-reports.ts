// What a scheduler reports, as part of its port: why a job waits, what waits, and how quotas and deployments are used.
import type { Priority } from "../domain/job.ts";
import type { QuotaUnit } from "./scheduler-configuration.ts";

export type Explanation =
  | { state: "absent" }
  | { state: "running"; deployment: string }
  | {
      state: "waiting";
      /** Estimated from the fair shares among all the jobs it competes with; 1 is next. */
      position: number;
      waitingOn: WaitingOn;
      /** Expected time until the start. Absent if it cannot be estimated (out of service). */
      startsInMs?: number;
    };

export type WaitingOn =
  /** The job may start at any moment. */
  | { kind: "turn" }
  | { kind: "quota"; deployment: string; quota: string }
  | { kind: "concurrency"; deployment: string }
  | { kind: "cool_down"; deployment: string; reason: string }
  | { kind: "out_of_service"; deployment: string; reason: string }
  /** A deployment refused the job. It is called again later, and fails if that deployment serves others meanwhile. */
  | { kind: "refused"; deployment: string; reason: string }
  /** No configured deployment can ever serve the job. It waits for a new configuration and fails in the end. */
  | { kind: "configuration"; reason: string }
  /** Other jobs are due first. */
  | { kind: "fairness" }
  /** An operator paused it. */
  | { kind: "paused"; target: PauseTarget }
  /** It waits for a retry or for `not_before`. */
  | { kind: "delay" }
  | { kind: "rebuild" };

/**
 * What an operator can pause: jobs of a model (their own, not a fallback), calls to a deployment, or jobs of a tenant.
 * A tenant is paused in one environment or in all.
 */
export type PauseTarget = { model: string } | { deployment: string } | { tenant: string; environment?: string };

export interface SchedulerSnapshot {
  configVersion: string;
  open: boolean;
  deployments: DeploymentSnapshot[];
  quotas: QuotaSnapshot[];
  /** Waiting jobs by environment, priority and model, sorted by them. */
  waiting: WaitingRow[];
  /** Models that jobs are ready for, sorted by name. */
  backlogs: ModelBacklog[];
  running: number;
  /** Time until the first delayed job is ready, in milliseconds. Absent if none is delayed. */
  nextReadyInMs?: number;
  paused: PauseTarget[];
  /**
   * What the operator should change about the scheduler's server, as sentences without a full stop. Absent if nothing.
   */
  advice?: string[];
  /** Models that jobs wait for and that no deployment serves, sorted by name. */
  missingModels: MissingModel[];
}

export interface WaitingRow {
  environment: string;
  priority: Priority;
  /** The first of the jobs' aliases. */
  model: string;
  /** Jobs that may start as soon as their turn comes and the quotas admit them. */
  ready: number;
  /** Jobs that wait for a retry or for `not_before`. */
  delayed: number;
  /**
   * The `order` of the oldest ready job: its time of submission. Jobs of paused tenants count only if all tenants of the
   * row are paused. Absent if no job is ready. The scheduler in Redis looks at no more than 100 tenants of a row, those
   * that are furthest behind.
   */
  oldestOrder?: number;
  /** What that job waits for. Absent if no job is ready. */
  waitingOn?: WaitingOn;
  /**
   * Expected time until that job starts if it is next, in milliseconds. Absent if it is unknown: nothing may start, or
   * the number of calls is the limit.
   */
  startsInMs?: number;
}

export interface ModelBacklog {
  model: string;
  /**
   * Expected time until all jobs that are ready now have started. It assumes that all of them can use the deployments
   * of the oldest one. Absent if it is unknown: nothing may start, the number of calls is the limit and no quota, or
   * some of the jobs belong to a paused tenant.
   */
  emptyInMs?: number;
}

export interface MissingModel {
  model: string;
  jobs: number;
  /** Time until these jobs are impossible. */
  failInMs: number;
}

export type DeploymentState = "in_service" | "cooling_down" | "out_of_service";

export interface DeploymentSnapshot {
  id: string;
  running: number;
  maxConcurrency: number;
  /** A deployment that was out of service stays so until a trial call is answered. */
  state: DeploymentState;
  reason?: string;
  /** Time until the deployment is tried again; 0 during the trial. */
  forMs?: number;
}

export interface DeploymentChange {
  deployment: string;
  state: DeploymentState;
  /** Why the deployment does not serve, or did not until now. */
  reason: string;
}

export interface QuotaSnapshot {
  name: string;
  unit: QuotaUnit;
  per: "minute" | "day";
  configuredLimit: number;
  /** The limit after learning. */
  effectiveLimit: number;
  configuredBurst: number;
  /**
   * The burst after learning: what may be charged at once at the configured limit, and proportionally less at a lower
   * one.
   */
  effectiveBurst: number;
  /** Whether the quota is trying more than is known to work. */
  probing: boolean;
  /** Time since the provider last refused because of this quota. Absent if it never did. */
  throttledAgoMs?: number;
  /** Time for which nothing is admitted, because the provider refused. Absent if the quota is open. */
  closedForMs?: number;
  /** Charged within the current window: `reserved` plus `settled`. */
  used: number;
  /** Charged for calls that are running and not settled. */
  reserved: number;
  /** Charged for calls that ended: real usage, or the reservation if usage is unknown or the lease was lost. */
  settled: number;
  /** Time until the next charge ages out. Absent if the window is empty. */
  nextFreeInMs?: number;
}
