// Drops the nulls of optional fields, because many clients send null for fields that they omit. It runs before a body
// is checked, so that no schema has to allow null and no handler receives it.
import type { TSchema } from "typebox";

/** Returns the value without these nulls, or the same value if it has none. */
type Drop = (value: unknown) => unknown;

export interface NullOptions {
  /** Whether to drop unknown fields that are null, as OpenAI does. If false, they stay and are refused by name. */
  unknownToo: boolean;
}

/** The part of JSON Schema that decides which nulls are dropped. */
interface Schema {
  type?: string | string[];
  const?: unknown;
  anyOf?: Schema[];
  items?: Schema;
  properties?: Record<string, Schema>;
  required?: string[];
}

/**
 * Compiles a schema into a function that drops the nulls of optional fields, including those in nested objects and
 * lists. It keeps a null that the schema lists as a value or that a required field has. It also keeps nulls inside free
 * JSON, such as a tool's schema.
 */
export function nullDropper(schema: TSchema, options: NullOptions): Drop {
  return compiled(schema as Schema, options) ?? ((value) => value);
}

function compiled(schema: Schema, options: NullOptions): Drop | undefined {
  if (schema.anyOf) return ofAlternatives(schema.anyOf, options);
  if (schema.items) return ofList(schema.items, options);
  if (schema.properties) return ofObject(schema, schema.properties, options);
  return undefined;
}

function ofObject({ required = [] }: Schema, properties: Record<string, Schema>, options: NullOptions): Drop {
  const optional = Object.keys(properties).filter((key) => !required.includes(key) && !namesNull(properties[key]!));
  const droppable = new Set(optional);
  const nested = Object.entries(properties).flatMap(([key, schema]): [string, Drop][] => {
    const drop = compiled(schema, options);
    return drop ? [[key, drop]] : [];
  });
  const drops = (key: string) => droppable.has(key) || (options.unknownToo && !Object.hasOwn(properties, key));
  return (value) => {
    if (!isObject(value)) return value;
    let result = value;
    // Few bodies have nulls, and a batch has up to a million bodies.
    for (const key in value) {
      if (value[key] === null && drops(key)) {
        result = Object.fromEntries(Object.entries(value).filter(([name, field]) => field !== null || !drops(name)));
        break;
      }
    }
    for (const [key, drop] of nested) {
      if (!Object.hasOwn(result, key)) continue;
      const before = result[key];
      const after = drop(before);
      if (after === before) continue;
      if (result === value) result = { ...value };
      result[key] = after;
    }
    return result;
  };
}

function ofList(items: Schema, options: NullOptions): Drop | undefined {
  const drop = compiled(items, options);
  if (!drop) return undefined;
  return (value) => {
    if (!Array.isArray(value)) return value;
    let result = value;
    for (const [i, item] of value.entries()) {
      const after = drop(item);
      if (after === item) continue;
      if (result === value) result = [...value];
      result[i] = after;
    }
    return result;
  };
}

/**
 * Chooses among alternative schemas: objects with a `type` by that, all others by the first schema of the value's kind.
 */
function ofAlternatives(schemas: Schema[], options: NullOptions): Drop | undefined {
  const drops = schemas.flatMap((schema) => {
    const drop = compiled(schema, options);
    return drop ? [{ isList: schema.items !== undefined, tag: schema.properties?.type?.const, drop }] : [];
  });
  if (drops.length === 0) return undefined;
  return (value) => {
    const type = isObject(value) ? value.type : undefined;
    const fitting = drops.find(
      ({ isList, tag }) => isList === Array.isArray(value) && (tag === undefined || tag === type),
    );
    return fitting ? fitting.drop(value) : value;
  };
}

function namesNull({ type, anyOf = [] }: Schema): boolean {
  return [type].flat().includes("null") || anyOf.some(namesNull);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
