// Types of requests and responses, with the names of the HTTP API. The service's /docs page describes every field.
import type { NativeAnswer, NativeRequest } from "./native-types.ts";

export type JobStatus = "queued" | "in_progress" | FinalStatus;
export type FinalStatus = "completed" | "failed" | "cancelled" | "expired";

export function isFinal(status: JobStatus): status is FinalStatus {
  return status !== "queued" && status !== "in_progress";
}

export type Priority = "interactive" | "standard" | "batch";

/** Fields that both `enqueue` and `submit` accept. */
interface CommonRequest {
  /** A configured environment, such as UAT or PROD. Optional if the key has exactly one. */
  environment?: string;
  /** A configured model alias. Default: the service's default model. */
  model?: string;
  system?: string;
  /** Maximum number of tokens in the answer, reserved in the quotas during the call. Default: the model's. */
  max_tokens?: number;
  temperature?: number;
  top_p?: number;
  /** Default: standard. */
  priority?: Priority;
  /** Seconds until a job that has not completed expires. Default: never. */
  expires_in?: number;
  /** Up to 16 labels of your own. */
  metadata?: Record<string, string>;
  /** URL that receives a signed webhook when the job ends. */
  webhook_url?: string;
}

export type Block =
  | { type: "text"; text: string }
  | { type: "tool_call"; id: string; name: string; arguments: string }
  | { type: "tool_result"; call_id: string; text: string; is_error?: boolean }
  | { type: "cache_point"; ttl?: "5m" | "1h" }
  | { type: "image"; media_type: string; data: string; detail?: string }
  | { type: "document"; media_type: string; name?: string; data: string }
  | ({ type: "reasoning" } & Reasoning);

/** One piece of a model's reasoning. Send it back unchanged in the next request. */
export interface Reasoning {
  /** Empty if the provider hides the reasoning. */
  text: string;
  signature?: string;
  redacted?: string;
}

export interface Message {
  role: "user" | "assistant" | "system";
  content: string | Block[];
}

export interface EnqueueRequest extends CommonRequest {
  /** The text sent to the model. */
  prompt: string;
}

/** A job with all options. Set either `prompt` or `messages`. */
export interface JobRequest extends CommonRequest {
  prompt?: string;
  messages?: Message[];
  /** A request in Bedrock's own format, in place of `prompt` and `messages`. `model` may be an ID of Bedrock then. */
  native?: NativeRequest;
  stop?: string[];
  tools?: { name: string; description?: string; input_schema: Record<string, unknown> }[];
  tool_choice?: "auto" | "required" | "none" | { name: string };
  response_format?:
    | { type: "json_schema"; name: string; schema: Record<string, unknown>; description?: string; strict?: boolean }
    | { type: "json_object" };
  service_tier?: "default" | "priority" | "flex";
  guardrail?: { id: string; version: string };
  top_k?: number;
  seed?: number;
  frequency_penalty?: number;
  presence_penalty?: number;
  /** A level such as `none`, `minimal`, `low`, `medium`, `high`, `xhigh` or `max`. Levels differ by model. */
  reasoning_effort?: string;
  /** Regions whose deployments may serve the job. Default: any. */
  regions?: string[];
  /** Models to use, in this order, when no deployment of the model is in service. */
  fallback_models?: string[];
  /** What to do when a call was lost and may have been billed. Default: retry. */
  on_unknown?: "retry" | "fail";
  /** Earliest start: a time (ISO 8601), or a number of seconds from now. */
  not_before?: string | number;
}

export interface ErrorInfo {
  code: string;
  message: string;
}

export interface Usage {
  input_tokens: number;
  output_tokens: number;
  cache_read_tokens: number | null;
  cache_write_tokens: number | null;
  /** Part of `output_tokens`. Null if the provider does not report it. */
  reasoning_tokens: number | null;
}

/** A job as a list shows it. Times are ISO 8601. */
export interface JobSummary {
  job_id: string;
  status: JobStatus;
  environment: string;
  tenant: string;
  model: string;
  priority: Priority;
  error: ErrorInfo | null;
  created_at: string;
  finished_at: string | null;
  not_before: string | null;
  expires_at: string | null;
  retry_of: string | null;
  metadata: Record<string, string> | null;
}

