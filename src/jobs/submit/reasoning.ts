// Reads reasoning that a caller sends back from an earlier answer.
import { SluiceError } from "../../domain/errors.ts";
import type { Reasoning, ReasoningBlock } from "../../domain/request.ts";
import { requireUnicode } from "./unicode.ts";

/** Longest signature, and longest encrypted reasoning, in characters. A model's answer is bounded by the same size. */
const maxOpaqueLength = 4 * 1024 * 1024;

/**
 * Returns the block of a piece of reasoning.
 * @param field the field in the caller's body
 * @throws SluiceError `invalid_request` with the field
 */
export function reasoningBlock({ text, signature, redacted }: Reasoning, field: string): ReasoningBlock {
  requireUnicode(text, field);
  for (const [name, value] of Object.entries({ signature, redacted })) {
    if (value === undefined) continue;
    if (value.length > maxOpaqueLength || !/^[\x20-\x7e]+$/.test(value)) {
      const message = `${field}.${name} must be the text of an earlier answer: 1 to ${maxOpaqueLength} printable ASCII characters.`;
      throw new SluiceError("invalid_request", message, { field: `${field}.${name}` });
    }
  }
  const block: ReasoningBlock = { type: "reasoning", text };
  if (signature !== undefined) block.signature = signature;
  if (redacted !== undefined) block.redacted = redacted;
  return block;
}
