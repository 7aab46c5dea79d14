// Defines the body of POST /v1/chat/completions and of batch lines, and converts it to submit input. Each of OpenAI's
// fields is supported, ignored where that is harmless, or refused by name; docs/openai.md lists them.
import Type, { type Static } from "typebox";
import type { Settings } from "../../config/settings.ts";
import { quote } from "../../domain/errors.ts";
import type { Priority } from "../../domain/job.ts";
import type { CanonicalRequest, ContentBlock, Tool } from "../../domain/request.ts";
import type { FieldNames } from "../../jobs/submit/field-names.ts";
import type { CanonicalInput } from "../../jobs/submit/submit-input.ts";
import { type ToolCallBlock, toolCallBlock } from "../../jobs/submit/tool-calls.ts";
import { bodyCheck } from "../body-check.ts";
import { reasoningEffort, samplingFields, stopTextOrTexts } from "../request-fields.ts";
import { chatFile, chatImage } from "./content-parts.ts";
import { type Content, Conversation } from "./conversation.ts";
import {
  checkedChoice,
  extensionFields,
  ignored,
  isObject,
  refuse,
  requireText,
  schemaFormatOf,
  sharedFields,
  sharedInput,
  toolOf,
} from "./openai-fields.ts";
import { pastChatReasoning } from "./openai-reasoning.ts";

const content = Type.Union([Type.String(), Type.Array(Type.Unknown(), { maxItems: 1000 })]);

/**
 * Checks messages only roughly. The code below checks them one by one, because a schema of alternatives cannot say
 * which part is wrong.
 */
const message = Type.Object({
  role: Type.Enum(["system", "developer", "user", "assistant", "tool"]),
  content: Type.Optional(content),
  tool_calls: Type.Optional(Type.Array(Type.Unknown(), { maxItems: 128 })),
  tool_call_id: Type.Optional(Type.String({ minLength: 1, maxLength: 16_384 })),
  reasoning_content: Type.Optional(Type.Unknown({ description: "The model's reasoning, from an earlier answer." })),
  reasoning_details: Type.Optional(Type.Unknown({ description: "The same with its signatures, which Claude needs." })),
});

/** Places whose JSON stays text if JavaScript cannot represent a number in it. */
export const chatTexts = ["tools.*.function.parameters", "response_format.json_schema.schema"];

export function chatBody(settings: Settings) {
  const maxTokens = Math.max(...Object.values(settings.models).map((m) => m.maxOutputTokensLimit));
  const tokens = Type.Integer({ minimum: 1, maximum: maxTokens });
  return Type.Object(
    {
      messages: Type.Array(message, {
        minItems: 1,
        maxItems: 2000,
        description:
          "Text, images, files, function calls and their results. System and developer messages are moved before the conversation.",
      }),
      ...sharedFields(settings),
      max_tokens: Type.Optional(tokens),
      max_completion_tokens: Type.Optional(tokens),
      stop: Type.Optional(stopTextOrTexts),
      ...samplingFields,
      reasoning_effort: Type.Optional(reasoningEffort),
      response_format: Type.Optional(
        Type.Unknown({ description: "One of text, json_object, json_schema. Default: text." }),
      ),
      tools: Type.Optional(Type.Array(Type.Unknown(), { maxItems: 128, description: "Functions." })),
      tool_choice: Type.Optional(Type.Unknown({ description: "none, auto, required, or a named function." })),
      stream_options: Type.Optional(
        Type.Object({ include_usage: Type.Optional(Type.Boolean()), include_obfuscation: ignored }),
      ),
      n: Type.Optional(Type.Literal(1)),
      modalities: Type.Optional(Type.Array(Type.Literal("text"), { maxItems: 1 })),
      logprobs: Type.Optional(Type.Literal(false)),
      top_logprobs: Type.Optional(Type.Literal(0)),
      logit_bias: Type.Optional(Type.Unsafe<object>({ type: "object", additionalProperties: false })),
      verbosity: Type.Optional(Type.Literal("medium")),
      prediction: ignored,
      ...extensionFields(settings),
    },
    { additionalProperties: false },
  );
}

type ChatBody = Static<ReturnType<typeof chatBody>>;

const fieldNames: FieldNames = {
  system: "messages",
  messages: "messages",
  reasoningEffort: "reasoning_effort",
  toolSchema: (index) => `tools[${index}].function.parameters`,
  format: "response_format",
  outputSchema: "response_format.json_schema.schema",
};

export interface ChatRequest {
  input: CanonicalInput;
  stream: boolean;
  /** Whether a stream ends with a chunk that reports usage. */
  includeUsage: boolean;
  dryRun: boolean;
}

/** Values that apply if the body does not set them. */
export interface ChatDefaults {
  environment: string;
  priority: Priority;
}

/**
 * Returns a function that reads bodies, including those of batch lines. It throws SluiceError `invalid_request` or
 * `invalid_json`, with the field at fault.
 */
export function chatReader(settings: Settings): (body: unknown, defaults: ChatDefaults) => ChatRequest {
  const check = bodyCheck(chatBody(settings), { unknownToo: true });
  return (body, defaults) => chatRequestOf(check(body), defaults);
}

/**
 * Converts a checked body.
 * @throws SluiceError `invalid_request`
 */
