// Everything that can be made to go wrong, as one vocabulary.
//
// `afterEvents` counts what a streamed answer sends before the fault strikes: 0 is the HTTP header alone, 1 in
// ConverseStream is messageStart, and so on; it never gets as far as the event that ends the message, so a fault that
// is asked for always happens. Absent means before the first byte of the response. An answer that is not streamed has
// no events: there every `afterEvents` is after the time that the answer takes, and before its first byte.
import type { BedrockErrorName } from "./errors.ts";

export type Fault =
  /**
   * Refused with an HTTP error, before quotas are looked at: nothing is charged. Throttling, 503, 500, a Legacy model
   * and the like. Without a message it is Bedrock's own for "too many requests" and for 503.
   */
  | { kind: "error"; error: BedrockErrorName; message?: string; retryAfterS?: number }
  /** 529 with a body in Anthropic's shape and no error type that an SDK would know; nothing is charged. */
  | { kind: "overloaded"; retryAfterS?: number }
  /** 502 with a page of HTML, as from a proxy; nothing is charged. */
  | { kind: "html" }
  /** The TCP connection is reset. */
  | { kind: "cut"; afterEvents?: number }
  /** Nothing more is sent and the connection stays open, until the client gives up. */
  | { kind: "stall"; afterEvents?: number }
  /** The stream ends cleanly between two frames, without messageStop. Not streamed: the body ends in its middle. */
  | { kind: "early_end"; afterEvents: number }
  /** An exception within the stream; the first frame if `afterEvents` is 0. Not streamed: an HTTP error. */
  | { kind: "exception"; error: StreamErrorName; message?: string; afterEvents: number }
  /** The answer is complete but does not say what it used. */
  | { kind: "no_usage" }
  /** HTTP 200 and a stop reason that means failure, such as guardrail_intervened. Converse only. */
  | { kind: "stop_reason"; stopReason: string };

/** Exceptions that can be members of a response stream. ModelTimeoutException only of InvokeModel's. */
export type StreamErrorName = Extract<
  BedrockErrorName,
  | "InternalServerException"
  | "ModelStreamErrorException"
  | "ModelTimeoutException"
  | "ServiceUnavailableException"
  | "ThrottlingException"
  | "ValidationException"
>;
