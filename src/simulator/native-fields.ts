// Checks the fields of InvokeModel's bodies, in the words of Bedrock.
import { type Json, malformed, parseObject } from "./json.ts";

/** Parses a body. @throws BedrockError if it is not a JSON object */
export function parseNative(body: string): Json {
  const request = parseObject(body);
  if (!request) throw malformed(["expected a JSON object"]);
  return request;
}

/** Returns a problem for each key that is not among the known ones. */
export function unknownKeys(request: Json, known: readonly string[]): string[] {
  return Object.keys(request)
    .filter((key) => !known.includes(key))
    .map((key) => `#: extraneous key [${key}] is not permitted`);
}

/** Returns a problem for each key that is missing. */
export function missingKeys(request: Json, required: readonly string[]): string[] {
  return required.filter((key) => request[key] === undefined).map((key) => `#: required key [${key}] not found`);
}

/** Returns the problem of a text that is empty or no text, as a list. An absent one has none. */
export function textProblems(key: string, value: unknown): string[] {
  if (value === undefined) return [];
  if (typeof value !== "string") return [`#/${key}: expected type: String, found: ${typeName(value)}`];
  return value === "" ? [`#/${key}: expected minLength: 1, actual: 0`] : [];
}

/** Returns the problem of a number, as a list. An absent one has none. */
export function numberProblems(
  key: string,
  value: unknown,
  type: "Integer" | "Number",
  min: number,
  max: number,
): string[] {
  if (value === undefined) return [];
  if (typeof value !== "number" || (type === "Integer" && !Number.isInteger(value))) {
    return [`#/${key}: expected type: ${type}, found: ${typeName(value)}`];
  }
  if (value < min) return [`#/${key}: ${value} is not greater or equal to ${min}`];
  if (value > max) return [`#/${key}: ${value} is not less or equal to ${max}`];
  return [];
}

/** Throws if there are problems. */
export function refuseProblems(problems: string[]): void {
  if (problems.length > 0) throw malformed(problems);
}

function typeName(value: unknown): string {
  if (value === null) return "Null";
  if (Array.isArray(value)) return "JSONArray";
  if (typeof value === "object") return "JSONObject";
  if (typeof value === "number") return Number.isInteger(value) ? "Integer" : "BigDecimal";
  return typeof value === "string" ? "String" : "Boolean";
}
