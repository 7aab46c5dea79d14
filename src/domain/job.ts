// A job: one prompt with its parameters and, once completed, its answer. Its state is derived from stored records:
//
//     queued -> in_progress -> completed | failed | cancelled | expired
//               in_progress -> queued          (throttled, or a retry after a transient error)
//
// A job with an outcome has the outcome's status. A job with an attempt that has not ended is in progress. Every other
// job is queued. Nothing changes after an outcome.
import type { JobId } from "./ids.ts";
import type { NativeAnswer } from "./native-request.ts";
import { isNative, type JobRequest, type Reasoning } from "./request.ts";
import type { TokenCount } from "./tokens.ts";
import type { TraceContext } from "./trace-context.ts";
import type { WaitPart } from "./wait-parts.ts";

export const priorities = ["interactive", "standard", "batch"] as const;
export type Priority = (typeof priorities)[number];

export const finalStates = ["completed", "failed", "cancelled", "expired"] as const;
export type FinalState = (typeof finalStates)[number];

export const jobStates = ["queued", "in_progress", ...finalStates] as const;
export type JobState = (typeof jobStates)[number];

/** Whether a job in this state has ended. */
export function isFinal(state: JobState): state is FinalState {
  return state !== "queued" && state !== "in_progress";
}

/**
 * Everything about a job except the request. Enough for the scheduler, lists and scans, and small whatever the prompt's
 * size.
 */
export interface JobHead {
  id: JobId;
  /** Name of an environment in the configuration, such as UAT or PROD. Decides the database. */
  environment: string;
  /** Unit of fairness. `default` if there are no API keys. */
  tenant: string;
  priority: Priority;
  /** Public alias of the model that the caller asked for. */
  model: string;
  /** Aliases to use, in this order, if every deployment of `model` is out of service. Usually empty. */
  fallbackModels: string[];
  /** Regions that may serve the job. Absent: any Region. */
  regions?: string[];
  /**
   * Foundation model that must answer, without the prefix of a Region or the rest of an ARN. Only deployments of this
   * model serve the job. Set for native requests, whose body is written for one model.
   */
  baseModel?: string;
  /** Tokens that a call is expected to reserve: estimated input and the `max_tokens` to send. */
  tokens: TokenCount;
  /** Tokens of all calls together. Set if the job needs several calls, as a long list of texts to embed does. */
  totalTokens?: TokenCount;
  /** Milliseconds since the epoch. Within a flow, jobs are ordered by (submittedAt, id). */
  submittedAt: number;
  /** Earliest start, in milliseconds since the epoch. */
  notBefore?: number;
  /** Deadline in milliseconds since the epoch. A job that has not completed by then expires. */
  expiresAt?: number;
  /** What to do after an attempt with an unknown end, which may have been billed. */
  onUnknown: "retry" | "fail";
  /** The job that this one repeats. */
  retryOf?: JobId;
  /** The submitter's own labels. */
  metadata?: Record<string, string>;
  /** API key that submitted the job. Absent if there are no keys. */
  keyId?: string;
  /** The batch that the job is a line of. */
  batchId?: string;
  /** The submitter's own name of the line. */
  customId?: string;
  /** Whether to erase prompt and answer once the job has ended and its caller has been answered. */
  ephemeral?: boolean;
  /** What was erased after the job's end; see `Erasure`. Absent: nothing, or an earlier version erased the texts. */
  erased?: Erasure;
  /** Address that the job's end is posted to; see the webhook outbox. */
  webhookUrl?: string;
  /** Set for a synchronous call: the job is called only while its caller waits. Absent: it is called in any case. */
  waitingCaller?: WaitingCaller;
  /** Trace that the calls of the job continue: its submitter's, or the span of its acceptance. */
  trace?: TraceContext;
  /** Trace that the job's own one is linked to: that of its batch, or of the job that it repeats. */
  linkedTrace?: TraceContext;
}

/**
 * How much of an ended job is erased. `texts`: prompt and answer. `all`: also labels, the name of a batch's line, the
 * address of the webhook, the submitter's trace, and the messages of errors, which may quote a prompt.
 */