/** A part of a wait. */
export interface WaitPart {
  /** What the job waited for. `unknown` if it was not recorded. */
  kind: Exclude<WaitingOn["kind"], "starting" | "not_queued_yet"> | "unknown";
  /** The quota, the deployment, or what was paused. */
  subject: string | null;
  ms: number;
}

export interface JobAttempt {
  number: number;
  deployment: string;
  model: string;
  started_at: string;
  result: "in_progress" | "unknown" | "completed" | "throttled" | "capacity" | "transient" | "permanent" | "not_sent";
  error: ErrorInfo | null;
  /** Tokens that were charged to the quotas when the attempt started. */
  tokens_reserved: { input: number; output: number };
  usage: Usage | null;
  /** True if the usage is unknown, so that `usage` and `cost_usd` are estimates. */
  usage_estimated: boolean;
  /** Milliseconds that the job waited before the attempt. */
  waited_ms: number;
  /** The same by what it waited for. */
  waited: WaitPart[];
  duration_ms: number | null;
  first_token_ms: number | null;
  tokens_per_second: number | null;
  service_tier: string | null;
  cost_usd: number | null;
}

/** Why a job waits. */
export interface WaitingOn {
  /** A sentence that explains the wait. */
  message: string;
  kind:
    | "turn"
    | "quota"
    | "fairness"
    | "paused"
    | "concurrency"
    | "cool_down"
    | "out_of_service"
    | "refused"
    | "configuration"
    | "delay"
    | "rebuild"
    | "starting"
    | "not_queued_yet";
  deployment: string | null;
  quota: string | null;
  reason: string | null;
}

export interface Job extends JobSummary {
  /** The answer. Null until the job completes. */
  text: string | null;
  /** Calls that the model made. `arguments` is the text that the model wrote, usually a JSON object. */
  tool_calls: { id: string; name: string; arguments: string }[] | null;
  /** What the model thought before it answered. Null if the provider does not show it. */
  reasoning: Reasoning[] | null;
  /** Set if the job has Bedrock's own format. */
  native: NativeAnswer | null;
  /** Set if the job makes embeddings. POST /v1/embeddings and the results of batches have the vectors. */
  embeddings: { texts: number; embedded: number; dimensions: number | null } | null;
  /** One of stop, length (the answer is truncated), tool_calls or content_filter. */
  finish_reason: string | null;
  usage: Usage | null;
  cost_usd: number | null;
  /** The part of `cost_usd` that is an estimate. */
  cost_usd_estimated: number | null;
  deployment: string | null;
  /** The model that answered. Differs from `model` if a fallback answered. */
  answered_by: string | null;
  /** True if the text comes from the simulator and not from a model. */
  synthetic: boolean;
  /** True if prompt and answer were erased, so that `text` is empty. */
  erased: boolean;
  max_tokens: number;
  temperature: number | null;
  top_p: number | null;
  service_tier: string | null;
  /** Estimated queue position; 1 is next. Null unless queued. */
  position: number | null;
  waiting_on: WaitingOn | null;
  /** Expected start, ISO 8601. */
  eta: string | null;
  /** Expected end, ISO 8601. */
  expected_finish: string | null;
  attempts: JobAttempt[];
}

/** The estimate for a job that is not submitted. */
export interface DryRun {
  dry_run: true;
  environment: string;
  tenant: string;
  model: string;
  priority: Priority;
  /** `input` is the counted number, null if counting failed. `input_reserved` is an upper bound. */
  tokens: { input: number | null; input_reserved: number; max_output: number };
  /** Cost from an empty answer to one of `max_output` tokens. Null if a price is unknown. */
  cost_usd: Range | null;
  /** The binding quota, of which the job takes the largest share. */
  quota: BindingQuota | null;
  position: number | null;
  waiting_on: WaitingOn | null;
  expected_start: string | null;
  expected_finish: string | null;
}

export interface Range {
  min: number;
  max: number;
}

export interface BindingQuota {
  name: string;
  deployment: string;
  unit: string;
  per: "minute" | "day";
  limit: number;
  /** The amount that would be reserved. */
  takes: number;
}

/** Totals of all lines of a batch, or of the lines of one model. */
interface LineTotals {
  lines: number;
  tokens: { input_reserved: number; max_output: number } | null;
  cost_usd: Range | null;
  quota: BindingQuota | null;
}

