// Checks whether a schema is valid, by JSON Schema's meta-schema and by what every model requires of objects.
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import { quote } from "./errors.ts";
import type { SchemaProblem } from "./output-schema.ts";

type Json = Record<string, unknown>;

/** Keywords that hold one schema. */
const oneKeywords = ["items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"];
/** Keywords that hold a list of schemas. */
const listKeywords = ["anyOf", "oneOf", "allOf", "prefixItems"];
/** Keywords that hold schemas by name. */
const mapKeywords = ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];

/**
 * Returns the first `properties` that is no object of schemas, or `required` that is no list of strings. Works without
 * recursion, because a schema may be deeply nested.
 */
export function malformedObject(schema: unknown): SchemaProblem | undefined {
  const open: [schema: unknown, path: string][] = [[schema, ""]];
  for (let at = open.pop(); at; at = open.pop()) {
    const [inner, path] = at;
    if (!isObject(inner)) continue;
    const { properties, required } = inner;
    if (properties !== undefined && !isObject(properties)) {
      return { path: `${path}.properties`, message: `must be an object of schemas; got ${shown(properties)}.` };
    }
    for (const [name, property] of Object.entries(properties ?? {})) {
      if (isObject(property) || typeof property === "boolean") continue;
      return { path: `${path}.properties.${name}`, message: `must be a schema; got ${shown(property)}.` };
    }
    if (required !== undefined && !(Array.isArray(required) && required.every((name) => typeof name === "string"))) {
      return { path: `${path}.required`, message: `must be a list of names; got ${shown(required)}.` };
    }
    for (const key of oneKeywords) open.push([inner[key], `${path}.${key}`]);
    for (const key of listKeywords) {
      const list = inner[key];
      if (Array.isArray(list)) for (const [i, one] of list.entries()) open.push([one, `${path}.${key}[${i}]`]);
    }
    for (const key of mapKeywords) {
      const map = inner[key];
      if (isObject(map)) for (const [name, one] of Object.entries(map)) open.push([one, `${path}.${key}.${name}`]);
    }
  }
  return undefined;
}

let metaSchema: ValidateFunction | undefined;

/**
 * Returns the first part of a schema that violates draft 2020-12. Compiles the meta-schema at the first use. Accepts a
 * schema that is nested too deeply to be checked.
 */
export function draftProblem(schema: unknown): SchemaProblem | undefined {
  metaSchema ??= new Ajv2020({ strict: false, validateFormats: false, logger: false }).getSchema(
    "https://json-schema.org/draft/2020-12/schema",
  )!;
  let error: { instancePath: string; message?: string } | undefined;
  try {
    error = metaSchema(schema) ? undefined : metaSchema.errors?.at(-1);
  } catch (reason) {
    if (reason instanceof RangeError) return undefined;
    throw reason;
  }
  if (!error) return undefined;
  const names = error.instancePath.split("/").slice(1);
  const parts = names.map((name) => name.replaceAll("~1", "/").replaceAll("~0", "~"));
  const value = parts.reduce<unknown>((at, part) => at?.[part as keyof typeof at], schema);
  const path = parts.map((part) => (/^\d+$/.test(part) ? `[${part}]` : `.${part}`)).join("");
  return { path, message: `must be valid JSON Schema draft 2020-12; got ${shown(value)}.` };
}

const longestShown = 100;

function shown(value: unknown): string {
  if (typeof value === "string") return quote(value);
  if (Array.isArray(value)) return value.length === 0 ? "[]" : "a list";
  return typeof value === "object" && value !== null ? "an object" : String(value).slice(0, longestShown);
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
