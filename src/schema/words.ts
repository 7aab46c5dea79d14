// Describes in words what a JSON Schema allows and what a value is. All messages about requests, the configuration and
// the simulator's options use these words.
import { quote } from "../domain/errors.ts";

/** The part of JSON Schema that can be described, and two keywords of our own. */
export interface Described {
  type?: string | string[];
  enum?: unknown[];
  const?: unknown;
  anyOf?: Described[];
  format?: string;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  minProperties?: number;
  maxProperties?: number;
  items?: Described;
  required?: string[];
  properties?: Record<string, Described>;
  pattern?: string;
  additionalProperties?: boolean | Described;
  propertyNames?: Described;
  /** Description of what is allowed, in place of all other keywords. For a map with a key pattern: the allowed keys. */
  allowed?: string;
  /** Whether an invalid value may be a misplaced secret and must not be shown. Default: false. */
  secret?: boolean;
}

/** Returns what a schema allows, such as `an integer between 1 and 5`. */
export function described(schema: Described): string {
  if (schema.allowed !== undefined && schema.type !== "object") return schema.allowed;
  if (schema.enum) return `one of ${schema.enum.join(", ")}`;
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.anyOf) return alternatives(schema.anyOf);
  if (Array.isArray(schema.type)) return schema.type.map((type) => described({ ...schema, type })).join(" or ");
  switch (schema.type) {
    case "integer":
      return numberIn("an integer", schema);
    case "number":
      return numberIn("a number", schema);
    case "string":
      if (schema.format === "uuid") return "a UUID";
      if (schema.pattern !== undefined) return `a string that matches ${schema.pattern}`;
      if (schema.format === "date-time") return 'a time such as "2030-01-31T12:00:00Z"';
      if (schema.minLength === 1 && schema.maxLength === undefined) return "a string that is not empty";
      return `a string${size(schema.minLength, schema.maxLength, "characters")}`;
    case "null":
      return "null";
    case "boolean":
      return "true or false";
    case "array":
      return `a list${size(schema.minItems, schema.maxItems, "items")}${schema.items ? `, each ${described(schema.items)}` : ""}`;
    case "object":
      return objectIn(schema);
    default:
      return "another value";
  }
}

function objectIn(schema: Described): string {
  if (schema.allowed !== undefined) {
    return `an object${schema.minProperties ? " that is not empty" : ""}, with ${schema.allowed}`;
  }
  if (typeof schema.additionalProperties !== "object") {
    return schema.required ? `an object with ${enumeration(schema.required)}` : "an object";
  }
  const keys = schema.propertyNames ? ` with ${described({ type: "string", ...schema.propertyNames })} as key` : "";
  const values = described(schema.additionalProperties);
  return `an object of at most ${schema.maxProperties} entries, each${keys} and ${values} as value`;
}

/**
 * Describes alternatives. Objects with different `type` values are described together: of type text (with text) or
 * tool_call (with id and name).
 */
function alternatives(schemas: Described[]): string {
  const tagged = schemas.filter((s) => s.properties?.type?.const !== undefined);
  if (tagged.length < 2) return schemas.map(described).join(" or ");
  const kinds = tagged.map(({ properties, required = [] }) => {
    const rest = required.filter((key) => key !== "type");
    return `${properties!.type!.const}${rest.length > 0 ? ` (with ${enumeration(rest)})` : ""}`;
  });
  const others = schemas.filter((s) => !tagged.includes(s)).map(described);
  return [...others, `an object of type ${kinds.slice(0, -1).join(", ")} or ${kinds.at(-1)}`].join(" or ");
}

function numberIn(kind: string, { minimum, exclusiveMinimum, maximum }: Described): string {
  if (exclusiveMinimum !== undefined) {
    return `${kind} greater than ${exclusiveMinimum}${maximum === undefined ? "" : ` and at most ${maximum}`}`;
  }
  if (minimum !== undefined && maximum !== undefined) return `${kind} between ${minimum} and ${maximum}`;
  if (minimum !== undefined) return `${kind} of at least ${minimum}`;
  return maximum === undefined ? kind : `${kind} of at most ${maximum}`;
}

function size(min: number | undefined, max: number | undefined, unit: string): string {
  if (min !== undefined && max !== undefined)
    return min === max ? ` of ${min} ${unit}` : ` of ${min} to ${max} ${unit}`;
  if (min !== undefined) return ` of at least ${min} ${unit}`;
  return max === undefined ? "" : ` of at most ${max} ${unit}`;
}

/** Returns `a, b and c`. */
function enumeration(names: readonly string[]): string {
  return names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : (names[0] ?? "nothing");
}

/**
 * Formats a value for a message, with bounded length. Lists and objects are only named, because they may be long or
 * deeply nested.
 */
export function shown(value: unknown): string {
  if (typeof value === "string") return quote(value);
  if (Array.isArray(value)) return "a list";
  if (value === undefined) return "nothing";
  return typeof value === "object" && value !== null ? "an object" : String(value);
}
