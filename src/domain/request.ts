// The canonical form of a request, whichever API it arrived through. The record stores it, and every provider
// translates from it. A native request takes its place where the caller speaks Bedrock's own format.
import type { DocumentBlock, ImageBlock } from "./media.ts";
import type { NativeRequest, ServiceTier } from "./native-request.ts";

/** What a job sends to a model: a request in canonical form, or one in Bedrock's own format. */
export type JobRequest = CanonicalRequest | NativeRequest;

/** Whether a request is in Bedrock's own format. */
export function isNative(request: JobRequest): request is NativeRequest {
  return "native" in request;
}

/** Returns what is known of a request in canonical form. Of a native request that is its limit and its tier. */
export function canonicalPart(request: JobRequest): CanonicalRequest {
  if (!isNative(request)) return request;
  const { native: _, ...known } = request;
  return { messages: [], ...known };
}

/** A request to a model in canonical form. */
export interface CanonicalRequest {
  /**
   * Messages as the caller wrote them. Providers convert them to the form they need, for example with
   * `normaliseMessages`.
   */
  messages: Message[];
  system?: string;
  /** Asks the provider to keep everything before this point (tools and `system`) in its prompt cache. */
  systemCachePoint?: CachePoint;
  tools?: Tool[];
  /** Whether the model may request several calls at once. A preference: not sent to models that have no such option. */
  parallelToolCalls?: boolean;
  toolChoice?: "auto" | "required" | "none" | { name: string };
  /** Form that the answer must have. Absent: free text. */
  responseFormat?: ResponseFormat;
  parameters: Parameters;
  /** Service tier of the provider. Absent: its default. Tiers have their own prices. */
  serviceTier?: ServiceTier;
  guardrail?: Guardrail;
  /** Set if vectors are requested and no answer. Then the only message has the texts, one in each block. */
  embeddings?: EmbeddingOptions;
}

/** How texts become vectors. */
export interface EmbeddingOptions {
  /** Number of texts. It remains known when the texts are erased. */
  texts: number;
  /** Length of the vectors. Absent: the model's default. */
  dimensions?: number;
  /** What the vectors are for, if the model distinguishes that. Absent: the model's default. */
  inputType?: string;
  /** How the response prints the vectors. */
  format: "float" | "base64";
}

/** One message of a conversation. */
export interface Message {
  role: "user" | "assistant";
  content: ContentBlock[];
  /** Set if the caller wrote a chat's content as a list of parts. Default: a single text was a string. */
  isList?: true;
}

/** Returns the result of a tool as one text. */
export function resultText({ text }: ContentBlock & { type: "tool_result" }): string {
  return typeof text === "string" ? text : text.join("");
}

/**
 * A part of a message. `arguments` is the model's own text, as in `ToolCall`: parsing and printing would change large
 * integers and move keys. A tool result is a list of texts if the caller wrote a list of parts.
 */
export type ContentBlock =
  | { type: "text"; text: string }
  | { type: "tool_call"; id: string; name: string; arguments: string }
  | { type: "tool_result"; callId: string; text: string | string[]; isError?: boolean }
  | { type: "cache_point"; cache: CachePoint }
  | ImageBlock
  | DocumentBlock
  | ReasoningBlock;

/** What a model thought before it answered. It belongs to the assistant's message and precedes its text and calls. */
export interface ReasoningBlock extends Reasoning {
  type: "reasoning";
}

/** One piece of a model's reasoning. The caller may send it back in the next request. */
export interface Reasoning {
  /** Empty if the provider hides the reasoning. */
  text: string;
  /** The provider's proof that its model wrote this text. Claude refuses reasoning without it. Sent back verbatim. */
  signature?: string;
  /** Reasoning that the provider has encrypted, in base64. Sent back verbatim. */
  redacted?: string;
}

/** Lets the provider cache everything before it and read it again at a lower price. Ignored if a model has no cache. */
export interface CachePoint {
  /** Lifetime of the cache entry. Absent: the provider's default (five minutes). */
  ttl?: "5m" | "1h";
}

/** Form of an answer: any JSON object, or JSON of a schema. */
export type ResponseFormat =
  | { type: "json_object" }
  | { type: "json_schema"; name: string; description?: string; schema: JsonSchema; strict?: boolean };

/** A string is the text of a schema with a number that JavaScript cannot represent. It is sent verbatim. */
export type JsonSchema = object | string;

/** A guardrail of the AWS account that checks input and answer. */
export interface Guardrail {
  id: string;
  version: string;
}

/** A tool that the model may call. */
export interface Tool {
  name: string;
  description?: string;
  /** JSON Schema of the tool's input. */
  inputSchema: JsonSchema;
}

/** Parameters of generation. The model's defaults apply to absent ones. */
export interface Parameters {
  /** Sent as `max_tokens`. Always set, because an unset maximum would reserve the model's own. */
  maxTokens: number;
  temperature?: number;
  topP?: number;
  topK?: number;
  stop?: string[];
  /** Asks for the same answer to the same request. A preference: not sent to models without seeds. */
  seed?: number;
  frequencyPenalty?: number;
  presencePenalty?: number;
  /** Reasoning effort. Values differ from model to model, such as `none`, `low` or `max`. */
  reasoningEffort?: string;
}

/**
 * Returns the same conversation in the form that Bedrock accepts, and leaves the argument unchanged.
 * - Drops blank texts and empty messages, and merges adjacent messages of one role. Bedrock refuses each of these with
 * a 400.
 * - Drops a cache point at the beginning, because it marks nothing.
 * - Keeps the longest-lived of adjacent cache points.
 * - Moves a cache point that is alone in its message to the end of the previous message.
 * - Drops reasoning that nothing of its message follows, because models refuse a message of reasoning alone.
 * The result may be empty or start with the assistant. Then the conversation cannot be sent.
 */
export function normaliseMessages(messages: readonly Message[]): Message[] {
  const merged = mergedMessages(messages);
  const isBare = ({ content }: Message) =>
    content.every(({ type }) => type === "reasoning" || type === "cache_point") &&
    content.some(({ type }) => type === "reasoning");
  return merged.some(isBare) ? mergedMessages(merged.filter((message) => !isBare(message))) : merged;
}

function mergedMessages(messages: readonly Message[]): Message[] {
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
