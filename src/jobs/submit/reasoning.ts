// Reads reasoning that a caller sends back from an earlier answer.
import { SluiceError } from "../../domain/errors.ts";
import type { Reasoning, ReasoningBlock } from "../../domain/request.ts";
import { requireUnicode } from "./unicode.ts";

/** Longest signature, and longest encrypted reasoning, in characters. A model's answer is bounded by the same size. */
const maxOpaqueLength = 4 * 1024 * 1024;

/** Returns whether a text can be encrypted reasoning: base64, as Bedrock has it. */
export function isEncrypted(text: string): boolean {
  return text.length % 4 === 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(text);
}

/**
 * Returns the block of a piece of reasoning.
 * @param field the field in the caller's body
 * @throws SluiceError `invalid_request` with the field
 */
export function reasoningBlock({ text, signature, redacted }: Reasoning, field: string): ReasoningBlock {
  requireUnicode(text, field);
  if (text === "" && signature === undefined && redacted === undefined) {
    const message = `${field} must have a text, or what the provider gave in its place.`;
    throw new SluiceError("invalid_request", message, { field });
  }
  if (redacted !== undefined && !isEncrypted(redacted)) {
    const message = `${field}.redacted must be base64 from an earlier answer.`;
    throw new SluiceError("invalid_request", message, { field: `${field}.redacted` });
  }
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
