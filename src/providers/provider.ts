// The port to whoever generates text. An adapter makes exactly one request per call and never retries: the attempts on
// record and the charges in the scheduler stay true only if one call is one request.
import type { ErrorCode } from "../domain/errors.ts";
import type { FinishReason, ToolCall, Usage } from "../domain/job.ts";
import type { CanonicalRequest } from "../domain/request.ts";

export interface Provider {
  /**
   * Runs one request to its end.
   * @throws ProviderError for everything that is not a usable answer, aborts included.
   */
  call(call: ProviderCall): Promise<ProviderAnswer>;
  close(): Promise<void>;
}

export interface ProviderCall {
  request: CanonicalRequest;
  /** Aborting ends the call at once with kind `aborted`. */
  signal: AbortSignal;
  /** Called with each piece of text as it comes. */
  onText?: (text: string) => void;
  /** Called with each piece of a stream that the model generated: text, reasoning and arguments of tools alike. */
  onOutput?: (piece: string) => void;
}

/** The arguments of a call as the model wrote them. A call of a tool without parameters may have none: that is `{}`. */
export function argumentsOrEmpty(text: string): string {
  return text.trim() === "" ? "{}" : text;
}

type Content = Pick<ProviderAnswer, "text" | "toolCalls" | "finishReason">;

/**
 * The answer with what the model gave to a tool as its text, where that tool carries the answer. Without a call of the
 * tool nothing changes: what the model said instead is the answer.
 */
export function answeredByTool(answer: Content, answerTool: string | undefined): Content {
  const carrier = answerTool === undefined ? undefined : answer.toolCalls.find(({ name }) => name === answerTool);
  if (!carrier) return answer;
  const toolCalls = answer.toolCalls.filter(({ name }) => name !== answerTool);
  const isWhole = answer.finishReason !== "length" && toolCalls.length === 0;
  return { text: carrier.arguments, toolCalls, finishReason: isWhole ? "stop" : answer.finishReason };
}

export interface ProviderAnswer {
  text: string;
  toolCalls: ToolCall[];
  finishReason: FinishReason;
  /** Absent if the provider did not say. */
  usage?: Usage;
  /** What the quotas count, where it is not `usage`: some providers count what was read from a cache. */
  quotaUsage?: Usage;
  requestId?: string;
  /** The service tier that the provider says it used. */
  serviceTier?: string;
  /** From sending to the first token, if streamed. */
  firstTokenMs?: number;
}

/** Which quota the provider says was exceeded. */
export type ThrottleKind = "requests" | "tokens" | "tokens_per_day" | "unknown";

/**
 * What kind of failure it was; the worker acts on nothing else.
 * - `throttled`      our quota; the job keeps its place and the quota learns
 * - `capacity`       the provider is overloaded; the deployment cools down, the job keeps its place
 * - `misconfigured`  the deployment cannot work (credentials, access, wrong id); it is taken out of service
 * - `unclear`        refused, and the words do not tell whether the request or the deployment is at fault
 * - `transient`      may succeed if tried again; counts as a failed try
 * - `permanent`      the request can never succeed
 * - `aborted`        the signal was aborted
 */
export type FailureKind =
  | "throttled"
  | "capacity"
  | "misconfigured"
  | "unclear"
  | "transient"
  | "permanent"
  | "aborted";

export interface ProviderFailure {
  kind: FailureKind;
  /** From the table of errors: what a job that ends with this failure says. */
  code: ErrorCode;
  /** For people: the provider's own words and, where it helps, what to do. */
  message: string;
  /** What the operator can do if the deployment is at fault. Only with `unclear`; elsewhere the message says it. */
  advice?: string;
  throttle?: ThrottleKind;
  /** The provider asked to wait this long. */
  retryAfterMs?: number;
  /** True if the provider may have generated (and billed) something: after a cut or a time-out, not after a refusal. */
  maybeBilled: boolean;
  usage?: Usage;
  /** As in an answer. */
  quotaUsage?: Usage;
  requestId?: string;
  serviceTier?: string;
}

export class ProviderError extends Error {
  override readonly name = "ProviderError";
  readonly failure: ProviderFailure;

  constructor(failure: ProviderFailure, options?: ErrorOptions) {
    super(failure.message, options);
    this.failure = failure;
  }
}
