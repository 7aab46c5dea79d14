// Turns mistakes that a JSON Schema finds into sentences: where the mistake is, what is allowed, and what was found.
// Requests, the configuration and the simulator's options all use it.
import { Ajv, type ErrorObject, type ValidateFunction } from "ajv";
import { nearest } from "./nearest.ts";
import { type Described, described, shown } from "./words.ts";

/** Names of fields and indexes of lists, from the outside in. */
export type Path = readonly (string | number)[];

/** A mistake that a schema found. */
export interface SchemaProblem {
  /** Path of the invalid value, of the missing or unknown field, or of the object with an invalid key. */
  path: Path;
  kind: "missing" | "unknown" | "key" | "value";
  /** Text after the path, without a full stop: `must be an integer of at least 1; got 0`. */
  text: string;
  /** For an unknown field: the names of the known fields. */
  known: readonly string[];
}

/** Options of Ajv that the sentences need: the schema and the value in each error, and our own keywords. */
export const ajvOptions = { verbose: true, allowUnionTypes: true, keywords: ["allowed", "secret"] };

/**
 * Returns the problems of a failed check, at most one per path. Skips errors of single alternatives in an `anyOf`,
 * because the `anyOf` as a whole fails too.
 * @param errors errors of an Ajv with `ajvOptions`
 * @param mask applied to found texts before they are shown. Default: none
 */
export function problemsOf(errors: readonly ErrorObject[], mask = (text: string) => text): SchemaProblem[] {
  const problems = new Map<string, SchemaProblem>();
  for (const error of errors) {
    if (/\/(anyOf|propertyNames)\//.test(error.schemaPath)) continue;
    const problem = problemOf(error, mask);
    const place = JSON.stringify(problem.path);
    if (!problems.has(place)) problems.set(place, problem);
  }
  return [...problems.values()];
}

function problemOf(error: ErrorObject, mask: (text: string) => string): SchemaProblem {
  const { keyword, params, data } = error;
  const schema = (error.parentSchema ?? {}) as Described;
  const path = pathOf(error.instancePath);
  if (keyword === "required") {
    const name: string = params.missingProperty;
    const allowed = schema.properties?.[name]?.allowed;
    const text = allowed === undefined ? "is required" : `is required: ${allowed}`;
    return { path: [...path, name], kind: "missing", text, known: [] };
  }
  if (keyword === "additionalProperties") {
    const name: string = params.additionalProperty;
    const known = Object.keys(schema.properties ?? {});
    const text =
      schema.properties || schema.allowed === undefined
        ? unknownText("field", name, known)
        : `is not a valid name; use ${schema.allowed}`;
    return { path: [...path, name], kind: "unknown", text, known };
  }
  if (keyword === "propertyNames") {
    const allowed = described({ type: "string", ...(error.schema as Described) });
    return { path, kind: "key", text: `must be ${allowed}; got ${shown(params.propertyName)}`, known: [] };
  }
  const found = typeof data === "string" ? mask(data) : data;
  const got = schema.secret ? "something else" : (counted(error) ?? shown(found));
  return { path, kind: "value", text: `must be ${described(schema)}; got ${got}`, known: [] };
}

/**
 * Returns the text for an unknown name, with the known names and the nearest one.
 * @param what kind of name, such as `field` or `query parameter`
 */
export function unknownText(what: string, name: string, known: readonly string[]): string {
  const near = nearest(name, known);
  const hint = near === undefined ? "; known" : `; did you mean ${near}? Known`;
  const all = what.replace(/^(field|query parameter)/, "$1s");
  return `is not a known ${what}${hint} ${all}: ${known.join(", ") || "none"}`;
}

/** Describes a list or object with too few or too many items. Its type is correct, so only the count matters. */
function counted({ keyword, data }: ErrorObject): string | undefined {
  if (keyword === "maxProperties") return `an object of ${Object.keys(data as object).length} entries`;
  if (keyword === "minProperties") return "an empty object";
  if (!Array.isArray(data) || (keyword !== "minItems" && keyword !== "maxItems")) return undefined;
  return data.length === 0 ? "an empty list" : `a list of ${data.length}`;
}

function pathOf(instancePath: string): Path {
  return instancePath
    .split("/")
    .slice(1)
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"))
    .map((part) => (/^\d+$/.test(part) ? Number(part) : part));
}

/**
 * Formats a path as `models.llama3-3-70b.quotas[1].limit`. A name with other characters is in brackets: `models["a
 * b"]`.
 */
export function formatPath(path: Path): string {
  return path
    .map((part, i) => {
      if (typeof part === "number") return `[${part}]`;
      if (!/^[A-Za-z0-9_-]+$/.test(part)) return `[${JSON.stringify(part)}]`;
      return i === 0 ? part : `.${part}`;
    })
    .join("");
}

let shared: Ajv | undefined;

/**
 * Returns a function that finds every mistake in a value. Meant for values that are checked rarely, such as a
 * configuration. Compiles the schema at the first use.
 * @param mask see `problemsOf`
 */
export function problemFinder(schema: object, mask?: (text: string) => string): (value: unknown) => SchemaProblem[] {
  let validate: ValidateFunction | undefined;
  return (value) => {
    shared ??= new Ajv({ ...ajvOptions, allErrors: true });
    validate ??= shared.compile(schema);
    return validate(value) ? [] : problemsOf(validate.errors ?? [], mask);
  };
}
