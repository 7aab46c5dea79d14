// The scheduler's part of the configuration: deployments, quotas and weights.
import type { Priority } from "../domain/job.ts";

export interface SchedulerConfig {
  /** Changes when the content does. Two processes with different versions report the difference. */
  version: string;
  deployments: DeploymentConfig[];
  /** Matched by name. Two deployments that name the same quota share it. */
  quotas: QuotaConfig[];
  /** Deployments of each model, by alias. */
  models: Record<string, { deployments: string[]; choice: "headroom" | "order" }>;
  /** Weights of the fair shares at each level. A name that is missing has weight 1. */
  weights: {
    environments: Record<string, number>;
    priorities: Record<Priority, number>;
    tenants: Record<string, number>;
  };
  /** Time until an unrenewed lease expires, in milliseconds. */
  leaseMs: number;
  /** Time after the charge within which a call may be sent, in milliseconds. */
  sendWithinMs: number;
  /**
   * Extra time for a call to reach the provider, in milliseconds. A charge counts for the window + sendWithinMs + this.
   */
  networkJitterMs: number;
  /**
   * Time that a job no deployment can ever serve waits after a configuration change, in milliseconds. Then it is
   * impossible. The next change may bring its model or its quota back. Default 0.
   */
  missingModelWaitMs?: number;
}

export interface DeploymentConfig {
  id: string;
  region: string;
  /** Foundation model that the deployment calls. Absent: it serves only jobs that name none. */
  baseModel?: string;
  /** Maximum number of simultaneous calls, over all processes. */
  maxConcurrency: number;
  /** Names of the quotas that limit this deployment. */
  quotas: string[];
  /** Quota tokens that one output token costs when a call is settled; 1 for most models. */
  outputBurndown: number;
  /**
   * Deployments of the same pool share the provider's tokens per day, configured or not. When the provider tells one of
   * them that they are used up, all are parked. Default: the region.
   */
  dailyPool?: string;
}

export type QuotaUnit = "tokens" | "input_tokens" | "output_tokens" | "requests";

export interface QuotaConfig {
  name: string;
  unit: QuotaUnit;
  per: "minute" | "day";
  /** The configured limit per window, in `unit`. Learning never goes above it. */
  limit: number;
  /**
   * Most that may be charged at one instant, in `unit`. The rest is spread evenly over the window. A burst equal to
   * `limit` turns spreading off. Ignored for quotas per day.
   */
  burst: number;
  /** For quotas per day: the UTC hour at which the provider resets the quota. Default: the last 24 hours, rolling. */
  resetHourUtc?: number;
}
