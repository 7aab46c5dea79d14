// Formats the frames of streamed answers of the Bedrock Runtime API.
import type { SluiceError } from "../../domain/errors.ts";
import { encodeEvent, encodeException } from "../../event-stream/event-stream-encoder.ts";
import { eventsOfLines } from "../../native/event-lines.ts";
import { bedrockErrorOf, streamExceptionOf } from "./bedrock-errors.ts";

export const frameType = "application/vnd.amazon.eventstream";

/** Type of the events that keep a stream alive. AWS's SDKs skip events of unknown types. */
const waitingType = "sluiceWaiting";

/** Why a stream has nothing to send yet. */
export interface StreamWait {
  /** Whether the job waits in the queue or runs. */
  state: "queued" | "in_progress";
  /** Position in the queue, from 1. Null if it is unknown, or if the job runs. */
  position: number | null;
  /** Expected start, in ISO 8601. Null if it is unknown, or if the job runs. */
  expected_start: string | null;
  /** A sentence that says what the job waits for. Absent if it runs. */
  message?: string;
}

/** Returns the frames of whole event lines. */
export function framesOf(lines: string): Buffer {
  return Buffer.concat(eventsOfLines(lines).map(([type, payload]) => encodeEvent(type, payload)));
}

/** Returns a frame that keeps a stream alive. */
export function waitingFrame(wait: StreamWait): Buffer {
  return encodeEvent(waitingType, JSON.stringify(wait));
}

/** Returns the frame that ends a stream with an error. */
export function failureFrame(error: Pick<SluiceError, "code" | "message">): Buffer {
  return encodeException(streamExceptionOf(error.code), bedrockErrorOf(error).message);
}
