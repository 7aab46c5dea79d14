// How events, errors and headers are put on the wire: what differs between the APIs that share the simulator's port once
// it is clear what is to be said.

import type { BedrockError } from "./aws-errors.ts";
import { encodeError, encodeEvent, encodeException } from "./aws-event-stream.ts";
import type { StreamEvent } from "./dialects.ts";
import type { Exchange } from "./exchange.ts";
import { sendError } from "./simulator-server.ts";

export interface Wire {
  /** The content type of a stream. */
  streamType: string;
  /** The header with the request's id. */
  requestIdHeader: string;
  event(event: StreamEvent): Buffer;
  /** An exception within a stream. */
  exception(name: string, message: string): Buffer;
  /** An error within a stream that no service models. */
  errorFrame(name: string, message: string): Buffer;
  /** The same frame, spoilt. */
  corrupt(frame: Buffer): Buffer;
  sendError(exchange: Exchange, error: BedrockError, requestId: string, headers?: Record<string, string>): void;
}

export const bedrockWire: Wire = {
  streamType: "application/vnd.amazon.eventstream",
  requestIdHeader: "x-amzn-requestid",
  event: ({ type, payload }) => encodeEvent(type, payload),
  exception: (name, message) => encodeException(memberName(name), message),
  errorFrame: encodeError,
  corrupt(frame) {
    frame[frame.length - 1]! ^= 0xff;
    return frame;
  },
  sendError,
};

/** ThrottlingException -> throttlingException: the name of the exception's member in the stream's union. */
function memberName(error: string): string {
  return error[0]!.toLowerCase() + error.slice(1);
}
