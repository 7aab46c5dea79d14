// Turns mistakes in a configuration into sentences: where (the key path and, if known, the line), what stands there,
// and what may stand there instead.
import type { TSchema } from "typebox";
import { Settings as TypeBoxSettings } from "typebox/system";
import { Errors } from "typebox/value";
import { maskSecrets } from "./secrets.ts";

export type Path = readonly (string | number)[];

export interface Problem {
  path: Path;
  /** Follows the path: `is 0; allowed: a whole number from 1 to 10,000`. */
  text: string;
}

export type Report = (path: Path, text: string) => void;

/** `models.llama3-3-70b.deployments[0].quotas[1].limit`; a name with other characters stands in brackets. */
export function formatPath(path: Path): string {
  return path
    .map((part, i) => {
      if (typeof part === "number") return `[${part}]`;
      if (!/^[A-Za-z0-9_-]+$/.test(part)) return `[${JSON.stringify(maskSecrets(part))}]`;
      return i === 0 ? part : `.${part}`;
    })
    .join("");
}

/** A value as it may be shown: one line, short, and without what may be a secret. */
export function showValue(value: unknown): string {
  const oneLine = typeof value === "string" ? value.replace(/\s+/g, " ") : (JSON.stringify(value) ?? String(value));
  const masked = maskSecrets(oneLine);
  const text = typeof value !== "string" ? masked : JSON.stringify(masked === oneLine ? value : masked);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

/** All the ways in which the value does not have the schema's form; at most one per place. */
export function findProblems(schema: TSchema, value: unknown): Problem[] {
  const problems = new Map<string, Problem>();
  const report: Report = (path, text) => {
    const key = formatPath(path);
    if (!problems.has(key)) problems.set(key, { path, text });
  };
  for (const error of allErrors(schema, value)) {
    // The same mistake is reported once more as `additionalProperties` of the object around it.
    if (error.keyword === "boolean") continue;
    const { path, found, at } = follow(schema, value, error.instancePath);
    if (error.keyword === "additionalProperties") {
      for (const key of error.params.additionalProperties) report([...path, key], unknownKey(at, key));
    } else if (error.keyword === "required") {
      for (const key of error.params.requiredProperties) {
        report([...path, key], `is missing; allowed: ${describe((at as ObjectSchema).properties![key]!)}`);
      }
    } else {
      const shown = (at as ObjectSchema).secret ? "something else" : showValue(found);
      report(path, `is ${shown}; allowed: ${describe(at)}`);
    }
  }
  return [...problems.values()];
}

/** TypeBox stops at 8 errors, which is a guard for servers: whoever corrects a file wants to see all. */
function allErrors(schema: TSchema, value: unknown) {
  const { maxErrors } = TypeBoxSettings.Get();
  TypeBoxSettings.Set({ maxErrors: 1000 });
  try {
    return Errors(schema, value);
  } finally {
    TypeBoxSettings.Set({ maxErrors });
  }
}

/** The part of JSON Schema that fileSchema uses, and `allowed`: in words, what a pattern says. */
interface ObjectSchema {
  type?: string;
  enum?: unknown[];
  properties?: Record<string, TSchema>;
  patternProperties?: Record<string, TSchema>;
  items?: TSchema;
  allowed?: string;
  /** Whether a wrong value may be a secret that stands in the wrong place. */
  secret?: boolean;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  minItems?: number;
  maxItems?: number;
  minLength?: number;
  maxLength?: number;
  minProperties?: number;
}

/** Goes down schema and value together along a JSON pointer. */
function follow(schema: TSchema, value: unknown, pointer: string) {
  const path: (string | number)[] = [];
  let at = schema;
  let found = value;
  for (const token of pointer.split("/").slice(1)) {
    const key = token.replaceAll("~1", "/").replaceAll("~0", "~");
    const here = at as ObjectSchema;
    if (here.items) at = here.items;
    else at = here.properties?.[key] ?? Object.values(here.patternProperties ?? {})[0]!;
    path.push(Array.isArray(found) ? Number(key) : key);
    found = (found as Record<string, unknown>)[key];
  }
  return { path, found, at };
}

function unknownKey(schema: TSchema, key: string): string {
  const { properties, allowed } = schema as ObjectSchema;
  if (!properties) return `is not a usable name; allowed: ${allowed}`;
  const known = Object.keys(properties);
  const near = nearest(key, known);
  return `is not a known key${near ? `; did you mean ${near}?` : ";"} Allowed: ${known.join(", ")}`;
}

function describe(schema: TSchema): string {
  const s = schema as ObjectSchema;
  if (s.enum) return `one of ${s.enum.join(", ")}`;
  if (s.type === "object") {
    return `a map${s.minProperties ? " with at least one entry" : ""}${s.allowed ? `, ${s.allowed}` : ""}`;
  }
  if (s.allowed) return s.allowed;
  if (s.type === "array") return `a list of ${s.minItems ?? 0} to ${s.maxItems} entries`;
  if (s.type === "boolean") return "true or false";
  if (s.type === "string") return s.maxLength ? `text of ${s.minLength ?? 0} to ${s.maxLength} characters` : "text";
  const kind = s.type === "integer" ? "a whole number" : "a number";
  if (s.exclusiveMinimum !== undefined) {
    return `${kind} greater than ${s.exclusiveMinimum}, at most ${s.maximum}`;
  }
  return `${kind} from ${s.minimum} to ${s.maximum}`;
}

/** The candidate that differs least from the word, if it is near enough to be what was meant. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const ranked = candidates
    .map((candidate) => ({ candidate, distance: editDistance(word.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance);
  const best = ranked[0];
  return best && best.distance <= Math.max(2, Math.floor(best.candidate.length / 3)) ? best.candidate : undefined;
}

function editDistance(a: string, b: string): number {
  // A name that was typed by hand is short; anything longer is no near miss of anything.
  if (a.length > 60) return Number.POSITIVE_INFINITY;
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length]!;
}
