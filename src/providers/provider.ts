// The port to the services that generate text. An adapter makes exactly one request per call and never retries. The
// stored attempts and the scheduler's charges are only correct if one call is one request.
import type { ErrorCode } from "../domain/errors.ts";
import type { FinishReason, ToolCall, Usage } from "../domain/job.ts";
import type { NativeAnswer } from "../domain/native-request.ts";
import { type CanonicalRequest, isNative, type JobRequest, type Reasoning } from "../domain/request.ts";
import type { TraceContext } from "../domain/trace-context.ts";

/** A service that generates text. */
export interface Provider {
  /**
   * Runs one request to its end.
   * @throws ProviderError for everything that is not a usable answer, aborts included
   */
  call(call: ProviderCall): Promise<ProviderAnswer>;
  close(): Promise<void>;
}

/** One call of a provider. */
export interface ProviderCall {
  request: JobRequest;
  /** Aborting ends the call at once with kind `aborted`. */
  signal: AbortSignal;
  /**
   * Maximum size of a native answer as it is received, in bytes of UTF-8. What is extracted from it has the bounds of
   * every other answer. Default: those bounds, 4 MiB.
   */
  maxAnswerBytes?: number;
  /**
   * Called with each chunk of text as it arrives. For a native request that is streamed, called with whole lines of
   * `NativeAnswer.events` in place of text, each with its line break.
   */
  onText?: (text: string) => void;
  /** Called with each chunk of a stream that the model generated: text, reasoning and tool arguments alike. */
  onOutput?: (piece: string) => void;
  /** Called once the operating system has taken the whole request. Not called if sending fails. */
  onSent?: () => void;
  /** Trace that the call belongs to. It is sent only to OpenAI-compatible servers. */
  trace?: TraceContext;
}

/**
 * Returns a call's arguments as the model wrote them. A call of a tool without parameters may have none, which becomes
 * `{}`.
 */
export function argumentsOrEmpty(text: string): string {
  return text.trim() === "" ? "{}" : text;
}

type Content = Pick<ProviderAnswer, "text" | "toolCalls" | "finishReason">;

/**
 * Returns the answer with the answer tool's input as its text. If the model did not call that tool, returns the answer
 * unchanged: its text is the answer.
 */
export function answeredByTool(answer: Content, answerTool: string | undefined): Content {
  const carrier = answerTool === undefined ? undefined : answer.toolCalls.find(({ name }) => name === answerTool);
  if (!carrier) return answer;
  const toolCalls = answer.toolCalls.filter(({ name }) => name !== answerTool);
  const isWhole = answer.finishReason !== "length" && toolCalls.length === 0;
  return { text: carrier.arguments, toolCalls, finishReason: isWhole ? "stop" : answer.finishReason };
}

/** A complete answer. */
export interface ProviderAnswer {
  text: string;
  toolCalls: ToolCall[];
  /** What the model thought before it answered. Absent: nothing, or the provider does not show it. */
  reasoning?: Reasoning[];
  /** The answer verbatim. Set if the request was native. */
  native?: NativeAnswer;
  /** Vectors in the order of the texts, each as the JSON list that the provider wrote. Set if vectors were requested. */
  vectors?: string[];
  finishReason: FinishReason;
  /** Absent if the provider did not report it. */
  usage?: Usage;
  /** Usage that the quotas count, if it differs from `usage`. Some providers count cached tokens. */
  quotaUsage?: Usage;
  requestId?: string;
  /** Service tier that the provider reports. */
  serviceTier?: string;
  /** Time from sending the request to the first token, in milliseconds. Set if streamed. */
  firstTokenMs?: number;
}

/** The quota that the provider names as exceeded. */
export type ThrottleKind = "requests" | "tokens" | "tokens_per_day" | "unknown";

/**
 * Kind of a failure. The worker acts on nothing else.
 * - `throttled`: our quota; the job keeps its place and the quota learns
 * - `capacity`: the provider is overloaded; the deployment cools down, the job keeps its place
 * - `misconfigured`: the deployment cannot work (credentials, access, wrong id); it is taken out of service
 * - `unclear`: refused, and the wording does not show whether the request or the deployment is at fault
 * - `transient`: may succeed if tried again; counts as a failed try
 * - `permanent`: the request can never succeed
 * - `aborted`: the signal was aborted
 */
export type FailureKind =
  | "throttled"
  | "capacity"
  | "misconfigured"
  | "unclear"
  | "transient"
  | "permanent"
  | "aborted";

/** Why a call has no answer. */
export interface ProviderFailure {
  kind: FailureKind;
  /** Code from the table of errors, for a job that ends with this failure. */
  code: ErrorCode;
  /** Message for people: the provider's own and, if it helps, what to do. */
  message: string;
  /** What the operator can do if the deployment is at fault. Set only with `unclear`. Otherwise the message says it. */
  advice?: string;
  throttle?: ThrottleKind;
  /** Wait that the provider asked for, in milliseconds. */
  retryAfterMs?: number;
  /** Whether the provider may have generated (and billed) something: after a cut or a timeout, not after a refusal. */
  maybeBilled: boolean;
  usage?: Usage;
  /** Usage that the quotas count, as in an answer. */
  quotaUsage?: Usage;
  requestId?: string;
  serviceTier?: string;
}

/** The error that every failed call throws. */
export class ProviderError extends Error {
  override readonly name = "ProviderError";
  readonly failure: ProviderFailure;

  constructor(failure: ProviderFailure, options?: ErrorOptions) {
    super(failure.message, options);
    this.failure = failure;
  }
}

/**
 * Returns the request of a call that must be in canonical form.
 * @throws ProviderError for a native request, which the provider cannot send. It is permanent
 */
export function requireCanonical(request: JobRequest): CanonicalRequest {
  if (!isNative(request)) return request;
  const message = "The request has Bedrock's own format, which this deployment cannot send.";
  throw new ProviderError({ kind: "permanent", code: "provider_rejected", message, maybeBilled: false });
}
