// Formats events, errors and headers for one API. This is what differs between the APIs that share the simulator's
// port.
import { encodeError, encodeEvent, encodeException } from "../event-stream/event-stream-encoder.ts";
import type { BedrockError } from "./aws-errors.ts";
import type { StreamEvent } from "./dialects.ts";
import type { Exchange } from "./exchange.ts";
import { sendError } from "./simulator-server.ts";

/** Format of one API's responses. */
export interface Wire {
  /** Content type of a stream. */
  streamType: string;
  /** Header with the request's id. */
  requestIdHeader: string;
  event(event: StreamEvent): Buffer;
  /** An exception within a stream. */
  exception(name: string, message: string): Buffer;
  /** An error within a stream that no service models. */
  errorFrame(name: string, message: string): Buffer;
  /** Corrupts the frame. */
  corrupt(frame: Buffer): Buffer;
  sendError(exchange: Exchange, error: BedrockError, requestId: string, headers?: Record<string, string>): void;
}

export const bedrockWire: Wire = {
  streamType: "application/vnd.amazon.eventstream",
  requestIdHeader: "x-amzn-requestid",
  event: ({ type, payload }) => encodeEvent(type, JSON.stringify(payload)),
  exception: (name, message) => encodeException(memberName(name), message),
  errorFrame: encodeError,
  corrupt(frame) {
    frame[frame.length - 1]! ^= 0xff;
    return frame;
  },
  sendError,
};

/** Returns the exception's member in the stream's union: throttlingException for ThrottlingException. */
function memberName(error: string): string {
  return error[0]!.toLowerCase() + error.slice(1);
}
