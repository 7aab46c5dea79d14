// Schemas that stay text (see `JsonSchema`): how to read one, how to change one, and how to print one in other JSON.
import { type InexactNumber, scanJson } from "./json-scan.ts";
import { JsonText, JsonTexts } from "./json-text.ts";
import type { JsonSchema } from "./request.ts";

/** The schema as an object to look at. Numbers that JavaScript cannot represent are close to what they are. */
export function parsedSchema(schema: JsonSchema): object {
  return typeof schema === "string" ? (JSON.parse(schema) as object) : schema;
}

/** The schema as a value that `printJson` prints as it is. */
export function printableSchema(schema: JsonSchema): object {
  return typeof schema === "string" ? new JsonText(schema) : schema;
}

/** The schema as JSON text. */
export function schemaText(schema: JsonSchema): string {
  return typeof schema === "string" ? schema : JSON.stringify(schema);
}

/**
 * Returns the schema that a change makes of it. Of text the numbers that JavaScript cannot represent stay as they are, and
 * all of it if the change returns what it is given.
 * @param change does not modify its argument, in which strings take the place of such numbers
 */
export function changedSchema(schema: JsonSchema, change: (schema: object) => object): JsonSchema {
  if (typeof schema !== "string") return change(schema);
  const texts = new JsonTexts();
  const given = JSON.parse(withPlaces(schema, texts)) as object;
  const changed = change(given);
  return changed === given ? schema : texts.insertInto(JSON.stringify(changed));
}

/** Returns valid JSON with a string of `texts` in place of each number that JavaScript cannot represent. */
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
