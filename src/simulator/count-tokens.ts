// CountTokens: counts the tokens of a request, in the simulator's own tokens. Bedrock supports it for some Claude
// models only, called by their bare ID.
import { printJson } from "../domain/json-text.ts";
import { BedrockError, invalid } from "./aws-errors.ts";
import { type ModelCall, readConverse } from "./bodies.ts";
import { parseObject } from "./json.ts";
import type { CalledModel } from "./simulated-models.ts";
import { countTokens } from "./text.ts";

/** Reads the body of CountTokens. @throws BedrockError with Bedrock's refusal */
export function readCountTokens(body: string, model: CalledModel): ModelCall {
  if (!model.countsTokens || !model.bare) throw invalid("The provided model doesn't support counting tokens.");
  const { input } = parse(body) as { input?: { converse?: unknown; invokeModel?: { body?: unknown } } };
  // The counted request generates nothing, so no limit of the output applies.
  if (input?.converse !== undefined) return readConverse(printJson(input.converse), model, false);
  const native = input?.invokeModel?.body;
  if (typeof native !== "string") throw invalid("The input must hold either converse or invokeModel.");
  const texts = textsOf(parse(Buffer.from(native, "base64").toString()));
  const text = texts.join("\n");
  return { prompt: texts.at(-1) ?? "", input: text, inputTokens: countTokens(text), maxTokens: 0, stopSequences: [] };
}

/** Returns the texts of a native body of Claude: the values of `text`, `content` and `system`. */
function textsOf(value: unknown, key = ""): string[] {
  if (typeof value === "string") return ["text", "content", "system"].includes(key) ? [value] : [];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, inner]) => textsOf(inner, Array.isArray(value) ? key : name));
}

function parse(text: string): object {
  const parsed = parseObject(text);
  if (parsed) return parsed;
  throw new BedrockError("SerializationException", "Unexpected token in the request body.");
}
