// Checks what needs no model: sizes, Unicode, and a conversation that can be answered.
import type { LimitSettings } from "../../config/settings.ts";
import { quote, SluiceError } from "../../domain/errors.ts";
import { bytesOf } from "../../domain/media.ts";
import { type ContentBlock, type Message, normaliseMessages, resultText } from "../../domain/request.ts";
import { parsedSchema, schemaText } from "../../domain/schema-text.ts";
import { checkJson } from "./json-values.ts";
import { mediaField } from "./media-blocks.ts";
import type { CanonicalInput } from "./submit-input.ts";
import { requireUnicode } from "./unicode.ts";

/**
 * Checks the content of a job.
 * @throws SluiceError `too_large`, `invalid_request`
 */
export function checkContent(
  input: CanonicalInput,
  limits: Pick<LimitSettings, "maxPromptBytes" | "maxMediaBytes">,
): void {
  checkTexts(input, limits.maxPromptBytes);
  checkMedia(input, limits.maxMediaBytes);
  checkTools(input);
  checkMessages(input);
}

/**
 * Checks sizes and texts.
 * @throws SluiceError `too_large`, or `invalid_request` for text that is not Unicode or JSON that is nested too deeply
 */
function checkTexts(input: CanonicalInput, maxBytes: number): void {
  const { messages, messagesField, system = "", stop = [], tools = [], responseFormat } = input;
  let bytes = Buffer.byteLength(system);
  requireUnicode(system, "system");
  for (const text of stop) requireUnicode(text, "stop");
  for (const { content } of messages) for (const block of content) bytes += checkBlock(block, messagesField);
  if (tools.length > 0) {
    for (const { inputSchema, ...named } of tools) {
      checkJson([[named, parsedSchema(inputSchema)]], "tools");
      bytes += jsonBytes(named) + Buffer.byteLength(schemaText(inputSchema));
    }
  }
  if (responseFormat) {
    const schema = responseFormat.type === "json_schema" ? responseFormat.schema : {};
    checkJson([{ ...responseFormat, schema: {} }, parsedSchema(schema)], "response_format");
    bytes += Buffer.byteLength(schemaText(schema));
  }
  if (bytes <= maxBytes) return;
  const what = [messagesField, "system", tools.length > 0 && "tools", responseFormat && "response_format"].filter(
    Boolean,
  );
  throw new SluiceError(
    "too_large",
    `${what.slice(0, -1).join(", ")} and ${what.at(-1)} are ${bytes} bytes of UTF-8; at most ${maxBytes} are allowed (limits.maxPromptBytes).`,
    { field: messagesField },
  );
}

/** Checks a block, and returns its size in bytes of UTF-8. */
function checkBlock(block: ContentBlock, field: string): number {
  switch (block.type) {
    case "cache_point":
      return 0;
    case "tool_call":
      for (const text of [block.id, block.name, block.arguments]) requireUnicode(text, field);
      return Buffer.byteLength(block.arguments);
    case "tool_result": {
      const text = resultText(block);
      requireUnicode(block.callId, field);
      requireUnicode(text, field);
      return Buffer.byteLength(text);
    }
    case "text":
    case "reasoning":
      requireUnicode(block.text, field);
      return Buffer.byteLength(block.text);
    case "document":
      requireUnicode(block.name, field);
      return Buffer.byteLength(block.name);
    case "image":
      return 0;
  }
}

/**
 * Checks the size of all images and documents together.
 * @throws SluiceError `too_large`
 */
function checkMedia({ messages, messagesField }: CanonicalInput, maxBytes: number): void {
  let bytes = 0;
  for (const { content } of messages) {
    for (const block of content) {
      if (block.type !== "image" && block.type !== "document") continue;
      bytes += bytesOf(block.data);
      if (bytes <= maxBytes) continue;
      const field = mediaField(block) ?? messagesField;
      const message = `Up to ${field}, images and documents are ${bytes} bytes; at most ${maxBytes} are allowed (limits.maxMediaBytes).`;
      throw new SluiceError("too_large", message, { field });
    }
  }
}

function jsonBytes(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value) ?? "");
}

/**
 * Checks that providers can answer the conversation.
 * @throws SluiceError `invalid_request` if there is nothing to answer, or if tool calls and results do not match
 */
function checkMessages({ messages, messagesField: field }: CanonicalInput): void {
  const normalised = normaliseMessages(messages);
  const refuse = (message: string): never => {
    throw new SluiceError("invalid_request", message, { field });
  };
  if (normalised.length === 0) refuse(`${field} must not be empty or only whitespace.`);
  for (const { role, content } of normalised) for (const block of content) checkRole(block, role, field);
  if (normalised[0]!.role !== "user") refuse(`${field} must start with a user message that is not blank.`);
  // Most conversations have only text.
  if (!normalised.some(({ content }) => content.some(isOfTools))) return;
  let openCalls = new Set<string>();
  for (const { role, content } of normalised) {
    const results = content.flatMap((block) => (block.type === "tool_result" ? [block.callId] : []));
    if (role === "assistant" && results.length > 0) refuse(`${field} must have tool results only in user messages.`);
    for (const id of results) {
      if (!openCalls.delete(id)) {
        refuse(`${field} must have one result for each tool call, in the next message; ${quote(id)} answers no call.`);
      }
    }
    for (const id of openCalls)
      refuse(`${field} must have a result for each tool call, in the next message; ${quote(id)} has no result.`);
    const calls = content.flatMap((block) => (block.type === "tool_call" ? [block.id] : []));
    if (role === "user" && calls.length > 0) refuse(`${field} must have tool calls only in assistant messages.`);
    openCalls = new Set(calls);
    if (openCalls.size < calls.length) refuse(`${field} must not have two tool calls with the same id.`);
  }
  for (const id of openCalls)
    refuse(`${field} must end with the results of its tool calls; ${quote(id)} has no result.`);
}

/**
 * Checks that a block may be in a message of this role.
 * @throws SluiceError `invalid_request`
 */
function checkRole(block: ContentBlock, role: Message["role"], messages: string): void {
  if (role === "assistant" && (block.type === "image" || block.type === "document")) {
    const field = mediaField(block) ?? messages;
    const message = `${field} must be in a user message: models take images and documents only there.`;
    throw new SluiceError("invalid_request", message, { field });
  }
  if (role === "user" && block.type === "reasoning") {
    const message = `${messages} must have reasoning only in assistant messages.`;
    throw new SluiceError("invalid_request", message, { field: messages });
  }
}

function isOfTools({ type }: ContentBlock): boolean {
  return type === "tool_call" || type === "tool_result";
}

/**
 * Checks the tools.
 * @throws SluiceError `invalid_request` for two tools with one name, or a choice of a missing tool
 */
function checkTools({ tools = [], toolChoice: choice }: CanonicalInput): void {
  if (tools.length === 0 && choice === undefined) return;
  const names = new Set(tools.map(({ name }) => name));
  if (names.size < tools.length) {
    throw new SluiceError("invalid_request", "tools must have different names.", { field: "tools" });
  }
  const field = "tool_choice";
  if (choice === undefined || choice === "none") return;
  if (tools.length === 0) {
    throw new SluiceError("invalid_request", "tool_choice must not be set without tools.", { field });
  }
  if (typeof choice === "object" && !names.has(choice.name)) {
    const known = [...names].map(quote).join(", ");
    throw new SluiceError(
      "invalid_request",
      `tool_choice must name one of the tools: ${known}; got ${quote(choice.name)}.`,
      { field },
    );
  }
}