function chatRequestOf(body: ChatBody, defaults: ChatDefaults): ChatRequest {
  if (body.max_tokens !== undefined && body.max_completion_tokens !== undefined) {
    refuse("max_tokens", "Set either max_completion_tokens or max_tokens, not both.");
  }
  const stream = body.stream ?? false;
  if (body.stream_options?.include_usage && !stream)
    refuse("stream_options", "stream_options is allowed only in a stream. Set stream to true.");
  const conversation = conversationOf(body.messages);
  const tools = (body.tools ?? []).map(functionOf);
  const toolChoice = checkedChoice(toolChoiceOf(body.tool_choice), tools);
  return {
    stream,
    includeUsage: body.stream_options?.include_usage ?? false,
    dryRun: body.dry_run ?? false,
    input: {
      environment: body.environment ?? defaults.environment,
      messages: conversation.messages,
      messagesField: "messages",
      fieldNames,
      system: conversation.system,
      maxTokens: body.max_completion_tokens ?? body.max_tokens,
      maxTokensField: body.max_completion_tokens === undefined ? "max_tokens" : "max_completion_tokens",
      stop: typeof body.stop === "string" ? [body.stop] : body.stop,
      seed: body.seed,
      frequencyPenalty: body.frequency_penalty,
      presencePenalty: body.presence_penalty,
      reasoningEffort: body.reasoning_effort,
      tools,
      toolChoice,
      responseFormat: responseFormatOf(body.response_format),
      priority: body.priority ?? defaults.priority,
      // The spread comes last: with so many fields after it, the object becomes a hash table, which takes twenty times
      // as long to fill.
      ...sharedInput(body),
    },
  };
}

function conversationOf(messages: ChatBody["messages"]): Conversation {
  const conversation = new Conversation();
  for (const [i, message] of messages.entries()) {
    const { role, content, tool_calls, tool_call_id } = message;
    const field = `messages[${i}]`;
    const blocks = content === undefined ? [] : blocksOf(content, `${field}.content`);
    const texts = () => blocks.map((block, j) => textOf(block, `${field}.content[${j}]`, role));
    if (content === undefined && !(role === "assistant" && tool_calls?.length)) {
      refuse(`${field}.content`, `${field}.content is required.`);
    }
    const said: Content = typeof content === "object" ? { blocks, isList: true } : { blocks };
    switch (role) {
      case "system":
      case "developer":
        conversation.instruct(texts().join(""));
        break;
      case "tool":
        if (tool_call_id === undefined) refuse(`${field}.tool_call_id`, `${field}.tool_call_id is required.`);
        conversation.answer(tool_call_id, typeof content === "string" ? content : texts(), field);
        break;
      case "assistant": {
        const calls = (tool_calls ?? []).map((call, j) => callOf(call, `${field}.tool_calls[${j}]`));
        const reasoning = pastChatReasoning(message, field);
        conversation.call({ ...said, blocks: [...reasoning, ...said.blocks] }, calls, field);
        break;
      }
      default:
        conversation.add(role, said, field);
    }
  }
  conversation.end("messages");
  return conversation;
}

type Part = Extract<ContentBlock, { type: "text" | "image" | "document" }>;

function blocksOf(content: string | readonly unknown[], field: string): Part[] {
  if (typeof content === "string") return [{ type: "text", text: content }];
  return content.map((part, i) => {
    const here = `${field}[${i}]`;
    if (!isObject(part)) return refuse(here, `${here} must be an object with a type, such as text.`);
    switch (part.type) {
      case "text":
        return { type: "text", text: requireText(part.text, `${here}.text`) };
      case "refusal":
        // A refusal is the text of the message.
        return { type: "text", text: requireText(part.refusal, `${here}.refusal`) };
      case "image_url":
        return chatImage(part.image_url, `${here}.image_url`);
      case "file":
        return chatFile(part.file, `${here}.file`);
      default:
        return refuse(`${here}.type`, `${here}.type must be text, image_url or file: audio is not supported.`);
    }
  });
}

/** Returns the text of a part in a message that may have nothing else. */
function textOf(part: Part, field: string, role: string): string {
  if (part.type === "text") return part.text;
  return refuse(field, `${field} must be text: a message with the role ${role} has no images or files.`);
}

function callOf(value: unknown, field: string): ToolCallBlock {
  if (!isObject(value) || !isObject(value.function)) {
    return refuse(field, `${field} must be a function call with id and function.`);
  }
  const { id, function: called } = value;
  const place = `${field}.function.arguments`;
  return toolCallBlock(
    {
      id: requireText(id, `${field}.id`),
      name: requireText(called.name, `${field}.function.name`),
      arguments: requireText(called.arguments, place),
    },
    place,
  );
}

function functionOf(value: unknown, i: number): Tool {
  const field = `tools[${i}]`;
  if (!isObject(value) || value.type !== "function") {
    return refuse(`${field}.type`, `${field}.type must be function: no other tools are supported.`);
  }
  return toolOf(value.function, `${field}.function`);
}

function toolChoiceOf(value: unknown): CanonicalRequest["toolChoice"] {
  if (value === undefined || value === "none" || value === "auto" || value === "required") return value;
  if (isObject(value) && value.type === "function" && isObject(value.function)) {
    return { name: requireText(value.function.name, "tool_choice.function.name") };
  }
  const got = typeof value === "string" ? `; got ${quote(value)}` : "";
  return refuse("tool_choice", `tool_choice must be none, auto, required, or an object that names a function${got}.`);
}

function responseFormatOf(value: unknown): CanonicalRequest["responseFormat"] {
  if (value === undefined) return undefined;
  const type = isObject(value) ? value.type : undefined;
  if (type === "text") return undefined;
  if (type === "json_object") return { type };
  if (type === "json_schema") {
    return schemaFormatOf((value as { json_schema?: unknown }).json_schema, "response_format.json_schema");
  }
  return refuse("response_format", "response_format.type must be text, json_object or json_schema.");
}
