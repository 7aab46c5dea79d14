// The format of messages on a channel: the sender, then JSON. A process ignores its own messages, because it has
// already notified its own listeners. It also ignores messages that it does not understand, which a newer version may
// send.
import type { JobId } from "../../domain/ids.ts";
import type { JobEvent } from "../event-bus.ts";

/**
 * A job event or a request for text. `wanted`: the sender has listeners for the job's text. `anew`: one of them may
 * have missed some of it.
 */
export type Message = JobEvent | { type: "wanted"; jobId: JobId; anew?: true };

/** Number of characters at the start of every message that identify the sender. */
export const originLength = 8;

const types: ReadonlySet<string> = new Set<Message["type"]>(["state", "tokens", "restart", "wanted"]);

/** Formats a message of a sender. */
export function encode(origin: string, message: Message): string {
  return origin + JSON.stringify(message);
}

/** Parses a message. Returns undefined for an own message, an unknown type, and invalid text. */
export function decode(origin: string, jobId: JobId, text: string): Message | undefined {
  if (text.startsWith(origin)) return undefined;
  try {
    const message = JSON.parse(text.slice(originLength)) as Message | null;
    return message?.jobId === jobId && types.has(message.type) ? message : undefined;
  } catch {
    return undefined;
  }
}
