// Defines what POST /v1/jobs accepts beyond text, and converts it to the canonical request: conversations with tool
// calls and cache points, tools, formats, service tiers and guardrails.
import Type, { type Static } from "typebox";
import { SluiceError } from "../domain/errors.ts";
import { JsonText } from "../domain/json-text.ts";
import { documentTypes, imageTypes } from "../domain/media.ts";
import type { CachePoint, CanonicalRequest, ContentBlock, Message } from "../domain/request.ts";
import { checkJson } from "../jobs/submit/json-values.ts";
import { documentBlock, imageBlock } from "../jobs/submit/media-blocks.ts";
import { reasoningBlock } from "../jobs/submit/reasoning.ts";
import { toolCallBlock } from "../jobs/submit/tool-calls.ts";
import { schemaOf } from "./resource-types.ts";

const closed = { additionalProperties: false };
const name = Type.String({ pattern: "^[a-zA-Z0-9_-]{1,64}$", description: "At most 64 letters, digits, _ and -." });
/**
 * The id of a tool call. Some gateways put a model's signature into it, which makes it thousands of characters long.
 */
const id = Type.String({ minLength: 1, maxLength: 16_384 });
/** The name of a tool in a past call, as another provider's model may have written it. */
const calledName = Type.String({ minLength: 1, maxLength: 256 });
const jsonSchema = (description: string) => Type.Unsafe<object>({ type: "object", description });

const data = Type.String({ description: "The bytes in base64." });

/** The fields of one piece of reasoning, in requests and answers. */
export const reasoningFields = {
  text: Type.String({ description: "Empty if the provider hides the reasoning." }),
  signature: Type.Optional(Type.String({ description: "The provider's proof of the text. Send it back unchanged." })),
  redacted: Type.Optional(Type.String({ description: "Encrypted reasoning in base64. Send it back unchanged." })),
};

const block = Type.Union([
  Type.Object({ type: Type.Literal("text"), text: Type.String() }, closed),
  Type.Object(
    {
      type: Type.Literal("tool_call"),
      id,
      name: calledName,
      arguments: Type.Optional(
        Type.String({ description: "The text that the model wrote. Sluice sends it unchanged." }),
      ),
      input: Type.Optional(
        Type.Unknown({
          description: "The arguments as an object instead of text. Sluice prints it as JSON. Null is an empty object.",
        }),
      ),
    },
    closed,
  ),
  Type.Object(
    {
      type: Type.Literal("tool_result"),
      call_id: id,
      text: Type.String(),
      is_error: Type.Optional(
        Type.Boolean({ description: "True if the tool failed. The text then describes the failure." }),
      ),
    },
    closed,
  ),
  Type.Object({ type: Type.Literal("cache_point"), ttl: Type.Optional(Type.Enum(["5m", "1h"])) }, closed),
  Type.Object(
    {
      type: Type.Literal("image"),
      media_type: Type.String({ description: `One of ${Object.values(imageTypes).join(", ")}.` }),
      data,
      detail: Type.Optional(
        Type.String({
          minLength: 1,
          maxLength: 64,
          description: "Sent to OpenAI-compatible servers; others ignore it.",
        }),
      ),
    },
    closed,
  ),
  Type.Object(
    {
      type: Type.Literal("document"),
      media_type: Type.String({ description: `One of ${Object.values(documentTypes).join(", ")}.` }),
      name: Type.Optional(Type.String({ description: "The name that the model sees. Default: document." })),
      data,
    },
    closed,
  ),
  Type.Object({ type: Type.Literal("reasoning"), ...Type.Partial(Type.Object(reasoningFields)).properties }, closed),
]);

const message = Type.Object(
  {
    role: Type.Enum(["user", "assistant", "system"]),
    content: Type.Union([Type.String(), Type.Array(block, { minItems: 1, maxItems: 1000 })]),
  },
  closed,
);

/** Places in the body of POST /v1/jobs whose JSON stays text if JavaScript cannot represent a number in it. */
export const jobTexts = ["tools.*.input_schema", "response_format.schema", "messages.*.content.*.input"];

export const conversationField = Type.Optional(
  Type.Array(message, {
    minItems: 1,
    maxItems: 2000,
    description:
      "A conversation. Messages with the role system are joined with `system`, in their order. The provider may cache " +
      "what precedes a cache_point. A cache_point in a system message covers tools and system text.",
  }),
);

const tool = Type.Object(
  {
    name,
    description: Type.Optional(Type.String()),
    input_schema: jsonSchema("JSON Schema of the tool's input."),
  },
  closed,
);

const responseFormat = Type.Union(
  [
    Type.Object(
      {
        type: Type.Literal("json_schema"),
        name,
        schema: jsonSchema("JSON Schema of the answer."),
        description: Type.Optional(Type.String()),
        strict: Type.Optional(Type.Boolean()),
      },
      closed,
    ),
    Type.Object({ type: Type.Literal("json_object") }, closed),
  ],
  { description: "Format of the answer, if the model supports one. Default: free text." },
);

/** The only form of guardrail identifiers that Bedrock accepts. */
const guardrailId = "^([a-z0-9]+|arn:aws(-[^:]+)?:bedrock:[a-z0-9-]{1,20}:[0-9]{12}:guardrail/[a-z0-9]+)$";

