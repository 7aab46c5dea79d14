// Defines the body of POST /v1/responses, and converts it to the same submit input as a chat completion.
import Type, { type Static } from "typebox";
import type { Settings } from "../../config/settings.ts";
import type { CanonicalRequest, ContentBlock } from "../../domain/request.ts";
import type { FieldNames } from "../../jobs/submit/field-names.ts";
import type { CanonicalInput } from "../../jobs/submit/submit-input.ts";
import { type ToolCallBlock, toolCallBlock } from "../../jobs/submit/tool-calls.ts";
import { bodyCheck } from "../body-check.ts";
import { reasoningEffort } from "../request-fields.ts";
import type { ChatDefaults } from "./chat-request.ts";
import { responseFile, responseImage } from "./content-parts.ts";
import { Conversation } from "./conversation.ts";
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
  withoutNulls,
} from "./openai-fields.ts";
import { pastReasoningItem } from "./openai-reasoning.ts";

/** Fields that only a response has. They are ignored, so that a client can send a response back as the next request. */
const outputFields = {
  id: ignored,
  object: ignored,
  created_at: ignored,
  completed_at: ignored,
  status: ignored,
  error: ignored,
  incomplete_details: ignored,
  output: ignored,
  output_text: ignored,
  usage: ignored,
};

/** Places whose JSON stays text if JavaScript cannot represent a number in it. */
export const responseTexts = ["tools.*.parameters", "text.format.schema"];

export function responseBody(settings: Settings) {
  const maxTokens = Math.max(...Object.values(settings.models).map((m) => m.maxOutputTokensLimit));
  return Type.Object(
    {
      input: Type.Union([Type.String(), Type.Array(Type.Unknown(), { minItems: 1, maxItems: 2000 })], {
        description: "A text, or a list of messages (with texts, images and files), function calls and their results.",
      }),
      instructions: Type.Optional(Type.String()),
      ...sharedFields(settings),
      background: Type.Optional(
        Type.Boolean({
          description:
            "If true, the call returns at once. Read the response with GET /v1/responses/{id}. Default: false.",
        }),
      ),
      max_output_tokens: Type.Optional(Type.Integer({ minimum: 1, maximum: maxTokens })),
      text: Type.Optional(
        Type.Object(
          {
            format: Type.Optional(
              Type.Unknown({ description: "One of text, json_object, json_schema. Default: text." }),
            ),
            verbosity: Type.Optional(Type.Literal("medium")),
          },
          { additionalProperties: false },
        ),
      ),
      reasoning: Type.Optional(
        Type.Object({
          effort: Type.Optional(reasoningEffort),
          summary: ignored,
          generate_summary: ignored,
        }),
      ),
      tools: Type.Optional(Type.Array(Type.Unknown(), { maxItems: 128, description: "Functions." })),
      tool_choice: Type.Optional(Type.Unknown({ description: "none, auto, required, or a named function." })),
      truncation: Type.Optional(Type.Literal("disabled")),
      top_logprobs: Type.Optional(Type.Literal(0)),
      stream_options: ignored,
      include: ignored,
      ...outputFields,
      ...extensionFields(settings),
    },
    { additionalProperties: false },
  );
}

type ResponseBody = Static<ReturnType<typeof responseBody>>;

const fieldNames: FieldNames = {
  system: "instructions",
  messages: "input",
  reasoningEffort: "reasoning.effort",
  toolSchema: (index) => `tools[${index}].parameters`,
  format: "text.format",
  outputSchema: "text.format.schema",
};

export interface ResponseRequest {
  input: CanonicalInput;
  stream: boolean;
  background: boolean;
  dryRun: boolean;
}

/**
 * Returns a function that reads bodies. It throws SluiceError `invalid_request` or
 * `invalid_json`, with the field at fault.
 */
export function responseReader(settings: Settings): (body: unknown, defaults: ChatDefaults) => ResponseRequest {
  const check = bodyCheck(responseBody(settings), { unknownToo: true });
  return (body, defaults) => responseRequestOf(check(body), defaults);
}

function responseRequestOf(body: ResponseBody, defaults: ChatDefaults): ResponseRequest {
  const { background = false, stream = false } = body;
  if (background && body.store === false)
    refuse("store", "A background response must be stored. Remove store, or set it to true.");
  const conversation = conversationOf(body);
  const tools = (body.tools ?? []).map((value, i) => {
    const field = `tools[${i}]`;
    if (isObject(value) && value.type === "function") return toolOf(value, field);
    return refuse(`${field}.type`, `${field}.type must be function: no other tools are supported.`);
  });
  const toolChoice = checkedChoice(toolChoiceOf(body.tool_choice), tools);
  return {
    stream,
    background,
    dryRun: body.dry_run ?? false,
    input: {
      environment: body.environment ?? defaults.environment,
      messages: conversation.messages,
      messagesField: "input",
      fieldNames,
      system: conversation.system,
      maxTokens: body.max_output_tokens,
      maxTokensField: "max_output_tokens",
      reasoningEffort: body.reasoning?.effort,
      tools,
      toolChoice,
      responseFormat: formatOf(body.text?.format),
      // No caller waits for a background response.
      priority: body.priority ?? (background ? undefined : defaults.priority),
      // The spread comes last: with so many fields after it, the object becomes a hash table, which takes twenty times
      // as long to fill.
      ...sharedInput(body),
    },
  };
}

