// All faults that can be injected, and the conditions for them. Plain data: a rule can be written in a file or on the
// command line.
import type { AnyErrorName, BedrockErrorName } from "./aws-errors.ts";
import type { Operation } from "./simulated-models.ts";

/**
 * A fault.
 *
 * `afterEvents` is the number of events that a streamed answer sends before the fault. 0 is the HTTP header alone, 1 in
 * ConverseStream is messageStart, and so on. The event that ends the message is never sent first, so a requested fault
 * always happens. An unstreamed answer has no events. There, any `afterEvents` means after the time that the answer
 * takes, and before its first byte.
 */
export type Fault =
  /**
   * Refuses with an HTTP error before the quotas are checked, so nothing is charged: throttling, 503, 500, a Legacy
   * model and the like. Default messages are Bedrock's own for "too many requests" and for 503. `status` is required
   * without `error`, and for an error that is not Bedrock's. Without `error` the response has no type, like a
   * gateway's.
   */
  | { kind: "error"; error?: AnyErrorName; status?: number; message?: string; retryAfterS?: number }
  /** Refuses with 529, a body in Anthropic's format and no error type that an SDK knows. Nothing is charged. */
  | { kind: "overloaded"; retryAfterS?: number }
  /**
   * Answers with an HTML page, like a proxy. Nothing is charged. Default status 502; with 200 it looks like an answer.
   */
  | { kind: "html"; status?: number }
  /** Sends a body that claims to be JSON but is not. Nothing is charged. Default status 500. */
  | { kind: "not_json"; status?: number }
  /** Closes the connection in the middle of the response. Without `afterEvents`, before the first byte. */
  | { kind: "cut"; afterEvents?: number }
  /** Closes the connection like `cut`, with a TCP reset. */
  | { kind: "reset"; afterEvents?: number }
  /** Sends nothing more, not even an end, until the client gives up. Without `afterEvents`, not even the first byte. */
  | { kind: "stall"; afterEvents?: number }
  /** Ends the stream cleanly between two frames, without messageStop. Unstreamed: ends the body in its middle. */
  | { kind: "early_end"; afterEvents?: number }
  /** Ends the stream cleanly in the middle of a frame. Unstreamed: like `early_end`. */
  | { kind: "truncated_frame"; afterEvents?: number }
  /** Sends a frame with a wrong checksum and ends the stream. Unstreamed: sends a body that is not JSON. */
  | { kind: "bad_checksum"; afterEvents?: number }
  /**
   * Sends an exception within the stream. It is the first frame if `afterEvents` is 0, the default. Any name is
   * allowed, even one that the SDK does not know. Unstreamed: an HTTP error, 500 if the name is not Bedrock's.
   */
  | { kind: "exception"; error: StreamErrorName | (string & {}); message?: string; afterEvents?: number }
  /** Sends a frame of type `error`, which no service models. Unstreamed: HTTP 500 with that name. */
  | { kind: "error_frame"; code?: string; message?: string; afterEvents?: number }
  /** Sends an event of a type that the SDK does not know, and then the rest of the answer. */
  | { kind: "unknown_event"; afterEvents?: number }
  /** Sends a complete answer without usage. */
  | { kind: "no_usage" }
  /** Sends HTTP 200 with a stop reason that means failure, such as guardrail_intervened. Converse only. */
  | { kind: "stop_reason"; stopReason: string };

/** Exceptions that are members of a response stream. ModelTimeoutException is a member of InvokeModel's only. */
export type StreamErrorName = Extract<
  BedrockErrorName,
  | "InternalServerException"
  | "ModelStreamErrorException"
  | "ModelTimeoutException"
  | "ServiceUnavailableException"
  | "ThrottlingException"
  | "ValidationException"
>;

/** Conditions of a fault. It applies to calls that meet every condition that is set. */
export interface FaultCondition {
  /** Model ID as it was called, without an ARN. A bare ID includes its profiles. */
  modelId?: string;
  region?: string;
  operation?: Operation;
  /** Part of the user's last message. */
  promptIncludes?: string;
  /** Begin, in milliseconds of the simulator's clock since its start. */
  fromMs?: number;
  /** End, exclusive, in milliseconds since the start. */
  untilMs?: number;
  /** Applies to every n-th call that meets the conditions above. */
  every?: number;
  /** Applies to this share of those calls, chosen by the seed. Above 0 and up to 1. */
  share?: number;
  /** Maximum number of times. */
  times?: number;
}

export type FaultRule = Fault & FaultCondition;

/** Returns how many events of a stream are sent before the fault, or undefined if it does not apply within a stream. */
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

/** Whether the fault applies before the head of the response is sent. */
export function failsBeforeFirstByte(fault: Fault | undefined): boolean {
  return (
    (fault?.kind === "cut" || fault?.kind === "reset" || fault?.kind === "stall") && fault.afterEvents === undefined
  );
}
