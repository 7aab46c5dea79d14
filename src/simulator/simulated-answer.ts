// Sends an answer at its pace, as one body or as a stream, and injects faults.
import { systemClock } from "../domain/clock.ts";
import { printJson } from "../domain/json-text.ts";
import type { Wire } from "./aws-bodies.ts";
import { BedrockError, defaultMessage, statusOf } from "./aws-errors.ts";
import type { Dialect, Rendering, StreamEvent, Timing } from "./dialects.ts";
import type { Exchange } from "./exchange.ts";
import { eventsBefore, type Fault, failsBeforeFirstByte } from "./faults.ts";

/** An answer to send. */
export interface Delivery {
  exchange: Exchange;
  requestId: string;
  dialect: Dialect;
  wire: Wire;
  /** Headers of every answer, in addition to the dialect's. */
  headers: Record<string, string>;
  rendering: Rendering;
  fault: Fault | undefined;
  /** Time to the first token, in milliseconds. */
  latencyMs: number;
  /** Time for every further token, in milliseconds. */
  msPerToken: number;
  /** Called once, before the end of the answer is sent, so that the quotas are updated before the client knows. */
  settle: (outputTokens: number) => void;
}

/** Result of a delivery. `exchange.disconnected` shows whether the client disconnected. */
export interface Delivered {
  /** Absent if nothing was sent. */
  status?: number;
  error?: string;
  broken: boolean;
}

/**
 * Shortest pause, in milliseconds. Shorter ones are added to later ones, because a timer is only exact to a
 * millisecond.
 */
const shortestPauseMs = 4;

/** Sends an answer as one body. */
export async function deliverWhole(delivery: Delivery): Promise<Delivered> {
  const { exchange, requestId, dialect, wire, rendering, fault, settle } = delivery;
  const startedAt = systemClock.now();
  if (failsBeforeFirstByte(fault)) return failBeforeFirstByte(delivery);
  await exchange.sleep(delivery.latencyMs + rendering.answer.tokens * delivery.msPerToken);
  if (fault?.kind === "stall") await exchange.closed;
  // A model finishes its answer even if the client has disconnected.
  settle(rendering.answer.tokens);

  const { json, headers } = dialect.body(rendering, timing(delivery, startedAt));
  const allHeaders = { ...commonHeaders(delivery, "application/json"), ...headers };
  const body = printJson(json);
  switch (fault?.kind) {
    case "cut":
    case "stall":
      exchange.cut();
      return { broken: true };
    case "reset":
      exchange.reset();
      return { broken: true };
    case "early_end":
    case "truncated_frame":
      await exchange.sendHalf(200, allHeaders, body);
      return { status: 200, broken: true };
    case "bad_checksum":
      exchange.send(200, allHeaders, `#${body}`);
      return { status: 200, broken: true };
    case "exception":
    case "error_frame": {
      const { name, message } = errorOf(fault);
      const error = new BedrockError(name, message, statusOf(name) ?? 500);
      wire.sendError(exchange, error, requestId);
      return { status: error.status, error: name, broken: true };
    }
    default:
      exchange.send(200, allHeaders, body);
      return { status: 200, broken: makesUnusable(fault) };
  }
}

/** Sends an answer as a stream. */
export async function deliverStream(delivery: Delivery): Promise<Delivered> {
  const { exchange, dialect, wire, rendering, fault, settle } = delivery;
  const startedAt = systemClock.now();
  if (failsBeforeFirstByte(fault)) return failBeforeFirstByte(delivery);
  await exchange.sleep(delivery.latencyMs);
  if (exchange.disconnected) {
    settle(0);
    return { broken: false };
  }
  exchange.begin(commonHeaders(delivery, wire.streamType));

  const events = dialect.events(rendering);
  const faultAfter = eventsBefore(fault);
  if (fault?.kind === "unknown_event") {
    events.splice(faultAfter ?? 0, 0, { type: "somethingNew", payload: { value: 1 }, tokens: 0 });
  } else if (faultAfter !== undefined) events.length = Math.min(events.length, faultAfter);
  const { tokens, unsent } = await sendPaced(delivery, events);
  if (!fault || faultAfter === undefined || fault.kind === "unknown_event") {
    settle(tokens);
    // Sends the rest in one write with the end. With separate writes for head, text and end, a stream of 100 tokens
    // without pauses took 242 us of CPU instead of 179.
    exchange.end(encode(wire, [...unsent, ...dialect.ending(rendering, timing(delivery, startedAt))]));
    return { status: 200, broken: makesUnusable(fault) };
  }

  await exchange.write(encode(wire, unsent));
  if (fault.kind === "stall") await exchange.closed;
  settle(tokens);
  const error = breakStream(delivery, fault, dialect.ending(rendering, timing(delivery, startedAt)));
  return { status: 200, ...(error !== undefined && { error }), broken: true };
}