function conversationOf({ input, instructions }: ResponseBody): Conversation {
  const conversation = new Conversation(instructions);
  if (typeof input === "string") {
    conversation.add("user", { blocks: [{ type: "text", text: input }] }, "input");
    return conversation;
  }
  /** The model's text whose calls follow as separate items. Both belong to one message of the model. */
  let said: { blocks: ContentBlock[]; field: string } | undefined;
  let calls: ToolCallBlock[] = [];
  let thoughts: ContentBlock[] = [];
  const endTurn = (field: string) => {
    const blocks = [...thoughts, ...(said?.blocks ?? [])];
    // Reasoning alone is no message.
    if (said || calls.length > 0) conversation.call({ blocks }, calls, said?.field ?? field);
    said = undefined;
    calls = [];
    thoughts = [];
  };
  for (const [i, given] of input.entries()) {
    const field = `input[${i}]`;
    const item = withoutNulls(given);
    if (!isObject(item)) return refuse(field, `${field} must be an object.`);
    if (item.type === "function_call") {
      calls.push(callOf(item, field));
    } else if (item.type === "reasoning") {
      thoughts.push(...pastReasoningItem(item, field));
    } else if (item.role === "assistant" && item.type !== "function_call_output") {
      // The reasoning before it belongs to it.
      if (said || calls.length > 0) endTurn(field);
      said = { blocks: contentOf(item, field), field };
    } else {
      endTurn(field);
      if (item.type === "function_call_output") answer(conversation, item, field);
      else addMessage(conversation, item, field);
    }
  }
  endTurn("input");
  conversation.end("input");
  return conversation;
}

function contentOf(item: Record<string, unknown>, field: string): Part[] {
  if (item.type !== undefined && item.type !== "message") {
    const known = "message, function_call, function_call_output or reasoning";
    refuse(`${field}.type`, `${field}.type must be ${known}.`);
  }
  return partsOf(item.content, `${field}.content`);
}

function addMessage(conversation: Conversation, item: Record<string, unknown>, field: string): void {
  const blocks = contentOf(item, field);
  switch (item.role) {
    case "system":
    case "developer":
      conversation.instruct(textOf(blocks, `${field}.content`));
      break;
    case "user":
      conversation.add("user", { blocks }, field);
      break;
    default:
      refuse(`${field}.role`, `${field}.role must be one of user, assistant, system, developer.`);
  }
}

function answer(conversation: Conversation, item: Record<string, unknown>, field: string): void {
  const callId = requireText(item.call_id, `${field}.call_id`);
  conversation.answer(callId, textOf(partsOf(item.output, `${field}.output`), `${field}.output`), field);
}

function callOf(item: Record<string, unknown>, field: string): ToolCallBlock {
  const place = `${field}.arguments`;
  return toolCallBlock(
    {
      id: requireText(item.call_id, `${field}.call_id`),
      name: requireText(item.name, `${field}.name`),
      arguments: requireText(item.arguments, place),
    },
    place,
  );
}

type Part = Extract<ContentBlock, { type: "text" | "image" | "document" }>;

/** Returns the text of parts where nothing else is allowed. */
function textOf(parts: readonly Part[], field: string): string {
  const texts = parts.map((part, i) => {
    const here = `${field}[${i}]`;
    return part.type === "text"
      ? part.text
      : refuse(here, `${here} must be text: images and files are not allowed here.`);
  });
  return texts.join("");
}

function partsOf(content: unknown, field: string): Part[] {
  if (typeof content === "string") return [{ type: "text", text: content }];
  if (!Array.isArray(content)) return refuse(field, `${field} must be a string or a list of parts.`);
  return content.map((given, i): Part => {
    const part = withoutNulls(given);
    const here = `${field}[${i}]`;
    if (!isObject(part)) return refuse(here, `${here} must be an object with a type, such as input_text.`);
    const { type } = part;
    if (type === "input_text" || type === "output_text" || type === "text") {
      return { type: "text", text: requireText(part.text, `${here}.text`) };
    }
    if (type === "refusal") return { type: "text", text: requireText(part.refusal, `${here}.refusal`) };
    if (type === "input_image") return responseImage(part, here);
    if (type === "input_file") return responseFile(part, here);
    return refuse(
      `${here}.type`,
      `${here}.type must be input_text, input_image or input_file: audio is not supported.`,
    );
  });
}

function toolChoiceOf(value: unknown): CanonicalRequest["toolChoice"] {
  if (value === undefined || value === "none" || value === "auto" || value === "required") return value;
  if (isObject(value) && value.type === "function") return { name: requireText(value.name, "tool_choice.name") };
  return refuse("tool_choice", "tool_choice must be none, auto, required, or an object that names a function.");
}

function formatOf(value: unknown): CanonicalRequest["responseFormat"] {
  if (value === undefined) return undefined;
  const type = isObject(value) ? value.type : undefined;
  if (type === "text") return undefined;
  if (type === "json_object") return { type };
  if (type === "json_schema") return schemaFormatOf(value, "text.format");
  return refuse("text.format", "text.format.type must be text, json_object or json_schema.");
}
