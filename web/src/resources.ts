// The resources that the dashboard reads, with the names of the API. /openapi.json describes every field.

export type { BatchResource } from "../../src/client/batch-types.ts";
export type {
  ApiKey,
  Job,
  JobAttempt,
  JobStatus,
  JobSummary,
  Priority,
  WaitingOn,
} from "../../src/client/client-types.ts";
export type { SubmittedRequest } from "../../src/client/request-types.ts";

import type { Job, JobStatus, Priority, WaitingOn } from "../../src/client/client-types.ts";

export interface Page<T> {
  data: T[];
  next_cursor: string | null;
}

export interface OpenAiList<T> {
  data: T[];
  has_more: boolean;
}

export interface Session {
  version: string;
  signed_in: boolean;
  sign_in_required: boolean;
  tenant: string | null;
  key_id: string | null;
  admin: boolean;
  read_only: boolean;
  environments: string[];
  models: string[];
  default_model: string | null;
  simulator: boolean;
}

export interface Quota {
  name: string;
  unit: "tokens" | "input_tokens" | "output_tokens" | "requests";
  per: "minute" | "day";
  configured_limit: number;
  effective_limit: number;
  used: number;
  reserved: number;
  settled: number;
  probing: boolean;
  throttled_at: string | null;
  closed_until: string | null;
  next_free_at: string | null;
}

export interface Deployment {
  id: string;
  region: string;
  account: string | null;
  model_id: string;
  state: "in_service" | "cooling_down" | "out_of_service";
  reason: string | null;
  until: string | null;
  paused: boolean;
  running: number;
  max_concurrency: number;
  quotas: string[];
  lifecycle: { status: string; end_of_life: string | null; alternative: string | null } | null;
}

export interface Model {
  name: string;
  default: boolean;
  deployments: string[];
  max_output_tokens: number;
}

/** What waits of one environment, priority and model. */
export interface WaitingRow {
  environment: string;
  priority: Priority;
  model: string;
  ready: number;
  delayed: number;
  oldest_at: string | null;
  waiting_on: WaitingOn | null;
  starts_at: string | null;
}

export interface Stats {
  jobs: Record<string, Record<JobStatus, number>>;
  queue: WaitingRow[];
  models: { model: string; empty_at: string | null }[];
  next_ready_at: string | null;
  running: number;
  scheduler: { open: boolean };
}

export interface Snapshot {
  at: string;
  /** Absent for callers that are no admins. */
  stats?: Stats;
  models: Model[];
  deployments: Deployment[];
  quotas: Quota[];
}

/** Returns whether a job never changes again. */
export function hasEnded({ finished_at }: Pick<Job, "finished_at">): boolean {
  return finished_at !== null;
}

export const priorities: readonly Priority[] = ["interactive", "standard", "batch"];
export const statuses: readonly JobStatus[] = ["queued", "in_progress", "completed", "failed", "cancelled", "expired"];