/** The estimate for a batch that is not created. Times are ISO 8601. */
export interface BatchDryRun extends LineTotals {
  dry_run: true;
  /** Whether the batch would run. If not, `errors` says why. */
  valid: boolean;
  errors: {
    object: "list";
    data: { code: string; message: string; line: number | null; param: string | null }[];
  } | null;
  environment: string;
  tenant: string;
  endpoint: string;
  input_file_id: string;
  completion_window: string;
  models: ({ model: string } & LineTotals)[];
  /** Queue position of the first line. */
  position: number | null;
  waiting_on: WaitingOn | null;
  expected_start: string | null;
  /** Expected start of the last line. */
  expected_last_start: string | null;
  expected_finish: string | null;
  /** The end of the completion window. */
  expires_at: string;
  in_completion_window: boolean | null;
}

/** A job that has ended. */
export type EndedJob = Job & { status: FinalStatus };

export interface ListQuery {
  environment?: string;
  status?: JobStatus;
  model?: string;
  tenant?: string;
  priority?: Priority;
  /** Earliest time of submission, inclusive, ISO 8601. */
  submitted_after?: string;
  /** Latest time of submission, exclusive, ISO 8601. */
  submitted_before?: string;
  /** Lists only the lines of this batch, the last ones first. */
  batch?: string;
  /** Lists only jobs that have all of these labels. */
  metadata?: Record<string, string>;
  /** Lists only jobs that ended with this error code. Without `status`, only failed jobs. */
  error?: string;
}

/**
 * An event of a job's stream:
 * - `state`    the job reached a state; the stream ends after a final state
 * - `text`     more of the answer
 * - `restart`  discard all text so far: another call starts the answer again
 */
export type JobEvent =
  | { type: "state"; status: JobStatus }
  | { type: "text"; text: string; attempt: number }
  | { type: "restart"; attempt: number };

/** An API key without its secret. */
export interface ApiKey {
  id: string;
  name: string;
  tenant: string;
  admin: boolean;
  /** Whether the key may only read, and no secrets. */
  read_only: boolean;
  /** The first and last characters of the key. */
  hint: string;
  /** Environments that the key may use. Null: all. */
  environments: string[] | null;
  weight: number | null;
  priority_max: Priority | null;
  /** Regions that the key may use. Null: any. */
  regions: string[] | null;
  daily_tokens: number | null;
  budget_usd: number | null;
  max_waiting: number | null;
  /** Maximum time to hold a call of the Bedrock Runtime API that is not streamed, in seconds. Null: 55. */
  max_wait_s: number | null;
  /** What counts against the limits now: used and reserved together. Null for a key without limits. */
  used: {
    /** Jobs that wait or run. */
    jobs: number;
    /** Of jobs that ended on this UTC day. */
    tokens_today: number;
    /** Of unfinished jobs. */
    tokens_reserved: number;
    /** Of jobs that ended in this UTC month. */
    usd_this_month: number;
    /** Of unfinished jobs. 0 without `budget_usd`. */
    usd_reserved: number;
  } | null;
  /** Creation time, ISO 8601. */
  created_at: string;
  /** Time of the last use to about a minute, ISO 8601. Null if there was none. */
  last_used_at: string | null;
  /** Time of revocation, ISO 8601. Null if the key is valid. */
  revoked_at: string | null;
}

/** A filter of the audit log. An absent field matches every entry. */
export interface AuditQuery {
  /** Such as `job.cancel`; docs/keys.md lists the actions. */
  action?: string | undefined;
  /** The id of the API key that acted. */
  key?: string | undefined;
  /** The id or name of what was changed. */
  target?: string | undefined;
  /** Earliest time, ISO 8601, included. */
  from?: string | undefined;
  /** Latest time, ISO 8601, not included. */
  to?: string | undefined;
}

/** An entry of the audit log. */
export interface AuditEntry {
  id: string;
  /** When the action ended, ISO 8601. */
  at: string;
  action: string;
  actor: {
    /** `service`: the service itself, at its start or by a signal. */
    kind: "key" | "no_key" | "command" | "service";
    key_id: string | null;
    key_name: string | null;
    tenant: string | null;
    admin: boolean;
    /** IP address of the client or of the last proxy. */
    address: string | null;
  };
  /** Null if the action was about everything that matches `details`. */
  target: { type: string; id: string } | null;
  /** What the action was given, such as a filter. */
  details: Record<string, unknown>;
  /** Number of changed jobs, for an action on many. */
  count: number | null;
  /** `ok`, or the code of the error. After an error, the action may have had an effect. */
  result: string;
}
