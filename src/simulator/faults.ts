// Everything that can be made to go wrong, as one vocabulary, and when it is to happen. Plain data: a rule can be
// written in a file or on the command line.
import type { AnyErrorName, BedrockErrorName } from "./aws-errors.ts";
import type { Operation } from "./simulated-models.ts";

/**
 * `afterEvents` counts what a streamed answer sends before the fault strikes: 0 is the HTTP header alone, 1 in
 * ConverseStream is messageStart, and so on; it never gets as far as the event that ends the message, so a fault that is
 * asked for always happens. An answer that is not streamed has no events: there every `afterEvents` is after the time
 * that the answer takes, and before its first byte.
 */
export type Fault =
  /**
   * Refused with an HTTP error, before quotas are looked at: nothing is charged. Throttling, 503, 500, a Legacy model
   * and the like. Without a message it is Bedrock's own for "too many requests" and for 503. `status` must be given
   * for a name that is not one of Bedrock's, and without a name: then the answer says no type, as a gateway's does.
   */
  | { kind: "error"; error?: AnyErrorName; status?: number; message?: string; retryAfterS?: number }
  /** 529 with a body in Anthropic's shape and no error type that an SDK would know; nothing is charged. */
  | { kind: "overloaded"; retryAfterS?: number }
  /** A page of HTML, as from a proxy; nothing is charged. Status 502 by default; 200 looks like an answer. */
  | { kind: "html"; status?: number }
  /** A body that says it is JSON and is not; nothing is charged. Status 500 by default. */
  | { kind: "not_json"; status?: number }
  /** The connection is closed in the middle of the response; without `afterEvents` before its first byte. */
  | { kind: "cut"; afterEvents?: number }
  /** The same with a TCP reset. */
  | { kind: "reset"; afterEvents?: number }
  /** Nothing more is sent, not even an end, until the client gives up; without `afterEvents` not the first byte. */
  | { kind: "stall"; afterEvents?: number }
  /** The stream ends cleanly between two frames, without messageStop. Not streamed: the body ends in its middle. */
  | { kind: "early_end"; afterEvents?: number }
  /** The stream ends cleanly in the middle of a frame. Not streamed: as `early_end`. */
  | { kind: "truncated_frame"; afterEvents?: number }
  /** A frame whose checksum is wrong, and the end. Not streamed: a body that is not JSON. */
  | { kind: "bad_checksum"; afterEvents?: number }
  /**
   * An exception within the stream; the first frame if `afterEvents` is 0, which is the default. Any name may be given,
   * such as one that the SDK does not know. Not streamed: an HTTP error, 500 if the name is not one of Bedrock's.
   */
  | { kind: "exception"; error: StreamErrorName | (string & {}); message?: string; afterEvents?: number }
  /** A frame of the type `error`, which no service models. Not streamed: HTTP 500 of that name. */
  | { kind: "error_frame"; code?: string; message?: string; afterEvents?: number }
  /** An event of a type that the SDK does not know, and then the rest of the answer. */
  | { kind: "unknown_event"; afterEvents?: number }
  /** The answer is complete but does not say what it used. */
  | { kind: "no_usage" }
  /** HTTP 200 and a stop reason that means failure, such as guardrail_intervened. Converse only. */
  | { kind: "stop_reason"; stopReason: string };

/** Exceptions that are members of a response stream. ModelTimeoutException only of InvokeModel's. */
export type StreamErrorName = Extract<
  BedrockErrorName,
  | "InternalServerException"
  | "ModelStreamErrorException"
  | "ModelTimeoutException"
  | "ServiceUnavailableException"
  | "ThrottlingException"
  | "ValidationException"
>;

/** Which calls a fault befalls: those that meet every condition that is given. */
export interface FaultCondition {
  /** As it was called, without an ARN; the bare ID stands for its profiles too. */
  modelId?: string;
  region?: string;
  operation?: Operation;
  /** A part of what the user said last. */
  promptIncludes?: string;
  /** From this time since the simulator's start, in ms of its clock. */
  fromMs?: number;
  /** Up to this time since the start, not included. */
  untilMs?: number;
  /** Every n-th of the calls that meet the conditions above. */
  every?: number;
  /** This share of them, by the seed; above 0 and up to 1. */
  share?: number;
  /** No more than this many times. */
  times?: number;
}

export type FaultRule = Fault & FaultCondition;

/** How many events of a stream are sent first; undefined if the fault does not strike within one. */
export function eventsBefore(fault: Fault | undefined): number | undefined {
  switch (fault?.kind) {
    case "cut":
    case "reset":
    case "stall":
      return fault.afterEvents;
    case "early_end":
    case "truncated_frame":
    case "bad_checksum":
    case "exception":
    case "error_frame":
    case "unknown_event":
      return fault.afterEvents ?? 0;
    default:
      return undefined;
  }
}

/** Whether not even the head of the response is sent. */
export function strikesBeforeFirstByte(fault: Fault | undefined): boolean {
  return (
    (fault?.kind === "cut" || fault?.kind === "reset" || fault?.kind === "stall") && fault.afterEvents === undefined
  );
}
