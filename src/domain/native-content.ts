// Reads from a body in Bedrock's own format what the model counts as input, whatever the operation and the family:
// texts, and images and documents, which do not count as the base64 that they are.

/** What the model of a native request reads. */
export interface NativeContent {
  /** All texts, and tools and schemas as JSON. */
  texts: string[];
  /** Number of messages, the system text included. */
  messages: number;
  /** Number of images. */
  images: number;
  /** Documents in base64. Documents that are text are among `texts`. */
  documents: { format: string; data: string }[];
  /** A guess of the tokens of video, audio and encrypted reasoning. */
  otherTokens: number;
}

/** Keys whose values the model does not read: names of kinds, ids, signatures and settings of the call. */
const unread = new Set([
  ...["role", "type", "format", "media_type", "signature", "cachePoint", "cache_control", "citations"],
  ...["id", "toolUseId", "tool_use_id", "tool_call_id", "schemaVersion", "anthropic_version", "anthropic_beta"],
  ...["guardrailConfig", "requestMetadata", "performanceConfig", "serviceTier", "inferenceConfig", "metadata"],
  ...["additionalModelResponseFieldPaths", "stop_sequences", "embedding_types", "input_type", "truncate", "model"],
]);
/** Keys whose values the model reads as JSON. */
const readAsJson = new Set([
  "tools",
  "toolConfig",
  "input",
  "json",
  "outputConfig",
  "output_config",
  "response_format",
]);

/**
 * Characters of base64 per token of video and audio. Nova counts 288 tokens for a second of video, which is 30 KB or
 * more.
 */
const charactersOfVideo = 100;
/** Characters of base64 per token of encrypted reasoning, which is text. */
const charactersOfReasoning = 4;

/**
 * Returns what the model reads.
 * @param body a parsed body of bounded depth
 */
export function nativeContent(body: object): NativeContent {
  const content: NativeContent = { texts: [], messages: 0, images: 0, documents: [], otherTokens: 0 };
  const { messages, system } = body as { messages?: unknown; system?: unknown };
  content.messages = (Array.isArray(messages) ? messages.length : 0) + (system === undefined ? 0 : 1);
  readObject(body as Json, content);
  return content;
}

type Json = Record<string, unknown>;

function read(value: unknown, content: NativeContent): void {
  if (typeof value === "string") content.texts.push(value);
  else if (Array.isArray(value)) for (const item of value) read(item, content);
  else if (typeof value === "object" && value !== null) readObject(value as Json, content);
}

function readObject(object: Json, content: NativeContent): void {
  // The blocks of Claude: {"type": "image", "source": {...}}.
  if (object.type === "image") content.images++;
  else if (object.type === "document") readDocument(object, content);
  else if (object.type === "redacted_thinking") readBinary(object.data, charactersOfReasoning, content);
  else for (const [key, value] of Object.entries(object)) if (!unread.has(key)) readMember(key, value, content);
}

function readMember(key: string, value: unknown, content: NativeContent): void {
  switch (key) {
    // {"image": {...}} of Converse and Nova, {"image_url": ...} of OpenAI, `inputImage` of Titan.
    case "image":
    case "image_url":
    case "inputImage":
      content.images++;
      break;
    // Lists of base64 of Llama and Cohere.
    case "images":
      content.images += Array.isArray(value) ? value.length : 1;
      break;
    case "document":
      if (isObject(value)) readDocument(value, content);
      else read(value, content);
      break;
    case "video":
    case "audio":
      readBinary(value, charactersOfVideo, content);
      break;
    case "redactedContent":
      readBinary(value, charactersOfReasoning, content);
      break;
    default:
      if (readAsJson.has(key) && typeof value === "object") content.texts.push(JSON.stringify(value));
      else read(value, content);
  }
}

/** Reads `{format, name, source: {bytes}}` of Converse, and `{title, source: {type: "base64", media_type, data}}`. */
function readDocument(document: Json, content: NativeContent): void {
  const { source, format, ...rest } = document;
  const { bytes, type, media_type: mediaType, data, ...texts } = isObject(source) ? source : ({} as Json);
  const base64 = typeof bytes === "string" ? bytes : type === "base64" && typeof data === "string" ? data : undefined;
  readObject({ ...rest, type: undefined }, content);
  if (base64 === undefined) {
    read({ data, ...texts }, content);
  } else {
    const known = typeof format === "string" ? format : String(mediaType ?? "").replace(/^.*\//, "");
    content.documents.push({ format: known, data: base64 });
  }
}

function readBinary(value: unknown, perToken: number, content: NativeContent): void {
  if (typeof value === "string") content.otherTokens += value.length / perToken;
  if (typeof value !== "object" || value === null) return;
  for (const [key, inner] of Object.entries(value)) if (!unread.has(key)) readBinary(inner, perToken, content);
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
