// The one canonical form of what is asked, whatever door it came in by. It is what the record stores and what every
// provider translates from.

export interface CanonicalRequest {
  /** Starts with a user message; roles alternate; no blank text (see `normaliseMessages`). */
  messages: Message[];
  system?: string;
  tools?: Tool[];
  toolChoice?: "auto" | "required" | { name: string };
  parameters: Parameters;
}

export interface Message {
  role: "user" | "assistant";
  content: ContentBlock[];
}

export type ContentBlock =
  | { type: "text"; text: string }
  | { type: "tool_call"; id: string; name: string; input: unknown }
  | { type: "tool_result"; callId: string; text: string; isError?: boolean };

export interface Tool {
  name: string;
  description?: string;
  /** JSON Schema of the tool's input. */
  inputSchema: unknown;
}

/** Absent parameters are left to the model's default. */
export interface Parameters {
  /** Sent as `max_tokens`. Always set: an unset maximum would reserve the model's own. */
  maxTokens: number;
  temperature?: number;
  topP?: number;
  stop?: string[];
}

/**
 * The same conversation in the form that providers take: blank texts and empty messages are dropped, neighbouring
 * messages of one role are merged (Bedrock refuses each of these with a 400). Nothing else changes, and the argument is
 * left as it is. The result may be empty or start with the assistant: then there is nothing that could be asked.
 */
export function normaliseMessages(messages: readonly Message[]): Message[] {
  const result: Message[] = [];
  for (const { role, content } of messages) {
    const kept = content.filter((block) => block.type !== "text" || block.text.trim() !== "");
    if (kept.length === 0) continue;
    const last = result.at(-1);
    if (last?.role === role) last.content.push(...kept);
    else result.push({ role, content: kept });
  }
  return result;
}
