// What the scheduler is told of deployments, quotas and weights.
import type { Priority } from "../domain/job.ts";

export interface SchedulerConfig {
  /** Changes when the content does; two processes that disagree say so. */
  version: string;
  deployments: DeploymentConfig[];
  /** By name. Two deployments that name the same quota share it. */
  quotas: QuotaConfig[];
  /** By alias. */
  models: Record<string, { deployments: string[]; choice: "headroom" | "order" }>;
  /** Weights of the fair shares at each level; a name that is missing has weight 1. */
  weights: {
    environments: Record<string, number>;
    priorities: Record<Priority, number>;
    tenants: Record<string, number>;
  };
  /** How long a lease lasts without renewal. */
  leaseMs: number;
  /** How long after the charge a call may leave. */
  sendWithinMs: number;
  /** How much longer a call may take to reach the provider. A charge counts for the window + sendWithinMs + this. */
  networkJitterMs: number;
  /**
   * How long after a change of the configuration a job waits that no deployment can ever serve, in milliseconds, before it
   * is impossible: the next change may bring its model or its quota back. Default 0.
   */
  missingModelWaitMs?: number;
}

export interface DeploymentConfig {
  id: string;
  region: string;
  /** Calls at a time, over all processes. */
  maxConcurrency: number;
  /** Names of quotas. */
  quotas: string[];
  /** How many quota tokens one output token costs when a call is settled; 1 for most models. */
  outputBurndown: number;
  /**
   * Deployments of the same pool share the provider's tokens per day, configured or not: when one of them hears that
   * they are used up, all are parked. Default: the region.
   */
  dailyPool?: string;
}

export type QuotaUnit = "tokens" | "input_tokens" | "output_tokens" | "requests";

export interface QuotaConfig {
  name: string;
  unit: QuotaUnit;
  per: "minute" | "day";
  /** The ceiling of trust: learning never goes above it. */
  limit: number;
  /**
   * How much may be charged at one instant; what exceeds it is spread evenly over the window. Equal to `limit`: no
   * spreading. Ignored for quotas per day.
   */
  burst: number;
  /** For quotas per day: the UTC hour at which the provider resets it; absent means the last 24 hours, rolling. */
  resetHourUtc?: number;
}
