// The one canonical form of what is asked, whatever door it came in by. It is what the record stores and what every
// provider translates from.

export interface CanonicalRequest {
  /** As the caller wrote them. What providers need in another form they put into it, such as `normaliseMessages`. */
  messages: Message[];
  system?: string;
  /** Asks the provider to keep what stands before (tools and `system`) in its prompt cache. */
  systemCachePoint?: CachePoint;
  tools?: Tool[];
  /** Whether the model may ask for several calls at once. A wish: not sent to models that have no word for it. */
  parallelToolCalls?: boolean;
  toolChoice?: "auto" | "required" | "none" | { name: string };
  /** The form that the answer must have; absent means free text. */
  responseFormat?: ResponseFormat;
  parameters: Parameters;
  /** Which of the provider's service tiers to run on; absent means its default. Tiers have prices of their own. */
  serviceTier?: "default" | "priority" | "flex";
  guardrail?: Guardrail;
}

export interface Message {
  role: "user" | "assistant";
  content: ContentBlock[];
  /** The caller wrote a chat's content as a list of parts. Default: a single text was a string. */
  isList?: true;
}

/** The result of a tool as one text. */
export function resultText({ text }: ContentBlock & { type: "tool_result" }): string {
  return typeof text === "string" ? text : text.join("");
}

/**
 * `arguments` is the text that the model wrote, as in `ToolCall`: parsed and printed again, large integers would change and
 * keys would move. A result is a list of texts where the caller wrote a list of parts.
 */
export type ContentBlock =
  | { type: "text"; text: string }
  | { type: "tool_call"; id: string; name: string; arguments: string }
  | { type: "tool_result"; callId: string; text: string | string[]; isError?: boolean }
  | { type: "cache_point"; cache: CachePoint };

/** Everything before it may be kept by the provider and read again at a lower price; ignored where a model has no cache. */
export interface CachePoint {
  /** How long it is kept; absent means the provider's default (five minutes). */
  ttl?: "5m" | "1h";
}

export type ResponseFormat =
  | { type: "json_object" }
  | { type: "json_schema"; name: string; description?: string; schema: JsonSchema; strict?: boolean };

/** A string is the text of a schema with a number that JavaScript cannot represent. It is sent as it is. */
export type JsonSchema = object | string;

/** A guardrail of the AWS account that input and answer pass through. */
export interface Guardrail {
  id: string;
  version: string;
}

export interface Tool {
  name: string;
  description?: string;
  /** JSON Schema of the tool's input. */
  inputSchema: JsonSchema;
}

/** Absent parameters are left to the model's default. */
export interface Parameters {
  /** Sent as `max_tokens`. Always set: an unset maximum would reserve the model's own. */
  maxTokens: number;
  temperature?: number;
  topP?: number;
  topK?: number;
  stop?: string[];
  /** A wish for the same answer to the same request. Not sent to models that have no seeds. */
  seed?: number;
  frequencyPenalty?: number;
  presencePenalty?: number;
  /** The words differ from model to model, such as `none`, `low` or `max`. */
  reasoningEffort?: string;
}

/**
 * The same conversation in the form that Bedrock takes: blank texts and empty messages are dropped, neighbouring
 * messages of one role are merged (each of these is refused with a 400). A cache point marks the end of what stands
 * before it: one that stands before everything marks nothing and is dropped, of several in a row the longest-lived is
 * kept, and one that is alone in its message moves to the end of the message before. Nothing else changes, and the
 * argument is left as it is. The result may be empty or start with the assistant: then there is nothing that could be
 * asked.
 */
export function normaliseMessages(messages: readonly Message[]): Message[] {
  const result: Message[] = [];
  for (const { role, content } of messages) {
    for (const block of content) {
      const last = result.at(-1);
      if (block.type === "cache_point") {
        if (last) mark(last.content, block);
      } else if (block.type !== "text" || block.text.trim() !== "") {
        if (last?.role === role) last.content.push(block);
        else result.push({ role, content: [block] });
      }
    }
  }
  return result;
}

function mark(content: ContentBlock[], point: ContentBlock & { type: "cache_point" }): void {
  const last = content.at(-1);
  if (last?.type !== "cache_point") content.push(point);
  else if (point.cache.ttl === "1h") content[content.length - 1] = point;
}
