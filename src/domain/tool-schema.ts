// The schema of a tool as Bedrock's Converse takes it: its root must be of the type object, and say so.

type Json = Record<string, unknown>;

/** Keywords that put alternatives at the root of a schema. */
const compositions = ["oneOf", "anyOf", "allOf"] as const;

/** The type at the root of a schema that is not an object; undefined if the schema can stand for an object. */
export function wrongRootType(schema: unknown): string | undefined {
  if (!isObject(schema)) return JSON.stringify(schema) ?? "nothing";
  const { type } = schema;
  if (type === undefined || type === "object" || (Array.isArray(type) && type.includes("object"))) return undefined;
  return JSON.stringify(type);
}

/**
 * The schema with `"type": "object"` at its root, which changes nothing else of it. The arguments of a tool are an object
 * in any case.
 * @param rootComposition whether the model takes `oneOf`, `anyOf` and `allOf` at the root. If not, the root says the same
 *   with a double `not`.
 */
export function withObjectRoot(schema: object, rootComposition = true): object {
  if (!isObject(schema) || wrongRootType(schema) !== undefined) return schema;
  const typed: Json = schema.type === "object" ? schema : { ...schema, type: "object" };
  const composed = compositions.filter((keyword) => typed[keyword] !== undefined);
  if (rootComposition || composed.length === 0) return typed;
  const rest = Object.fromEntries(Object.entries(typed).filter(([key]) => !composed.includes(key as "oneOf")));
  const moved = Object.fromEntries(composed.map((keyword) => [keyword, typed[keyword]]));
  // A `not` of the schema's own is kept: both must hold.
  const not = rest.not === undefined ? { not: moved } : { anyOf: [rest.not, { not: moved }] };
  return { ...rest, not };
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
