// Tool calls of a conversation as callers send them. Their arguments stay the text that they are: it is parsed here only to
// see whether it is a JSON object, which Bedrock insists on and servers of OpenAI's protocol do not.
import type { ContentBlock } from "../domain/request.ts";

export type ToolCallBlock = Extract<ContentBlock, { type: "tool_call" }>;

/** Of the calls whose arguments are not a JSON object, the field that holds them. Places are not part of the record. */
const places = new WeakMap<ContentBlock, string>();

/** @param field where the caller's body has the arguments */
export function toolCallBlock(call: Omit<ToolCallBlock, "type">, field: string): ToolCallBlock {
  const block: ToolCallBlock = { type: "tool_call", ...call };
  if (!isObjectText(call.arguments)) places.set(block, field);
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

function isObjectText(text: string): boolean {
  try {
    const value: unknown = text.trim() === "" ? {} : JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}
