// The one canonical form of what is asked, whatever door it came in by. It is what the record stores and what every
// provider translates from.

export interface CanonicalRequest {
  /** Starts with a user message; roles alternate (see `normalise`). */
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