export type Erasure = "texts" | "all";

/** The caller of a synchronous call. See docs/decisions/callers-that-disconnect.md. */
export interface WaitingCaller {
  /** Run of the process that accepted the call. A restarted process has a new id. */
  processId: string;
  /** How the caller can return: under its key, or by repeating the request. Absent: it cannot. */
  returnsBy?: "key" | "retry";
}

/** A job with its request. */
export interface Job extends JobHead {
  request: JobRequest;
}

/** A job with all stored records about it. */
export interface JobRecord {
  job: Job;
  state: JobState;
  /** Attempts in the order of their numbers. */
  attempts: Attempt[];
  outcome?: Outcome;
}

/** One entry in a list of jobs, without prompt and answer. */
export interface JobSummary {
  job: JobHead;
  state: JobState;
  finishedAt?: number;
  error?: JobError;
}

/** Why a job or an attempt failed. `code` is a code of the table in errors.ts. */
export interface JobError {
  code: string;
  message: string;
}

/** Tokens that a call used, as the provider reports them. Tokens read from a cache are not part of `input`. */
export interface Usage {
  input: number;
  output: number;
  cacheRead?: number;
  cacheWrite?: number;
  /**
   * The part of `cacheWrite` that is kept for an hour, which has its own price. Absent if the provider does not report
   * it.
   */
  cacheWriteHour?: number;
  /** The part of `output` that the model spent on reasoning. Absent if the provider does not report it. */
  reasoning?: number;
}

/** One call to a provider for one job, stored before the call is made. Its key is `{jobId}/{n}`. */
export interface Attempt {
  jobId: JobId;
  /** Number of the attempt, from 1. */
  n: number;
  /** Token of the grant under which the attempt began. */
  grant: string;
  /** The deployment that was called. */
  deployment: string;
  /** Alias of the model that the deployment belongs to. */
  model: string;
  worker: string;
  /** When the quotas were charged, in milliseconds since the epoch. */
  chargedAt: number;
  reserved: TokenCount;
  /** Price of `reserved` in billionths of a US dollar. Absent if no price was known when the attempt began. */
  reservedNanoUsd?: number;
  /** Absent while the call runs, and if its process died. Then the attempt may have been billed; see `attemptUsage`. */
  end?: AttemptEnd;
}

/**
 * How an attempt ended:
 * - `completed`: an answer was received
 * - `throttled`: the provider's quota refused the call; nothing was generated; not a failed try
 * - `capacity`: the provider is overloaded or the deployment out of service; not a failed try
 * - `transient`: failed in a way that may pass; a failed try
 * - `permanent`: the request can never succeed
 * - `unknown`: we cut off the call after it was sent (cancel, deadline, shutdown); a failed try
 * - `aborted`: what earlier versions wrote for `unknown`; it means the same
 * - `not_sent`: requeued before the call was sent; nothing can have been billed
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

/** How an attempt ended. */
export interface AttemptEnd {
  result: AttemptResult;
  /** Milliseconds since the epoch. */
  at: number;
  usage?: Usage;
  /** Set if `usage` is an estimate, because the provider reported none for a call that it may have billed. */
  estimated?: true;
  error?: JobError;
  /** Time from sending the call to its end, in milliseconds. */
  durationMs?: number;
  /** Time from sending the call to its first token, in milliseconds. */
  firstTokenMs?: number;
  /** The provider's own id of the call. */
  requestId?: string;
  /** Service tier that the provider reports. It may differ from the requested one. */
  serviceTier?: string;
  /** Cost by the catalogue's prices, in billionths of a US dollar. Absent without usage or without a known price. */
  costNanoUsd?: number;
  /** When the job may be called again after a failed try, in milliseconds since the epoch. Absent: at once. */
  retryAt?: number;
  /** What the job waited for before the attempt. Absent for a short wait; see `waitParts`. */
  waited?: WaitPart[];
  /** Number of texts whose vectors were stored by the end of this attempt. Set if the job embeds more texts. */
  embedded?: number;
}

