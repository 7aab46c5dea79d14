// Reads JSON of unknown form, and reports mistakes in Bedrock's words.
import { isNestedDeeper } from "../domain/json-depth.ts";
import { mayBeInexact } from "../domain/json-scan.ts";
import { JsonText, JsonTexts } from "../domain/json-text.ts";
import { withPlaces } from "../domain/schema-text.ts";
import { type BedrockError, invalid } from "./aws-errors.ts";

export type Json = Record<string, unknown>;

/** Maximum number of levels of a body. Recursive walks overflow the stack at some thousands of levels only. */
const maxDepth = 500;

/**
 * Parses an object. A JsonText replaces each number that JavaScript cannot represent. Returns undefined for text that
 * is not a JSON object, or that is nested deeper than 500 levels.
 */
export function parseObject(text: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (!isObject(value) || isNestedDeeper(value, maxDepth)) return undefined;
    return mayBeInexact(text) ? (parseExactly(text) as Json) : value;
  } catch {
    return undefined;
  }
}

function parseExactly(text: string): unknown {
  const texts = new JsonTexts();
  const marked = withPlaces(text, texts);
  return JSON.parse(marked, (_, value: unknown) => {
    const literal = typeof value === "string" ? texts.at(value) : undefined;
    return literal === undefined ? value : new JsonText(literal);
  });
}

export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof JsonText);
}

/** Returns the error for a violated constraint of the API's own model. */
export function violated(path: string, value: unknown, constraint: string): BedrockError {
  const shown = value === undefined ? "null" : `'${String(value)}'`;
  return invalid(
    `1 validation error detected: Value ${shown} at '${path}' failed to satisfy constraint: ${constraint}`,
  );
}

/** Returns the error for an invalid body of the model's own format. */
export function malformed(problems: string[]): BedrockError {
  return invalid(`Malformed input request: ${problems.join(", ")}, please reformat your input and try again.`);
}
