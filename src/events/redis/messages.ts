// What goes over a channel: who sent it, then JSON. A process ignores what it sent itself (its own listeners have been
// told) and what it does not understand (a newer version may run beside it).
import type { JobId } from "../../domain/ids.ts";
import type { JobEvent } from "../event-bus.ts";

/** `wanted`: the sender has listeners for the job's text; `anew`: one of them may have missed what was said so far. */
export type Message = JobEvent | { type: "wanted"; jobId: JobId; anew?: true };

/** The first characters of every message. */
export const originLength = 8;

const types: ReadonlySet<string> = new Set<Message["type"]>(["state", "tokens", "restart", "wanted"]);

export function encode(origin: string, message: Message): string {
  return origin + JSON.stringify(message);
}

/** Undefined for an own message, one of a type that is not known, and one that is none. */
export function decode(origin: string, jobId: JobId, text: string): Message | undefined {
  if (text.startsWith(origin)) return undefined;
  try {
    const message = JSON.parse(text.slice(originLength)) as Message | null;
    return message?.jobId === jobId && types.has(message.type) ? message : undefined;
  } catch {
    return undefined;
  }
}
