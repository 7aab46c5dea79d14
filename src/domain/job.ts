// A job: one prompt with its parameters, and in time its answer. States are derived from what is on record:
//
//   queued -> in_progress -> completed | failed | cancelled | expired
//             in_progress -> queued          (throttled, or a retry after a transient error)
//
// A job with an outcome has the outcome's status; one with an attempt that has not ended is in progress; every other
// one is queued. Nothing changes once there is an outcome.
import type { JobId } from "./ids.ts";
import type { CanonicalRequest } from "./request.ts";
import type { TokenCount } from "./tokens.ts";

export const priorities = ["interactive", "standard", "batch"] as const;
export type Priority = (typeof priorities)[number];

export const finalStates = ["completed", "failed", "cancelled", "expired"] as const;
export type FinalState = (typeof finalStates)[number];

export const jobStates = ["queued", "in_progress", ...finalStates] as const;
export type JobState = (typeof jobStates)[number];

export function isFinal(state: JobState): state is FinalState {
  return state !== "queued" && state !== "in_progress";
}

/** Everything about a job except what was asked. All that the scheduler, lists and scans need; small whatever the prompt's size. */
export interface JobHead {
  id: JobId;
  /** A name from the configuration, such as UAT or PROD; decides the database. */
  environment: string;
  /** The unit of fairness; `default` where there are no keys. */
  tenant: string;
  priority: Priority;
  /** The public alias that was asked for. */
  model: string;
  /** Aliases to use, in this order, when every deployment of `model` is out of service. Usually empty. */
  fallbackModels: string[];
  /** Regions that may serve the job; absent means any. */
  regions?: string[];
  /** What a call is expected to reserve: estimated input and the `max_tokens` that will be sent. */
  tokens: TokenCount;
  /** Milliseconds since the epoch. Order within a flow is (submittedAt, id). */
  submittedAt: number;
  /** Not to start before; milliseconds since the epoch. */
  notBefore?: number;
  /** The deadline: a job that has not completed by then expires; milliseconds since the epoch. */
  expiresAt?: number;
  /** What to do when an attempt ended without anybody knowing how (it may have been billed). */
  onUnknown: "retry" | "fail";
  /** The job that this one repeats. */
  retryOf?: JobId;
  /** The submitter's own labels. */
  metadata?: Record<string, string>;
  /** The API key that it was submitted with; absent where there are no keys. */
  keyId?: string;
  /** The batch that it is a line of, and the submitter's own name of the line. */
  batchId?: string;
  customId?: string;
  /** Neither prompt nor answer stay on record once the job has ended and its caller has been answered. */
  ephemeral?: boolean;
  /** Where to post the job's end; see the webhook outbox. */
  webhookUrl?: string;
  /** Set for a held call: the job is called only while its caller waits. Absent: it is called in any case. */
  waitingCaller?: WaitingCaller;
}

/** The caller of a held call. See docs/decisions/callers-that-disconnect.md. */
export interface WaitingCaller {
  /** The run of the process that accepted the call. A process has another id after a restart. */
  processId: string;
  /** How the caller can come back: under its key, or by repeating the request. Absent: it cannot. */
  returnsBy?: "key" | "retry";
}

export interface Job extends JobHead {
  request: CanonicalRequest;
}

/** A job with all that is on record about it. */
export interface JobRecord {
  job: Job;
  state: JobState;
  /** In the order of their numbers. */
  attempts: Attempt[];
  outcome?: Outcome;
}

/** One line of a list of jobs: no prompt and no answer. */
export interface JobSummary {
  job: JobHead;
  state: JobState;
  finishedAt?: number;
  error?: JobError;
}

/** Why a job or an attempt failed. `code` is one of the table in errors.ts. */
export interface JobError {
  code: string;
  message: string;
}

/** What a provider says a call used. Tokens read from a cache are not part of `input`. */
export interface Usage {
  input: number;
  output: number;
  cacheRead?: number;
  cacheWrite?: number;
  /** How many of `cacheWrite` are kept for an hour, which has a price of its own; absent where the provider does not say. */
  cacheWriteHour?: number;
  /** How many of `output` the model spent on reasoning; absent if the provider does not say. */
  reasoning?: number;
}

