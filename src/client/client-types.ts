// What is sent and what comes back, in the words of the HTTP interface; /docs of the service describes every field.

export type JobStatus = "queued" | "in_progress" | FinalStatus;
export type FinalStatus = "completed" | "failed" | "cancelled" | "expired";

export function isFinal(status: JobStatus): status is FinalStatus {
  return status !== "queued" && status !== "in_progress";
}

export type Priority = "interactive" | "standard" | "batch";

/** What both `enqueue` and `submit` take. */
interface CommonRequest {
  /** One of the service's configuration, such as UAT or PROD. May be left out under a key that has only one. */
  environment?: string;
  /** An alias of the service's configuration; by default its default model. */
  model?: string;
  system?: string;
  /** Upper bound of the answer; reserved in the quotas while the call runs. */
  max_tokens?: number;
  temperature?: number;
  top_p?: number;
  /** By default standard. */
  priority?: Priority;
  /** Seconds after which a job that has not completed expires. By default never. */
  expires_in?: number;
  /** Up to 16 labels of your own. */
  metadata?: Record<string, string>;
  /** Where the end of the job is posted, signed. */
  webhook_url?: string;
}

export type Block =
  | { type: "text"; text: string }
  | { type: "tool_call"; id: string; name: string; arguments: string }
  | { type: "tool_result"; call_id: string; text: string; is_error?: boolean }
  | { type: "cache_point"; ttl?: "5m" | "1h" };

export interface Message {
  role: "user" | "assistant" | "system";
  content: string | Block[];
}

export interface EnqueueRequest extends CommonRequest {
  /** What the model is asked. */
  prompt: string;
}

/** Either `prompt` or `messages`. */
export interface JobRequest extends CommonRequest {
  prompt?: string;
  messages?: Message[];
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
  /** Such as `none`, `minimal`, `low`, `medium`, `high`, `xhigh` or `max`; models differ. */
  reasoning_effort?: string;
  /** Only deployments in these regions may serve the job. */
  regions?: string[];
  /** Used, in this order, when no deployment of the model is in service. */
  fallback_models?: string[];
  /** What to do when a call was lost and may have been billed. By default retry. */
  on_unknown?: "retry" | "fail";
  /** A time (ISO 8601), or seconds from now, before which the job does not start. */
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
  /** Part of `output_tokens`; null if the provider does not say. */
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

export interface JobAttempt {
  number: number;
  deployment: string;
  model: string;
  started_at: string;
  result: "in_progress" | "unknown" | "completed" | "throttled" | "capacity" | "transient" | "permanent" | "not_sent";
  error: ErrorInfo | null;
  usage: Usage | null;
  /** Usage is not known: `usage` and `cost_usd` are estimates. */
  usage_estimated: boolean;
  duration_ms: number | null;
  first_token_ms: number | null;
  tokens_per_second: number | null;
  service_tier: string | null;
  cost_usd: number | null;
}

/** What a job waits for. */
export interface WaitingOn {
  /** A sentence for people. */
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
  /** The answer, once completed. */
  text: string | null;
  /** `arguments` is the text that the model wrote, usually a JSON object. */
  tool_calls: { id: string; name: string; arguments: string }[] | null;
  /** stop, length (the answer is truncated), tool_calls or content_filter. */
  finish_reason: string | null;
  usage: Usage | null;
  cost_usd: number | null;
  /** The part of `cost_usd` that is an estimate. */
  cost_usd_estimated: number | null;
  deployment: string | null;
  /** Differs from `model` if a fallback answered. */
  answered_by: string | null;
  /** The text comes from the simulator, not from a model. */
  synthetic: boolean;
  max_tokens: number;
  temperature: number | null;
  top_p: number | null;
  service_tier: string | null;
  /** 1: next. Null unless queued. */
  position: number | null;
  waiting_on: WaitingOn | null;
  /** When it is expected to start. */
  eta: string | null;
  /** When it is expected to have ended. */
  expected_finish: string | null;
  attempts: JobAttempt[];
}

/** What would become of a job if it were submitted. */
export interface DryRun {
  dry_run: true;
  environment: string;
  tenant: string;
  model: string;
  priority: Priority;
  /** `input` as counted, null if it could not be; `input_reserved` is never less. */
  tokens: { input: number | null; input_reserved: number; max_output: number };
  /** From an empty answer to one of `max_output` tokens. Null if a price is not known. */
  cost_usd: Range | null;
  /** The one that binds. */
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
  /** What would be reserved of it. */
  takes: number;
}

/** Of all lines of a batch, or of those of a model. */
interface LineTotals {
  lines: number;
  tokens: { input_reserved: number; max_output: number } | null;
  cost_usd: Range | null;
  quota: BindingQuota | null;
}

/** What would become of a batch if it were created. Times are ISO 8601. */
export interface BatchDryRun extends LineTotals {
  dry_run: true;
  /** Whether it would run; if not, `errors` says why. */
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
  /** Of the first line. */
  position: number | null;
  waiting_on: WaitingOn | null;
  expected_start: string | null;
  /** Of the last line. */
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
  /** ISO 8601; included. */
  submitted_after?: string;
  /** ISO 8601; not included. */
  submitted_before?: string;
  /** The lines of this batch, the last ones first. */
  batch?: string;
  /** Jobs that have all of these labels. */
  metadata?: Record<string, string>;
}

/**
 * What a stream tells:
 * - `state`    the job reached a state; after a final one the stream ends
 * - `text`     more of the answer
 * - `restart`  all text so far is void: another call begins the answer anew
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
  /** The beginning and the end of the key. */
  hint: string;
  /** Null: all. */
  environments: string[] | null;
  weight: number | null;
  priority_max: Priority | null;
  /** Null: any. */
  regions: string[] | null;
  daily_tokens: number | null;
  budget_usd: number | null;
  max_waiting: number | null;
  /** ISO 8601. */
  created_at: string;
  /** Since when it is refused; ISO 8601. */
  revoked_at: string | null;
}