/** Ends a stream according to the fault. Returns the name of the error that was sent, if any. */
function breakStream({ exchange, wire }: Delivery, fault: Fault, ending: StreamEvent[]): string | undefined {
  switch (fault.kind) {
    case "exception":
    case "error_frame": {
      const { name, message } = errorOf(fault);
      exchange.end(fault.kind === "exception" ? wire.exception(name, message) : wire.errorFrame(name, message));
      return name;
    }
    case "early_end":
      exchange.end();
      break;
    case "truncated_frame": {
      const frame = encode(wire, ending.slice(0, 1));
      exchange.end(frame.subarray(0, frame.length / 2));
      break;
    }
    case "bad_checksum":
      exchange.end(wire.corrupt(encode(wire, ending.slice(0, 1))));
      break;
    case "reset":
      exchange.reset();
      break;
    default:
      exchange.cut();
  }
  return undefined;
}

/** Returns the name and message of an exception or an error frame. */
function errorOf(fault: Extract<Fault, { kind: "exception" | "error_frame" }>): { name: string; message: string } {
  const name = fault.kind === "exception" ? fault.error : (fault.code ?? "InternalFailure");
  return { name, message: fault.message ?? defaultMessage(name) };
}

/** Whether a fault makes a complete answer unusable. An unknown event does not. */
function makesUnusable(fault: Fault | undefined): boolean {
  return fault !== undefined && fault.kind !== "unknown_event";
}

interface Paced {
  /** Tokens in the events that were sent, or were due, before the client disconnected. */
  tokens: number;
  /** Events that are due and not yet sent. */
  unsent: StreamEvent[];
}

/** Sends events no faster than tokens are generated. */
async function sendPaced({ exchange, wire, msPerToken }: Delivery, events: StreamEvent[]): Promise<Paced> {
  const startedAt = systemClock.now();
  let tokens = 0;
  let due: StreamEvent[] = [];
  for (const event of events) {
    const pauseMs = startedAt + tokens * msPerToken - systemClock.now();
    if (event.tokens > 0 && pauseMs >= shortestPauseMs) {
      await exchange.write(encode(wire, due));
      due = [];
      await exchange.sleep(pauseMs);
      if (exchange.disconnected) break;
    }
    due.push(event);
    tokens += event.tokens;
  }
  return { tokens, unsent: due };
}

async function failBeforeFirstByte({ exchange, fault, latencyMs, settle }: Delivery): Promise<Delivered> {
  await exchange.sleep(latencyMs);
  if (fault?.kind === "stall") await exchange.closed;
  settle(0);
  if (fault?.kind === "reset") exchange.reset();
  else exchange.cut();
  return { broken: true };
}

function encode(wire: Wire, events: StreamEvent[]): Buffer {
  return Buffer.concat(events.map(wire.event));
}

function timing(delivery: Delivery, startedAt: number): Timing {
  return { totalMs: Math.round(systemClock.now() - startedAt), firstTokenMs: Math.round(delivery.latencyMs) };
}

function commonHeaders({ wire, requestId, headers }: Delivery, contentType: string): Record<string, string> {
  return { "content-type": contentType, [wire.requestIdHeader]: requestId, ...headers };
}