export const contentFields = {
  tools: Type.Optional(
    Type.Array(tool, {
      maxItems: 128,
      description: "Tools that the model may call. Its calls are returned in tool_calls.",
    }),
  ),
  tool_choice: Type.Optional(
    Type.Union([Type.Enum(["auto", "required", "none"]), Type.Object({ name }, closed)], {
      description: "Whether the model must call a tool, and which one. Default: auto.",
    }),
  ),
  response_format: Type.Optional(responseFormat),
  service_tier: Type.Optional(
    Type.Enum(["default", "priority", "flex"], {
      description: "The provider's service tier. Each tier has its own prices.",
    }),
  ),
  guardrail: Type.Optional(
    Type.Object(
      {
        id: Type.String({ maxLength: 2048, pattern: guardrailId, description: "The ID or ARN of the guardrail." }),
        version: Type.String({ pattern: "^(DRAFT|[1-9][0-9]{0,7})$", description: "A version number, or DRAFT." }),
      },
      { ...closed, description: "A guardrail of the AWS account, applied to prompt and answer." },
    ),
  ),
};

/**
 * Returns the canonical form of a conversation, with its system messages added to the system text. If it has only
 * system messages, they become the user's message.
 */
export function conversationOf(
  messages: readonly Static<typeof message>[],
  system: string | undefined,
): { conversation: Message[]; system?: string; systemCachePoint?: CachePoint } {
  const conversation: Message[] = [];
  const instructions: Instruction[] = [];
  messages.forEach(({ role, content }, i) => {
    const parts =
      typeof content === "string"
        ? [{ type: "text" as const, text: content }]
        : content.map((part, j) => blockOf(part, `messages[${i}].content[${j}]`));
    if (role === "system") instructions.push(...instructionsOf(parts, `messages[${i}].content`));
    else conversation.push({ role, content: parts });
  });
  if (conversation.length === 0 && instructions.length > 0) {
    return { conversation: [{ role: "user", content: instructions }], ...(system !== undefined && { system }) };
  }
  const texts = instructions.flatMap((part) => (part.type === "text" ? [part.text] : []));
  if (system !== undefined) texts.unshift(system);
  const cachePoint = instructions.findLast((part) => part.type === "cache_point");
  return {
    conversation,
    ...(texts.length > 0 && { system: texts.join("\n\n") }),
    ...(cachePoint && { systemCachePoint: cachePoint.cache }),
  };
}

type Instruction = Extract<ContentBlock, { type: "text" | "cache_point" }>;

/**
 * Returns the content of a system message.
 * @throws SluiceError `invalid_request` for blocks of other kinds
 */
function instructionsOf(parts: readonly ContentBlock[], field: string): Instruction[] {
  return parts.map((part) => {
    if (part.type === "text" || part.type === "cache_point") return part;
    throw new SluiceError("invalid_request", `${field} of a system message must be text or cache points.`, { field });
  });
}

function blockOf(part: Static<typeof block>, field: string): ContentBlock {
  switch (part.type) {
    case "text":
      return part;
    case "tool_call":
      return toolCallBlock({ id: part.id, name: part.name, arguments: argumentsOf(part, field) }, `${field}.arguments`);
    case "tool_result":
      return {
        type: "tool_result",
        callId: part.call_id,
        text: part.text,
        ...(part.is_error !== undefined && { isError: part.is_error }),
      };
    case "cache_point":
      return { type: "cache_point", cache: part.ttl === undefined ? {} : { ttl: part.ttl } };
    case "image":
      return imageBlock({ mediaType: part.media_type, data: part.data }, field, part.detail);
    case "document":
      return documentBlock({ mediaType: part.media_type, data: part.data, name: part.name }, field);
    case "reasoning":
      return reasoningBlock({ ...part, text: part.text ?? "" }, field);
  }
}

/**
 * Returns a tool call's arguments as JSON.
 * @throws SluiceError `invalid_request` for an input that is not an object, or that is set together with arguments
 */
function argumentsOf({ arguments: text, input }: { arguments?: string; input?: unknown }, field: string): string {
  const place = `${field}.input`;
  const refuse = (message: string): never => {
    throw new SluiceError("invalid_request", message, { field: place });
  };
  if (text !== undefined) {
    return input === undefined ? text : refuse(`Set either ${field}.arguments or ${place}, not both.`);
  }
  if (input === undefined || input === null) return "{}";
  if (typeof input !== "object" || Array.isArray(input)) {
    refuse(`${place} must be an object; got ${Array.isArray(input) ? "a list" : `a ${typeof input}`}.`);
  }
  if (input instanceof JsonText) return input.text;
  checkJson(input, place);
  return JSON.stringify(input);
}

export function formatOf(format: Static<typeof responseFormat> | undefined): CanonicalRequest["responseFormat"] {
  return format?.type === "json_schema" ? { ...format, schema: schemaOf(format.schema) } : format;
}

export function toolsOf(tools: readonly Static<typeof tool>[] | undefined): CanonicalRequest["tools"] {
  return tools?.map(({ input_schema: schema, ...named }) => ({ ...named, inputSchema: schemaOf(schema) }));
}
