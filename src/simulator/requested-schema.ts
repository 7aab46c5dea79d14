// What Bedrock refuses about the schema of an answer, in its words.
import { draftProblem } from "../domain/schema-draft.ts";
import { type BedrockError, invalid } from "./aws-errors.ts";
import { isObject, type Json, parseObject } from "./json.ts";
import type { ModelRules } from "./model-rules.ts";

/** The end of Claude's sentence about an invalid schema. */
export const notOfDraft =
  "JSON schema is invalid. It must match JSON Schema draft 2020-12 (https://json-schema.org/draft/2020-12).";

/**
 * Returns the schema that the answer must follow, or undefined if there is none.
 * @throws BedrockError with Bedrock's refusal
 */
export function readOutputSchema(outputConfig: unknown, rules: ModelRules): unknown {
  const format = isObject(outputConfig) ? outputConfig.textFormat : undefined;
  if (!isObject(format)) return undefined;
  if (!rules.outputSchema) {
    const field = "outputConfig.textFormat";
    throw invalid(`This model doesn't support the ${field} field. Remove ${field} and try again.`);
  }
  const structure = isObject(format.structure) ? format.structure.jsonSchema : undefined;
  const text = isObject(structure) ? structure.schema : undefined;
  const schema = parse(text);
  if (rules.schemaDraft && draftProblem(schema)) throw refusal(notOfDraft);
  check(schema);
  return schema;
}

function parse(text: unknown): Json {
  const schema = parseObject(String(text));
  if (schema === undefined) throw refusal("The schema is not a valid JSON object");
  return schema;
}

function refusal(message: string): BedrockError {
  return invalid(`The model returned the following errors: output_config.format.schema: ${message}`);
}

/** Keywords that are not supported, by type. */
const unsupported: Record<string, string[]> = {
  integer: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  number: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  string: ["minLength", "maxLength"],
  array: ["maxItems", "uniqueItems", "contains", "minContains", "maxContains", "prefixItems"],
  object: ["minProperties", "maxProperties", "patternProperties", "propertyNames"],
};

function check(schema: unknown): void {
  if (!isObject(schema)) return;
  for (const keyword of ["oneOf", "not", "if"]) {
    if (keyword in schema) throw refusal(`Schema type '${keyword}' is not supported`);
  }
  for (const type of [schema.type].flat()) {
    const found = (unsupported[String(type)] ?? []).filter((keyword) => keyword in schema).sort();
    if (found.length === 1) throw refusal(`For '${type}' type, property '${found[0]}' is not supported`);
    if (found.length > 1) throw refusal(`For '${type}' type, properties ${found.join(", ")} are not supported`);
    if (type === "object" && schema.additionalProperties !== false) {
      throw refusal("For 'object' type, 'additionalProperties' must be explicitly set to false");
    }
    if (type === "array" && ![undefined, 0, 1].includes(schema.minItems as 0)) {
      throw refusal(
        `For 'array' type, 'minItems' values other than 0 or 1 are not supported (got: ${schema.minItems})`,
      );
    }
  }
  const { properties, $defs, definitions, items, anyOf, allOf } = schema;
  for (const map of [properties, $defs, definitions]) if (isObject(map)) Object.values(map).forEach(check);
  for (const list of [anyOf, allOf]) if (Array.isArray(list)) list.forEach(check);
  check(items);
}