/** Why generation ended, in OpenAI's words. `length` means that the answer is truncated. */
export type FinishReason = "stop" | "length" | "tool_calls" | "content_filter";

/** A tool call that the model requests. `arguments` is the model's text, which may be invalid JSON. */
export interface ToolCall {
  id: string;
  name: string;
  arguments: string;
}

/** End of a job, stored once under the job's id. The first one wins and never changes. */
export interface Outcome {
  jobId: JobId;
  status: FinalState;
  /** Milliseconds since the epoch. */
  at: number;
  /** The answer. Set only with `completed`. */
  text?: string;
  toolCalls?: ToolCall[];
  /** What the model thought before it answered, if the provider shows it. */
  reasoning?: Reasoning[];
  /** The answer verbatim. Set with the answer to a native request. */
  native?: NativeAnswer;
  /** Vectors in the order of their texts, each as the JSON list that the provider wrote. */
  vectors?: string[];
  finishReason?: FinishReason;
  usage?: Usage;
  /** The deployment that answered. */
  deployment?: string;
  /** Alias of the model that answered. It differs from the job's if a fallback model answered. */
  model?: string;
  attempt?: number;
  /** Cost of all attempts, estimates included, in billionths of a US dollar. Absent if a price is unknown. */
  costNanoUsd?: number;
  /** The estimated part of `costNanoUsd`. Absent if nothing is estimated. */
  estimatedNanoUsd?: number;
  /** Always set with `failed`. */
  error?: JobError;
  /** Key of the blob with a large answer. Only the store sees it; see store/large-texts.ts. */
  textsIn?: string;
}

/** Returns a request without its texts. The numeric parameters remain. */
export function erasedRequest(request: JobRequest): JobRequest {
  if (isNative(request)) {
    const { operation, streamed } = request.native;
    return { native: { operation, streamed, body: "" }, parameters: request.parameters };
  }
  const { stop: _, ...numbers } = request.parameters;
  const { embeddings } = request;
  return { messages: [], parameters: numbers, ...(embeddings && { embeddings }) };
}

/** Returns a request without its texts that does not count as erased. */
export function withheldRequest(request: JobRequest): JobRequest {
  const { parameters, serviceTier } = request;
  const tier = serviceTier && { serviceTier };
  if (!isNative(request)) {
    const { embeddings } = request;
    return { messages: [{ role: "user", content: [] }], parameters, ...tier, ...(embeddings && { embeddings }) };
  }
  const { operation, streamed } = request.native;
  return { native: { operation, streamed, body: "{}" }, parameters, ...tier };
}

/** Returns an outcome without what the model wrote, and with `all` without the message of its error. */
export function erasedOutcome(
  { toolCalls: _, reasoning: _thoughts, native: _native, vectors: _vectors, textsIn: _key, ...rest }: Outcome,
  erasure: Erasure = "texts",
): Outcome {
  const error = erasure === "all" && rest.error && { error: { ...rest.error, message: erasedMessage } };
  return { ...rest, ...(rest.text !== undefined && { text: "" }), ...error };
}

/** Takes the place of the message of an error. */
const erasedMessage = "The message was erased.";

/** Returns the head of a job whose texts are erased. Nothing that is erased returns. */
export function erasedHead(head: JobHead, erasure: Erasure): JobHead {
  if (erasure === "texts" && head.erased !== "all") return { ...head, erased: "texts" };
  const { metadata: _labels, customId: _name, webhookUrl: _url, trace: _trace, linkedTrace: _link, ...rest } = head;
  return { ...rest, erased: "all" };
}

/** Returns the end of an attempt without the provider's message. */
export function silentEnd({ error: _, ...rest }: AttemptEnd): AttemptEnd {
  return rest;
}

/** Whether a request was erased. A request that can still be called has messages or a body. */
export function isErased(request: JobRequest): boolean {
  return isNative(request) ? request.native.body === "" : request.messages.length === 0;
}
