// Reads, changes and prints schemas that are kept as text (see `JsonSchema`).
import { type InexactNumber, scanJson } from "./json-scan.ts";
import { JsonText, JsonTexts } from "./json-text.ts";
import type { JsonSchema } from "./request.ts";

/** Returns the schema as an object for inspection. Numbers that JavaScript cannot represent are only approximate. */
export function parsedSchema(schema: JsonSchema): object {
  return typeof schema === "string" ? (JSON.parse(schema) as object) : schema;
}

/** Returns the schema as a value that `printJson` prints verbatim. */
export function printableSchema(schema: JsonSchema): object {
  return typeof schema === "string" ? new JsonText(schema) : schema;
}

/** Returns the schema as JSON text. */
export function schemaText(schema: JsonSchema): string {
  return typeof schema === "string" ? schema : JSON.stringify(schema);
}

/**
 * Applies a change to a schema. If the schema is text, numbers that JavaScript cannot represent stay exact, and the
 * text stays as it is if the change returns its argument.
 * @param change must not modify its argument, in which strings replace such numbers
 */
export function changedSchema(schema: JsonSchema, change: (schema: object) => object): JsonSchema {
  if (typeof schema !== "string") return change(schema);
  const texts = new JsonTexts();
  const given = JSON.parse(withPlaces(schema, texts)) as object;
  const changed = change(given);
  return changed === given ? schema : texts.insertInto(JSON.stringify(changed));
}

/** Returns valid JSON in which a string from `texts` replaces each number that JavaScript cannot represent. */
export function withPlaces(json: string, texts: JsonTexts): string {
  const numbers: InexactNumber[] = [];
  scanJson(json, [], (number) => numbers.push(number));
  let from = 0;
  let result = "";
  for (const { literal, index } of numbers) {
    result += `${json.slice(from, index)}"${texts.place(literal)}"`;
    from = index + literal.length;
  }
  return result + json.slice(from);
}
