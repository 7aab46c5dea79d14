// Checks and closes answer schemas for Bedrock's structured output, which accepts a subset of JSON Schema with closed
// objects. docs/refusals.md has the sources.

type Json = Record<string, unknown>;

/** Validation keywords that Bedrock refuses anywhere in a schema. */
const refusedKeywords = [
  ...["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength"],
  ...["maxItems", "uniqueItems", "contains", "minContains", "maxContains", "prefixItems", "unevaluatedItems"],
  ...["minProperties", "maxProperties", "patternProperties", "propertyNames", "unevaluatedProperties"],
  ...["dependentRequired", "dependentSchemas", "dependencies", "oneOf", "not", "if", "then", "else"],
];

const formats = ["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];

/** A part of a schema that is refused. */
export interface SchemaProblem {
  /** Path of the keyword, such as `.properties.age.minimum`. */
  path: string;
  /** What is wrong, as text after the path. */
  message: string;
}

/** Returns the first part of a schema that Bedrock's structured output refuses and `closedSchema` does not change. */
export function outputSchemaProblem(schema: unknown): SchemaProblem | undefined {
  return problemIn(schema, "", schema) ?? cycleIn(schema);
}

function problemIn(schema: unknown, path: string, root: unknown): SchemaProblem | undefined {
  if (!isObject(schema)) return undefined;
  const refused = refusedKeywords.find((keyword) => keyword in schema && !isSafeIntegerBound(schema, keyword));
  if (refused !== undefined) {
    const instead = refused === "oneOf" ? " Use anyOf." : " Describe the rule in a description, and check the answer.";
    return { path: `${path}.${refused}`, message: `must not be set.${instead}` };
  }
  const { minItems, items, format, enum: values, $ref: ref, allOf, additionalProperties: more } = schema;
  if (minItems !== undefined && minItems !== 0 && minItems !== 1) {
    return { path: `${path}.minItems`, message: `must be 0 or 1; got ${JSON.stringify(minItems)}.` };
  }
  if (Array.isArray(items)) return { path: `${path}.items`, message: "must be one schema for all items." };
  if (typeof format === "string" && !formats.includes(format)) {
    return { path: `${path}.format`, message: `must be one of ${formats.join(", ")}; got ${JSON.stringify(format)}.` };
  }
  if (Array.isArray(values) && values.some((value) => typeof value === "object" && value !== null)) {
    return { path: `${path}.enum`, message: "must contain only strings, numbers, booleans and null." };
  }
  if (typeof ref === "string" && target(root, ref) === undefined) {
    return { path: `${path}.$ref`, message: `must refer to a part of the schema; got ${JSON.stringify(ref)}.` };
  }
  if (Array.isArray(allOf) && allOf.some((part) => isObject(part) && (isObjectSchema(part) || "$ref" in part))) {
    return {
      path: `${path}.allOf`,
      message: "must not contain objects or references, because each object is closed by itself.",
    };
  }
  const isMap = more !== undefined && more !== false && !(isOpen(more) && hasProperties(schema));
  if (isMap) {
    const message = "must be false. Name the properties, or use a list of objects with a key and a value.";
    return { path: `${path}.additionalProperties`, message };
  }
  for (const [key, inner] of subschemas(schema)) {
    const problem = problemIn(inner, `${path}${key}`, root);
    if (problem) return problem;
  }
  return undefined;
}

/**
 * Returns the schema with every object closed. Drops integer bounds that only say that JavaScript can represent the
 * number. Zod writes those for every integer.
 */
export function closedSchema(schema: object): object {
  return closed(schema) as object;
}

function closed(schema: unknown): unknown {
  if (!isObject(schema)) return schema;
  const entries = Object.entries(schema).flatMap(([key, value]): [string, unknown][] => {
    if (isSafeIntegerBound(schema, key)) return [];
    if (key === "items") return [[key, closed(value)]];
    if (listKeywords.includes(key) && Array.isArray(value)) return [[key, value.map(closed)]];
    if (!mapKeywords.includes(key) || !isObject(value)) return [[key, value]];
    return [[key, Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, closed(inner)]))]];
  });
  return { ...Object.fromEntries(entries), ...(isObjectSchema(schema) && { additionalProperties: false }) };
}

const mapKeywords = ["properties", "$defs", "definitions"];
const listKeywords = ["anyOf", "allOf"];

/** Returns the direct subschemas, each with its path. */
function subschemas(schema: Json): [path: string, schema: unknown][] {
  return Object.entries(schema).flatMap(([key, value]): [string, unknown][] => {
    if (key === "items") return [[".items", value]];
    if (listKeywords.includes(key) && Array.isArray(value)) return value.map((inner, i) => [`.${key}[${i}]`, inner]);
    if (!mapKeywords.includes(key) || !isObject(value)) return [];
    return Object.entries(value).map(([name, inner]) => [`.${key}.${name}`, inner]);
  });
}

/**
 * Returns a problem if a schema contains itself, which no answer can be held to. Works without recursion, because
 * references may form a long chain.
 */
function cycleIn(root: unknown): SchemaProblem | undefined {
  const done = new Set<unknown>();
  const open = new Set<unknown>();
  const next: { schema: unknown; path: string; isLeft?: true }[] = [{ schema: root, path: "" }];
  for (let at = next.pop(); at; at = next.pop()) {
    const { schema, path, isLeft } = at;
    if (isLeft) {
      open.delete(schema);
      done.add(schema);
      continue;
    }
    if (!isObject(schema) || done.has(schema)) continue;
    open.add(schema);
    next.push({ schema, path, isLeft: true });
    const referred = typeof schema.$ref === "string" ? target(root, schema.$ref) : undefined;
    if (referred !== undefined && open.has(referred)) {
      return { path: `${path}.$ref`, message: "must not refer to a schema that contains it." };
    }
    const inner: [string, unknown][] = subschemas(schema);
    if (referred !== undefined) inner.push([".$ref", referred]);
    for (const [key, found] of inner.reverse()) next.push({ schema: found, path: `${path}${key}` });
  }
  return undefined;
}

/** Returns what a reference within the schema points to. */
function target(root: unknown, ref: string): unknown {
  if (ref !== "#" && !ref.startsWith("#/")) return undefined;
  let at: unknown = root;
  for (const part of ref.split("/").slice(1)) {
    const key = decode(part).replaceAll("~1", "/").replaceAll("~0", "~");
    at = (isObject(at) || Array.isArray(at)) && Object.hasOwn(at, key) ? (at as Json)[key] : undefined;
  }
  return at;
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function isSafeIntegerBound(schema: Json, key: string): boolean {
  const value = schema[key];
  return (
    schema.type === "integer" &&
    ((key === "minimum" && value === Number.MIN_SAFE_INTEGER) ||
      (key === "maximum" && value === Number.MAX_SAFE_INTEGER))
  );
}

function isObjectSchema({ type, properties }: Json): boolean {
  return type === "object" || (Array.isArray(type) && type.includes("object")) || isObject(properties);
}

function hasProperties({ properties }: Json): boolean {
  return isObject(properties) && Object.keys(properties).length > 0;
}

/** Whether `additionalProperties` allows everything. `true` and `{}` mean the same as no keyword. */
function isOpen(more: unknown): boolean {
  return more === true || (isObject(more) && Object.keys(more).length === 0);
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
