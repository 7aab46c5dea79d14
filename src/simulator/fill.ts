// Values for JSON schemas: what a model might answer, the same for the same numbers, and marked as synthetic wherever
// the schema leaves room for a text.

import { syntheticText, textOfFormat, textOfPattern } from "./fill-text.ts";
import { isObject, type Json } from "./json.ts";

export interface Filling {
  /** Numbers from 0 up to 1. */
  random: () => number;
  /** A schema for an object of whose properties the schema says nothing. */
  openObject?: () => unknown;
}

/** Below this depth only what is required is filled in, so that a schema which contains itself comes to an end. */
const optionalDepth = 4;
/** Below this one not even that. */
const maxDepth = 24;

/** A value that the schema allows, as far as its keywords are known here; the rest is ignored. */
export function fill(schema: unknown, filling: Filling): unknown {
  return new Filler(schema, filling).value(schema, "value", 0);
}

class Filler {
  readonly #root: unknown;
  readonly #filling: Filling;

  constructor(root: unknown, filling: Filling) {
    this.#root = root;
    this.#filling = filling;
  }

  value(given: unknown, name: string, depth: number): unknown {
    if (depth > maxDepth) return null;
    const schema = this.#resolved(given, depth);
    if (schema.const !== undefined) return schema.const;
    if (Array.isArray(schema.enum) && schema.enum.length > 0) return this.#pick(schema.enum);
    switch (typeOf(schema)) {
      case "null":
        return null;
      case "boolean":
        return this.#filling.random() < 0.5;
      case "integer":
      case "number":
        return numberOf(schema, this.#filling.random);
      case "array":
        return this.#list(schema, name, depth);
      case "object":
        return this.#object(schema, depth);
      default:
        return this.#text(schema, name);
    }
  }

  #pick<T>(values: readonly T[]): T {
    return values[Math.floor(this.#filling.random() * values.length)]!;
  }

  /** The schema with its references followed, and with one alternative and all common parts put into it. */
  #resolved(given: unknown, depth: number): Json {
    let schema: Json = isObject(given) ? given : {};
    for (let step = 0; step < maxDepth; step++) {
      const { $ref: ref, allOf, anyOf, oneOf, not, ...rest } = schema;
      const parts: unknown[] = [];
      if (typeof ref === "string") parts.push(target(this.#root, ref));
      if (Array.isArray(allOf)) parts.push(...allOf);
      for (const either of [anyOf, oneOf]) {
        if (Array.isArray(either) && either.length > 0) parts.push(this.#alternative(either, depth));
      }
      // `not: {not: ...}` says the same as what is in it.
      if (isObject(not) && Object.keys(not).length === 1 && "not" in not) parts.push(not.not);
      if (parts.length === 0) return schema;
      schema = parts.filter(isObject).reduce<Json>(merged, rest);
    }
    return schema;
  }

  /** The first that is more than null; deep inside the one that soonest comes to an end. */
  #alternative(either: unknown[], depth: number): unknown {
    const more = either.filter((schema) => !isObject(schema) || schema.type !== "null");
    const shallow = either.find((schema) => isObject(schema) && !("$ref" in schema) && typeOf(schema) !== "object");
    return depth >= optionalDepth ? (shallow ?? either[0]) : (more[0] ?? either[0]);
  }

  #object(schema: Json, depth: number): Json {
    const properties = isObject(schema.properties) ? schema.properties : {};
    const required = Array.isArray(schema.required) ? schema.required.filter((name) => typeof name === "string") : [];
    const names = Object.keys(properties);
    const more = schema.additionalProperties;
    const isOpen = schema.properties === undefined && more !== false;
    if (isOpen && required.length === 0 && !isObject(more)) {
      const open = depth === 0 ? this.#filling.openObject?.() : undefined;
      // References point into the schema that they are written in.
      const value = open === undefined ? undefined : new Filler(open, this.#filling).value(open, "value", depth + 1);
      if (isObject(value)) return value;
    }
    const wanted = names.filter((name) => required.includes(name) || depth < optionalDepth);
    const limit = typeof schema.maxProperties === "number" ? schema.maxProperties : Number.POSITIVE_INFINITY;
    const optional = wanted.filter((name) => !required.includes(name)).slice(0, Math.max(0, limit - required.length));
    const entries = [...new Set([...required, ...optional])].map((name): [string, unknown] => {
      const inner = Object.hasOwn(properties, name) ? properties[name] : isObject(more) ? more : {};
      return [name, this.value(inner, name, depth + 1)];
    });
    const least = typeof schema.minProperties === "number" ? schema.minProperties : 0;
    const missing = Math.max(least - entries.length, entries.length === 0 && isOpen && limit > 0 ? 1 : 0);
    for (let i = 0; i < missing && more !== false; i++) {
      const name = missing === 1 ? "synthetic" : `synthetic_${i + 1}`;
      entries.push([name, this.value(isObject(more) ? more : {}, name, depth + 1)]);
    }
    return Object.fromEntries(entries);
  }

  #list(schema: Json, name: string, depth: number): unknown[] {
    const { minItems = 0, maxItems = Number.POSITIVE_INFINITY, items, uniqueItems } = schema as Bounds;
    const first = Array.isArray(schema.prefixItems) ? schema.prefixItems : [];
    const usual = depth < optionalDepth ? 1 + Math.floor(this.#filling.random() * 2) : 0;
    const wanted = items === false ? first.length : Math.max(first.length, usual);
    const count = Math.min(Math.max(minItems, wanted), Math.max(minItems, maxItems), 1_000);
    const list: unknown[] = [];
    const seen = new Set<string>();
    for (let tries = 0; list.length < count && tries < count * 20; tries++) {
      const at = list.length;
      const value = this.value(at < first.length ? first[at] : items, `${name} ${at + 1}`, depth + 1);
      const key = JSON.stringify(value);
      if (uniqueItems !== true || !seen.has(key)) list.push(value);
      seen.add(key);
    }
    return list;
  }

  #text({ format, pattern, minLength, maxLength }: Json, name: string): string {
    const { random } = this.#filling;
    if (typeof format === "string") {
      const text = textOfFormat(format, random);
      if (text !== undefined) return text;
    }
    if (typeof pattern === "string") {
      const text = textOfPattern(pattern, random);
      if (text !== undefined) return text;
    }
    return syntheticText(name, random, {
      min: typeof minLength === "number" ? minLength : 0,
      max: typeof maxLength === "number" ? maxLength : Number.POSITIVE_INFINITY,
    });
  }
}

interface Bounds {
  minItems?: number;
  maxItems?: number;
  items?: unknown;
  uniqueItems?: unknown;
}

function typeOf(schema: Json): string {
  const types = [schema.type].flat().filter((type) => typeof type === "string");
  const type = types.find((name) => name !== "null") ?? types[0];
  if (type !== undefined) return type;
  if ("properties" in schema || "required" in schema || "additionalProperties" in schema) return "object";
  if ("items" in schema || "prefixItems" in schema) return "array";
  if ("minimum" in schema || "maximum" in schema || "multipleOf" in schema) return "number";
  return "string";
}

/** One schema that asks for what both ask for. */
function merged(a: Json, b: Json): Json {
  const both: Json = { ...a, ...b };
  if (isObject(a.properties) && isObject(b.properties)) both.properties = { ...a.properties, ...b.properties };
  if (Array.isArray(a.required) && Array.isArray(b.required)) both.required = [...a.required, ...b.required];
  if (Array.isArray(a.allOf) && Array.isArray(b.allOf)) both.allOf = [...a.allOf, ...b.allOf];
  return both;
}

function target(root: unknown, ref: string): unknown {
  let at = root;
  for (const part of ref.split("/").slice(1)) {
    const key = part.replaceAll("~1", "/").replaceAll("~0", "~").replaceAll("%24", "$");
    at = (isObject(at) || Array.isArray(at)) && Object.hasOwn(at, key) ? (at as Json)[key] : undefined;
  }
  return ref.startsWith("#") ? at : undefined;
}

/** Where nothing bounds a number, it is below this. */
const usualRange = 100;

function numberOf(schema: Json, random: () => number): number {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf } = schema as Record<string, number>;
  const whole = schema.type === "integer" || [schema.type].flat().includes("integer");
  const step = multipleOf && multipleOf > 0 ? multipleOf : whole ? 1 : 0.5;
  const above = Math.max(minimum ?? -Infinity, exclusiveMinimum ?? -Infinity);
  const below = Math.min(maximum ?? Infinity, exclusiveMaximum ?? Infinity);
  const low = Number.isFinite(above) && above >= -usualRange * 1_000 ? above : Math.min(0, below - usualRange);
  const high = Number.isFinite(below) && below <= low + usualRange * 1_000 ? below : low + usualRange;
  // Counted in steps, so that what comes out is a multiple of them.
  let first = Math.ceil(low / step);
  let last = Math.floor(high / step);
  if (exclusiveMinimum !== undefined && first * step <= exclusiveMinimum) first++;
  if (exclusiveMaximum !== undefined && last * step >= exclusiveMaximum) last--;
  // Between the bounds there is no multiple of the step: what lies in the middle will do.
  if (first > last) return (low + high) / 2;
  const value = (first + Math.floor(random() * (last - first + 1))) * step;
  return Number(value.toPrecision(12));
}
