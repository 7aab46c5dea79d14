// Reads the tool calls of a conversation. Their arguments stay unchanged text. It parses them only to check their
// nesting, and whether they are a JSON object. Bedrock requires an object; OpenAI's protocol does not.
import { SluiceError } from "../../domain/errors.ts";
import { isNestedDeeper } from "../../domain/json-depth.ts";
import type { ContentBlock } from "../../domain/request.ts";
import { maxJsonDepth } from "./json-values.ts";

export type ToolCallBlock = Extract<ContentBlock, { type: "tool_call" }>;

/** The field of each call whose arguments are not a JSON object. It is not part of the stored record. */
const places = new WeakMap<ContentBlock, string>();

/**
 * Returns the block of a tool call.
 * @param field the field of the arguments in the caller's body
 * @throws SluiceError `invalid_request` with the field, for arguments that are nested too deeply
 */
export function toolCallBlock(call: Omit<ToolCallBlock, "type">, field: string): ToolCallBlock {
  const block: ToolCallBlock = { type: "tool_call", ...call };
  const value = parse(call.arguments);
  if (isNestedDeeper(value, maxJsonDepth)) {
    throw new SluiceError("invalid_request", `${field} must not be nested deeper than ${maxJsonDepth} levels.`, {
      field,
    });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) places.set(block, field);
  return block;
}

/** Returns the field of the first arguments that are not a JSON object. Blank arguments are those of a call without any. */
export function fieldOfBrokenArguments(messages: readonly { content: readonly ContentBlock[] }[]): string | undefined {
  for (const { content } of messages) {
    for (const block of content) {
      const field = places.get(block);
      if (field !== undefined) return field;
    }
  }
  return undefined;
}

/** Returns undefined for text that is not JSON. */
function parse(text: string): unknown {
  try {
    return text.trim() === "" ? {} : JSON.parse(text);
  } catch {
    return undefined;
  }
}
