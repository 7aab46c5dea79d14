// What is sent for a batch and what comes back; /docs of the service describes every field.
import type { BatchMistake } from "./client-errors.ts";
import type { JobStatus, WaitingOn } from "./client-types.ts";

/** A prompt, or a request body for the endpoint. Default endpoint: OpenAI's chat completions. */
export type BatchItem = string | { customId?: string; body: Record<string, unknown> };

/** Options that apply to all requests. */
export interface BatchInputOptions {
  /** Environment of the jobs. Default: the first environment that the key may use. */
  environment?: string;
  /** Model of requests that name none. Default: the service's default model. */
  model?: string;
  /** Maximum tokens of each answer, for requests given as a prompt. Default: the model's. */
  maxTokens?: number;
  /** Endpoint of the requests. Default: `/v1/chat/completions`. */
  endpoint?: string;
  /** Time limit of the batch in hours or days, from 1h to 14d. Default: 24h. */
  completionWindow?: string;
}

export interface BatchOptions extends BatchInputOptions {
  metadata?: Record<string, string>;
  /** URL that receives a signed webhook when the batch ends. */
  webhookUrl?: string;
  /** Called after every poll, and during the upload after every thousandth request. */
  onProgress?: (progress: BatchProgress) => void;
  /** Time between polls, in milliseconds. Default: 2,000. */
  pollMs?: number;
  /** Maximum time to wait for the end of the batch, in milliseconds. Default: no limit. */
  timeoutMs?: number;
  /** Ends the wait when aborted. The batch continues; `cancelBatch` ends it. */
  signal?: AbortSignal;
}

export interface BatchProgress {
  /** The batch's id. Absent during the upload. */
  batchId?: string;
  status: "uploading" | "validating" | "in_progress" | "finalizing" | "cancelling" | EndedStatus;
  /** Number of requests uploaded so far, or in the batch. */
  total: number;
  completed: number;
  failed: number;
  /** Expected start of the last request. */
  eta?: Date;
}

type EndedStatus = "failed" | "completed" | "expired" | "cancelled";

/** The result of one request. */
export interface BatchResult {
  customId: string;
  /** The answer's text. Null if there is none. */
  text: string | null;
  /** The response that the endpoint would have sent. Null if the request got no response. */
  response: { status: number; body: Record<string, unknown> } | null;
  /** Why the request failed. Null also for an answer without text. */
  error: { code: string; message: string } | null;
}

/** A batch as the service shows it. Times are Unix times in seconds. */
export interface BatchResource {
  id: string;
  object: "batch";
  endpoint: string;
  status: Exclude<BatchProgress["status"], "uploading">;
  /** Why the file was refused, if `status` is `failed`. */
  errors?: { object: "list"; data: BatchMistake[] };
  input_file_id: string;
  output_file_id?: string;
  error_file_id?: string;
  completion_window: string;
  environment: string;
  metadata: Record<string, string> | null;
  created_at: number;
  expires_at?: number;
  in_progress_at?: number;
  finalizing_at?: number;
  completed_at?: number;
  failed_at?: number;
  expired_at?: number;
  cancelling_at?: number;
  cancelled_at?: number;
  /** `failed` counts expired lines as well. */
  request_counts: { total: number; completed: number; failed: number };
  /** Lines by state; while jobs are created from the file, of those that have one. */
  progress: Record<JobStatus, number>;
  /** When the last line is expected to start. */
  eta?: number;
  /** When the last line is expected to have ended. */
  expected_finish?: number;
  /** Of the last line, in the queue. */
  position?: number;
  waiting_on?: WaitingOn;
  /** Once it has ended. */
  usage?: {
    input_tokens: number;
    input_tokens_details: { cached_tokens: number };
    output_tokens: number;
    output_tokens_details: { reasoning_tokens: number };
    total_tokens: number;
  };
  /** Once it has ended, at the catalogue's prices. */
  cost_usd?: number;
  /** The part of `cost_usd` that is an estimate. */
  cost_usd_estimated?: number;
  /** While it runs: what its ended lines cost, estimated from a sample. Lists omit it. */
  cost_usd_so_far?: number;
  /** While it runs: what all lines will cost if the others cost as much as those of the sample. */
  cost_usd_expected?: number;
  /** Number of ended lines in the sample. If all ended lines are in it, `cost_usd_so_far` is exact. */
  cost_sampled_lines?: number;
  /** The batch whose failed lines these are. */
  retry_of?: string;
}

/** What `createBatch` takes. */
export interface BatchRequest {
  input_file_id: string;
  /**
   * The path that every line names: `/v1/chat/completions`, `/v1/responses`, or `/model/{modelId}/converse` or `/invoke`
   * for bodies in Bedrock's own format. Default: `/v1/chat/completions`.
   */
  endpoint?: string;
  /** Hours or days, from 1h to 14d. Default: 24h. */
  completion_window?: string;
  metadata?: Record<string, string>;
  /** Where the end of the batch is posted, signed. */
  webhook_url?: string;
}

/** A file as the service shows it. Times are Unix times in seconds. */
export interface FileResource {
  id: string;
  object: "file";
  bytes: number;
  created_at: number;
  expires_at?: number;
  filename: string;
  purpose: "batch" | "batch_output";
  status: "processed";
  environment: string;
}
