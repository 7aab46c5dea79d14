// Guesses the form of a JSON answer without a schema from the conversation: a schema or an example in its texts, or
// names of keys.
import { isNestedDeeper } from "../domain/json-depth.ts";
import { isObject, type Json } from "./json.ts";

/** Size of the end of a conversation that is searched, in characters. */
const searchedCharacters = 100_000;
const maxTries = 200;
/** Deepest nesting of an object in a text that is used as a description. */
const maxDepth = 64;

/** Returns a schema for the object that the texts ask for, or undefined if they do not describe one. */
export function describedObject(text: string): Json | undefined {
  const objects = objectsIn(text.slice(-searchedCharacters));
  const schema = objects.map(schemaIn).findLast((found) => found !== undefined);
  if (schema) return schema;
  const example = objects.findLast((object) => Object.keys(object).length > 0);
  return example ? schemaOf(example) : keysIn(text);
}

/** Returns the schema that an object is or wraps, as in OpenAI's `response_format`. */
function schemaIn(object: Json): Json | undefined {
  if (isObject(object.properties) || typeof object.$ref === "string") return object;
  const inner = object.json_schema ?? object.schema;
  return isObject(inner) ? schemaIn(inner) : undefined;
}

/** Returns the outermost JSON objects in a text. */
function objectsIn(text: string): Json[] {
  const found: Json[] = [];
  let tries = 0;
  for (let start = text.indexOf("{"); start >= 0 && tries < maxTries; tries++) {
    const end = endOf(text, start);
    const object = end === undefined ? undefined : parse(text.slice(start, end));
    if (object) found.push(object);
    start = text.indexOf("{", object ? end! : start + 1);
  }
  return found;
}

/** Returns the index after the bracket that closes the one at the start. */
function endOf(text: string, start: number): number | undefined {
  let depth = 0;
  let quoted = false;
  for (let i = start; i < text.length; i++) {
    const char = text[i];
    if (quoted) {
      if (char === "\\") i++;
      else if (char === '"') quoted = false;
    } else if (char === '"') quoted = true;
    else if (char === "{") depth++;
    else if (char === "}" && --depth === 0) return i + 1;
  }
  return undefined;
}

function parse(text: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) && !isNestedDeeper(value, maxDepth) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Returns a schema for values like this one. */
function schemaOf(value: unknown): Json {
  if (Array.isArray(value)) return { type: "array", items: value.length > 0 ? schemaOf(value[0]) : {} };
  if (isObject(value)) {
    const properties = Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, schemaOf(inner)]));
    return { type: "object", properties, required: Object.keys(properties) };
  }
  if (typeof value === "number") return { type: Number.isInteger(value) ? "integer" : "number" };
  return { type: value === null ? "null" : typeof value };
}

/** Returns a schema of the quoted names in sentences about keys, fields or properties. */
function keysIn(text: string): Json | undefined {
  const sentences = text.slice(-searchedCharacters).split(/[.\n]/);
  const speaking = sentences.filter((sentence) => /\b(keys?|fields?|propert(y|ies))\b/i.test(sentence));
  const names = speaking.flatMap((sentence) =>
    [...sentence.matchAll(/["'`](\w[\w-]{0,63})["'`]/g)].map(([, name]) => name!),
  );
  if (names.length === 0) return undefined;
  const properties = Object.fromEntries(names.map((name) => [name, { type: "string" }]));
  return { type: "object", properties, required: Object.keys(properties) };
}
