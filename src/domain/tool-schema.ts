// Adapts tool schemas to Bedrock's Converse, which requires a root of type object.

type Json = Record<string, unknown>;

/** Keywords that put alternatives at the root of a schema. */
const compositions = ["oneOf", "anyOf", "allOf"] as const;

/**
 * Returns the type at the root of a schema that is not an object, or undefined if the schema can describe an object.
 */
export function wrongRootType(schema: unknown): string | undefined {
  if (!isObject(schema)) return JSON.stringify(schema) ?? "nothing";
  const { type } = schema;
  if (type === undefined || type === "object" || (Array.isArray(type) && type.includes("object"))) return undefined;
  return JSON.stringify(type);
}

/**
 * Returns the schema with `"type": "object"` at its root. Its meaning stays the same, because a tool's arguments are
 * always an object.
 * @param rootComposition whether the model accepts `oneOf`, `anyOf` and `allOf` at the root. If not, a double `not`
 * replaces them
 */
export function withObjectRoot(schema: object, rootComposition = true): object {
  if (!isObject(schema) || wrongRootType(schema) !== undefined) return schema;
  const typed: Json = schema.type === "object" ? schema : { ...schema, type: "object" };
  const composed = compositions.filter((keyword) => typed[keyword] !== undefined);
  if (rootComposition || composed.length === 0) return typed;
  const rest = Object.fromEntries(Object.entries(typed).filter(([key]) => !composed.includes(key as "oneOf")));
  const moved = Object.fromEntries(composed.map((keyword) => [keyword, typed[keyword]]));
  // Keeps a `not` that the schema already has: both must hold.
  const not = rest.not === undefined ? { not: moved } : { anyOf: [rest.not, { not: moved }] };
  return { ...rest, not };
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