/** One call to a provider for one job, written down before it is made. Its key is `{jobId}/{n}`. */
export interface Attempt {
  jobId: JobId;
  /** 1 for the first. */
  n: number;
  /** The token of the grant under which the attempt was begun. */
  grant: string;
  /** The deployment that was called, and the model alias it belongs to. */
  deployment: string;
  model: string;
  worker: string;
  /** When the quotas were charged; milliseconds since the epoch. */
  chargedAt: number;
  reserved: TokenCount;
  /** What `reserved` would cost, in billionths of a US dollar; absent if no price was known when the attempt began. */
  reservedNanoUsd?: number;
  /** Absent while the call runs, and if its process died: then the attempt may have been billed. See `attemptUsage`. */
  end?: AttemptEnd;
}

/**
 * How an attempt ended:
 * - `completed`  an answer was received
 * - `throttled`  refused by the provider's quota; nothing was generated; does not count as a failed try
 * - `capacity`   refused because the provider is overloaded or the deployment is out of service; does not count either
 * - `transient`  failed in a way that may pass; counts as a failed try
 * - `permanent`  the request can never succeed
 * - `unknown`    the call left and was cut off by us (cancel, deadline, shutdown); counts as a failed try
 * - `aborted`    what earlier versions wrote for `unknown`; it means the same
 * - `not_sent`   handed back before the call left; nothing can have been billed
 */
export type AttemptResult =
  | "completed"
  | "throttled"
  | "capacity"
  | "transient"
  | "permanent"
  | "unknown"
  | "aborted"
  | "not_sent";

export interface AttemptEnd {
  result: AttemptResult;
  /** Milliseconds since the epoch. */
  at: number;
  usage?: Usage;
  /** The provider reported no usage for a call that it may have billed: `usage` is an estimate. */
  estimated?: true;
  error?: JobError;
  /** From sending the call to its end, and to the first token. */
  durationMs?: number;
  firstTokenMs?: number;
  /** The provider's own id of the call. */
  requestId?: string;
  /** The service tier that the provider says it used; it may differ from the one that was asked for. */
  serviceTier?: string;
  /** By the catalogue's prices, in billionths of a US dollar; absent if there was no usage or no price is known. */
  costNanoUsd?: number;
}

/** Why generation ended; OpenAI's words. `length` means that the answer is truncated. */
export type FinishReason = "stop" | "length" | "tool_calls" | "content_filter";

/** A tool call that the model asks for. `arguments` is the text that the model wrote, which need not be valid JSON. */
export interface ToolCall {
  id: string;
  name: string;
  arguments: string;
}

/** The end of a job: written once, under the job's id; the first one wins and never changes. */
export interface Outcome {
  jobId: JobId;
  status: FinalState;
  /** Milliseconds since the epoch. */
  at: number;
  /** The answer; only with `completed`. */
  text?: string;
  toolCalls?: ToolCall[];
  finishReason?: FinishReason;
  usage?: Usage;
  /** Who answered; `model` differs from the job's if a fallback did. */
  deployment?: string;
  model?: string;
  attempt?: number;
  /** Cost of all attempts, estimates included, in billionths of a US dollar; absent if a price is not known. */
  costNanoUsd?: number;
  /** The part of `costNanoUsd` that is an estimate; absent if there is none. */
  estimatedNanoUsd?: number;
  /** Always with `failed`. */
  error?: JobError;
}

export function erasedRequest({ parameters }: CanonicalRequest): CanonicalRequest {
  const { stop: _, ...numbers } = parameters;
  return { messages: [], parameters: numbers };
}

export function erasedOutcome({ toolCalls: _, ...rest }: Outcome): Outcome {
  return rest.text === undefined ? rest : { ...rest, text: "" };
}

/** A request that can still be asked has messages. */
export function isErased(request: CanonicalRequest): boolean {
  return request.messages.length === 0;
}
