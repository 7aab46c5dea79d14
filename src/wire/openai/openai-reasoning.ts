// Reasoning in OpenAI's APIs, in both directions. OpenAI's chats have no field for it, so these are the fields of
// DeepSeek (`reasoning_content`) and OpenRouter (`reasoning_details`), which clients know. Responses have items for it.
import type { Reasoning, ReasoningBlock } from "../../domain/request.ts";
import { isEncrypted, reasoningBlock } from "../../jobs/submit/reasoning.ts";
import { isObject, refuse, requireText } from "./openai-fields.ts";

/** Returns the fields of a chat's message. The details also have what a model needs to take its reasoning back. */
export function chatReasoning(reasoning: readonly Reasoning[] = []) {
  if (reasoning.length === 0) return {};
  const text = reasoning.map((piece) => piece.text).join("");
  const details = reasoning.map((piece, index) =>
    piece.redacted === undefined
      ? {
          type: "reasoning.text" as const,
          text: piece.text,
          ...(piece.signature !== undefined && { signature: piece.signature }),
          index,
        }
      : { type: "reasoning.encrypted" as const, data: piece.redacted, index },
  );
  return { ...(text !== "" && { reasoning_content: text }), reasoning_details: details };
}

/**
 * Reads the reasoning of a past message. The details win, because only they have signatures.
 * @throws SluiceError `invalid_request` with the field
 */
export function pastChatReasoning(message: object, field: string): ReasoningBlock[] {
  const { reasoning_content, reasoning, reasoning_details: details } = message as Record<string, unknown>;
  if (Array.isArray(details) && details.length > 0) {
    return details.flatMap((detail, i) => blockOf(detail, `${field}.reasoning_details[${i}]`));
  }
  if (isGiven(details) && !Array.isArray(details)) {
    refuse(`${field}.reasoning_details`, `${field}.reasoning_details must be a list.`);
  }
  const place = `${field}.reasoning_content`;
  // Other names have other meanings elsewhere, so only a text counts.
  const other = typeof reasoning === "string" ? reasoning : "";
  const text = isGiven(reasoning_content) ? requireText(reasoning_content, place) : other;
  return text === "" ? [] : [reasoningBlock({ text }, place)];
}

/** Returns the block of a detail, or an empty list for a detail that is empty, or that another provider wrote. */
function blockOf(detail: unknown, field: string): ReasoningBlock[] {
  if (!isObject(detail)) return refuse(field, `${field} must be an object with a type.`);
  const { type, text, signature, data, summary } = detail;
  switch (type) {
    case "reasoning.text": {
      const signed = isGiven(signature) ? { signature: requireText(signature, `${field}.signature`) } : {};
      const said = isGiven(text) ? requireText(text, `${field}.text`) : "";
      return said === "" && !signed.signature ? [] : [reasoningBlock({ text: said, ...signed }, field)];
    }
    case "reasoning.encrypted": {
      const redacted = requireText(data, `${field}.data`);
      return isEncrypted(redacted) ? [reasoningBlock({ text: "", redacted }, field)] : [];
    }
    case "reasoning.summary": {
      const said = requireText(summary, `${field}.summary`);
      return said === "" ? [] : [reasoningBlock({ text: said }, field)];
    }
    default:
      return [];
  }
}

/** Returns the items of a response. `encrypted_content` has the piece as a whole, so that it survives any client. */
export function reasoningItems(jobId: string, reasoning: readonly Reasoning[] = []) {
  return reasoning.map(({ text, signature, redacted }, i) => ({
    id: `rs_${jobId.replaceAll("-", "")}${i}`,
    type: "reasoning" as const,
    summary: text === "" ? [] : [{ type: "summary_text" as const, text }],
    encrypted_content: signature === undefined && redacted === undefined ? null : sealed({ text, signature, redacted }),
    status: "completed" as const,
  }));
}

/**
 * Reads an item that a client sends back.
 * @returns an empty list if the item has nothing that a model could read
 * @throws SluiceError `invalid_request` with the field
 */
export function pastReasoningItem(item: Record<string, unknown>, field: string): ReasoningBlock[] {
  const whole = typeof item.encrypted_content === "string" ? unsealed(item.encrypted_content) : undefined;
  if (whole) return [reasoningBlock(whole, field)];
  const parts = [item.content, item.summary].find((list) => Array.isArray(list) && list.length > 0);
  const texts = (Array.isArray(parts) ? parts : []).map((part) => (isObject(part) ? part.text : undefined));
  const text = texts.filter((part) => typeof part === "string").join("\n\n");
  return text === "" ? [] : [reasoningBlock({ text }, field)];
}

const seal = "sluice.1.";

function sealed(reasoning: { [Key in keyof Reasoning]: Reasoning[Key] | undefined }): string {
  return seal + Buffer.from(JSON.stringify(reasoning)).toString("base64url");
}

/** Returns undefined for what Sluice has not written: only the provider that wrote it can read it. */
function unsealed(content: string): Reasoning | undefined {
  if (!content.startsWith(seal)) return undefined;
  try {
    const { text, signature, redacted } = JSON.parse(Buffer.from(content.slice(seal.length), "base64url").toString());
    const isText = (value: unknown) => value === undefined || typeof value === "string";
    if (typeof text !== "string" || !isText(signature) || !isText(redacted)) return undefined;
    if (text === "" && !signature && !redacted) return undefined;
    return { text, ...(signature && { signature }), ...(redacted && { redacted }) };
  } catch {
    return undefined;
  }
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}
