// Formats a streamed message as Anthropic's server-sent events. Their data is what the model sent.
import { eventsOfLines } from "../../native/event-lines.ts";
import { decodedChunk } from "../../native/native-answer.ts";

/** One server-sent event. */
export interface MessageEvent {
  /** The event's name, such as message_start. */
  event: string;
  /** JSON on one line. */
  data: string;
}

/** The event that keeps a stream alive. Anthropic's SDKs skip it. */
export const pingEvent: MessageEvent = { event: "ping", data: '{"type":"ping"}' };

/** Returns the events of whole event lines. */
export function messageEventsOf(lines: string): MessageEvent[] {
  return eventsOfLines(lines).flatMap(([, payload]) => {
    const data = decodedChunk(payload);
    const event = typeOf(data);
    // In JSON, line breaks can only be between tokens.
    return event === undefined ? [] : [{ event, data: data.replace(/[\r\n]+/g, " ") }];
  });
}

function typeOf(json: string): string | undefined {
  try {
    const { type } = JSON.parse(json) as { type?: unknown };
    return typeof type === "string" ? type.replace(/[\r\n]/g, "") : undefined;
  } catch {
    return undefined;
  }
}
