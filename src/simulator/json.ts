// Reads JSON of unknown form, and says what is wrong with it in Bedrock's words.
import { type BedrockError, invalid } from "./errors.ts";

export type Json = Record<string, unknown>;

export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A constraint of the API's own model is violated. */
export function violated(path: string, value: unknown, constraint: string): BedrockError {
  const shown = value === undefined ? "null" : `'${String(value)}'`;
  return invalid(
    `1 validation error detected: Value ${shown} at '${path}' failed to satisfy constraint: ${constraint}`,
  );
}

/** The body that the model itself would get is not as it must be. */
export function malformed(problems: string[]): BedrockError {
  return invalid(`Malformed input request: ${problems.join(", ")}, please reformat your input and try again.`);
}
