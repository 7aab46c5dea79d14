// What the service measures: one method for each event. Values that can be read at any time, such as the depth of the
// queue, are no events; queue-gauges.ts reads them for each scrape. docs/metrics.md lists every metric.
import type { RetentionKind } from "../config/settings.ts";
import type { Attempt, AttemptEnd, FinalState, JobHead } from "../domain/job.ts";
import type { DeploymentSignal } from "../scheduler/scheduler.ts";

/** The API that a job came through; `retry` is a repeated job. */
export const dialects = [
  ...(["enqueue", "jobs", "chat", "responses", "embeddings", "bedrock", "anthropic", "batch", "retry"] as const),
] as const;
export type Dialect = (typeof dialects)[number];

/** The quota that a provider says it refused a call for. */
export const throttleKinds = ["requests", "tokens", "tokens_per_day", "unknown"] as const;
export type ThrottleKind = Extract<DeploymentSignal, { kind: "throttled" }>["throttle"];

/**
 * What repaired a job:
 * - `expired`: its deadline passed
 * - `impossible`: no quota could ever admit it, or its model is missing
 * - `orphaned`: the process died whose caller waited for it
 * - `rebuilt`: the queue was rebuilt from the store
 * - `requeued`: the queue lacked it
 */
export const repairKinds = ["expired", "impossible", "orphaned", "rebuilt", "requeued"] as const;
export type RepairKind = (typeof repairKinds)[number];

/** How an attempt of a webhook ended: delivered, failed with another attempt to come, or given up. */
export const deliveryResults = ["delivered", "failed", "given_up"] as const;
export type DeliveryResult = (typeof deliveryResults)[number];

export interface EndedCall {
  job: Pick<JobHead, "environment" | "tenant">;
  attempt: Pick<Attempt, "deployment" | "model">;
  end: AttemptEnd;
  /** The service tier that the job asked for. Default: `default`. */
  tier?: string | undefined;
  /** Set if the provider's quota refused the call. */
  throttle?: ThrottleKind | undefined;
}

/** Receives events. No method throws or waits. Names that the configuration does not have count as `other`. */
export interface Metrics {
  /** A job was stored. */
  jobSubmitted(job: Pick<JobHead, "environment" | "priority" | "model" | "tenant">, dialect: Dialect): void;
  /** The outcome of a job was stored. */
  jobFinished(
    job: Pick<JobHead, "environment"> & Partial<Pick<JobHead, "priority" | "model">>,
    outcome: FinalState,
  ): void;
  /**
   * The first call of a job begins.
   * @param waitedMs time since the job could have started, in milliseconds
   */
  callStarted(job: Pick<JobHead, "environment" | "priority" | "model">, waitedMs: number): void;
  /** An attempt ended, or could not be sent. */
  callEnded(call: EndedCall): void;
  /** Another worker may have a job that this process still runs. */
  leaseLost(): void;
  /** Jobs were repaired outside their normal course. */
  jobsRepaired(kind: RepairKind, jobs: number): void;
  /** Retention erased or removed data. */
  dataRemoved(environment: string, kind: RetentionKind, count: number): void;
  /**
   * A round of retention ended, or another process has taken over, which then counts as 0.
   * @param ms how long the first job that is due has been due, in milliseconds
   */
  retentionLate(environment: string, kind: RetentionKind, ms: number): void;
  /** An attempt to deliver a webhook ended. */
  webhookTried(result: DeliveryResult): void;
  /**
   * A job started whose start was predicted. Times are since the prediction.
   * @param predictedMs milliseconds
   * @param realMs milliseconds
   */
  startCompared(predictedMs: number, realMs: number): void;
  /**
   * The store answered.
   * @param operation a method of the store's port
   * @param ms duration in milliseconds
   */
  storeAnswered(operation: string, ms: number, failed: boolean): void;
  /** The store committed a group of writes together. */
  storeCommitted(writes: number): void;
  /**
   * Redis answered a script.
   * @param ms duration in milliseconds
   */
  redisAnswered(script: string, ms: number, failed: boolean): void;
}

/** Receives events and ignores them. */
export const noMetrics: Metrics = {
  jobSubmitted() {},
  jobFinished() {},
  callStarted() {},
  callEnded() {},
  leaseLost() {},
  jobsRepaired() {},
  webhookTried() {},
  startCompared() {},
  storeAnswered() {},
  storeCommitted() {},
  redisAnswered() {},
  dataRemoved() {},
  retentionLate() {},
};
