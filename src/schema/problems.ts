// The one place where a mistake that a JSON Schema finds becomes a sentence, for requests, the configuration and the
// simulator's options: where it is, what is allowed there, and what was found.
import { Ajv, type ErrorObject, type ValidateFunction } from "ajv";
import { nearest } from "./nearest.ts";
import { type Described, described, shown } from "./words.ts";

/** Names of fields and indexes of lists, from the outside in. */
export type Path = readonly (string | number)[];

export interface SchemaProblem {
  /** Of the value that is wrong, of the field that is missing or unknown, or of the object with a wrong key. */
  path: Path;
  kind: "missing" | "unknown" | "key" | "value";
  /** Follows the place in a sentence without its full stop: `must be an integer of at least 1; got 0`. */
  text: string;
  /** Of an unknown field: the names that there are. */
  known: readonly string[];
}

/** Options of Ajv that the sentences need: the schema and the value in each error, and the words of our own. */
export const ajvOptions = { verbose: true, allowUnionTypes: true, keywords: ["allowed", "secret"] };

/**
 * Returns the problems of a failed check, at most one for each place. What single alternatives of a choice refuse is left
 * out: the choice as a whole is refused as well.
 * @param errors of an Ajv with `ajvOptions`
 * @param mask applied to texts that were found, before they are shown. Default: none
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

/** @param what an unknown name is, such as `field` or `query parameter` */
export function unknownText(what: string, name: string, known: readonly string[]): string {
  const near = nearest(name, known);
  const hint = near === undefined ? "; known" : `; did you mean ${near}? Known`;
  const all = what.replace(/^(field|query parameter)/, "$1s");
  return `is not a known ${what}${hint} ${all}: ${known.join(", ") || "none"}`;
}

/** Of a list or an object that is too short or too long, how many items it has: the type is as it must be. */
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

/** Returns `models.llama3-3-70b.quotas[1].limit`; a name with other characters is in brackets: `models["a b"]`. */
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
 * Returns a function that finds every mistake in a value, for values that are checked now and then, such as a
 * configuration. The schema is compiled when it is first needed.
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
