// Generates values for JSON schemas, as a model might answer them. The same random numbers give the same value. Values
// are marked as synthetic wherever the schema allows a text.

import { printJson } from "../domain/json-text.ts";
import { FillBudget } from "./fill-budget.ts";
import { numberOf } from "./fill-number.ts";
import { syntheticText, textOfFormat, textOfPattern } from "./fill-text.ts";
import { isObject, type Json } from "./json.ts";

/** How values are generated. */
export interface Filling {
  /** Returns numbers from 0 up to 1. */
  random: () => number;
  /** Returns a schema for an object whose properties the schema does not describe. */
  openObject?: () => unknown;
  /** Useful size of JSON, in UTF-16 code units. The rest would be cut off. Default and maximum 500,000. */
  maxCharacters?: number;
}

/** A generated value. */
export interface Filled {
  /** JSON; truncated if `isWhole` is false. */
  json: string;
  isWhole: boolean;
}

/** Depth from which only required parts are generated, so that a recursive schema ends. */
const optionalDepth = 4;
/** Depth from which not even required parts are generated. */
const maxDepth = 24;
/** Maximum number of parts of an `allOf` that are read. */
const maxParts = 1_000;

/**
 * Generates a value that the schema allows, ignoring unknown keywords. The value ends unfinished if it would become too
 * large, or take too long to write.
 */
export function fill(schema: unknown, filling: Filling): Filled {
  const budget = new FillBudget(filling.maxCharacters);
  const json = new Filler(schema, filling, budget).value(schema, "value", 0);
  return { json, isWhole: !budget.isSpent };
}

class Filler {
  readonly #root: unknown;
  readonly #filling: Filling;
  readonly #budget: FillBudget;
  /** Results of `#resolved` by the given schema: for shallow and for deep values. */
  readonly #known = [new Map<unknown, Json>(), new Map<unknown, Json>()] as const;

  constructor(root: unknown, filling: Filling, budget: FillBudget) {
    this.#root = root;
    this.#filling = filling;
    this.#budget = budget;
  }

  /** Returns the JSON of a value. When the budget is used up, returns the part written so far. */
  value(given: unknown, name: string, depth: number): string {
    const budget = this.#budget;
    budget.work(1);
    if (budget.isSpent) return "";
    if (depth > maxDepth) return budget.written("null");
    const schema = this.#resolved(given, depth);
    if (schema.const !== undefined) return budget.written(printJson(schema.const));
    if (Array.isArray(schema.enum) && schema.enum.length > 0) return budget.written(printJson(this.#pick(schema.enum)));
    switch (typeOf(schema)) {
      case "null":
        return budget.written("null");
      case "boolean":
        return budget.written(String(this.#filling.random() < 0.5));
      case "integer":
      case "number":
        return budget.written(numberOf(schema, this.#filling.random));
      case "array":
        return this.#list(schema, name, depth);
      case "object":
        return this.#object(schema, depth);
      default:
        return budget.written(JSON.stringify(this.#text(schema, name)));
    }
  }

  /** Whether optional parts are omitted. */
  #isDeep(depth: number): boolean {
    return depth >= optionalDepth || this.#budget.isShort;
  }

  #pick<T>(values: readonly T[]): T {
    return values[Math.floor(this.#filling.random() * values.length)]!;
  }

  #resolved(given: unknown, depth: number): Json {
    const known = this.#known[this.#isDeep(depth) ? 1 : 0];
    const found = known.get(given);
    if (found) return found;
    const schema = this.#resolve(given, depth);
    known.set(given, schema);
    return schema;
  }

  /** Returns the schema with references resolved, and with one alternative and all common parts merged into it. */
  #resolve(given: unknown, depth: number): Json {
    let schema: Json = isObject(given) ? given : {};
    for (let step = 0; step < maxDepth && !this.#budget.isSpent; step++) {
      const { $ref: ref, allOf, anyOf, oneOf, not, ...rest } = schema;
      const parts: unknown[] = [];
      if (typeof ref === "string") parts.push(this.#target(ref));
      if (Array.isArray(allOf)) parts.push(...allOf.slice(0, maxParts));
      for (const either of [anyOf, oneOf]) {
        if (Array.isArray(either) && either.length > 0) parts.push(this.#alternative(either, depth));
      }
      // `not: {not: ...}` means the same as its content.
      if (isObject(not) && Object.keys(not).length === 1 && "not" in not) parts.push(not.not);
      if (parts.length === 0) return schema;
      schema = parts.filter(isObject).reduce<Json>((all, part) => this.#merged(all, part), rest);
    }
    return schema;
  }

  /** Merges two schemas into one that requires what both require. */
  #merged(a: Json, b: Json): Json {
    if (this.#budget.isSpent) return a;
    const both: Json = { ...a, ...b };
    if (isObject(a.properties) && isObject(b.properties)) both.properties = { ...a.properties, ...b.properties };
    if (Array.isArray(a.required) && Array.isArray(b.required)) both.required = [...a.required, ...b.required];
    if (Array.isArray(a.allOf) && Array.isArray(b.allOf)) both.allOf = [...a.allOf, ...b.allOf];
    const { properties, required, allOf } = both;
    const keys = isObject(properties) ? Object.keys(properties).length : 0;
    this.#budget.work(Object.keys(both).length + keys + lengthOf(required) + lengthOf(allOf));
    return both;
  }

  /** Returns the schema that a reference points to. */
  #target(ref: string): unknown {
    this.#budget.work(ref.length / 16);
    let at = this.#root;
    for (const part of ref.split("/").slice(1)) {
      const key = part.replaceAll("~1", "/").replaceAll("~0", "~").replaceAll("%24", "$");
      at = (isObject(at) || Array.isArray(at)) && Object.hasOwn(at, key) ? (at as Json)[key] : undefined;
    }
    return ref.startsWith("#") ? at : undefined;
  }

  /** Returns the first alternative that is not null. Deep inside, returns the one that ends soonest. */
  #alternative(either: unknown[], depth: number): unknown {
    this.#budget.work(either.length);
    const more = either.find((schema) => !isObject(schema) || schema.type !== "null");
    const shallow = either.find((schema) => isObject(schema) && !("$ref" in schema) && typeOf(schema) !== "object");
    return this.#isDeep(depth) ? (shallow ?? either[0]) : (more ?? either[0]);
  }

  #object(schema: Json, depth: number): string {
    const budget = this.#budget;
    const properties = isObject(schema.properties) ? schema.properties : {};
    const required = new Set(Array.isArray(schema.required) ? schema.required.filter(isText) : []);
    const names = Object.keys(properties);
    budget.work(names.length + required.size);
    const more = schema.additionalProperties;
    const isOpen = schema.properties === undefined && more !== false;
    if (isOpen && required.size === 0 && !isObject(more)) {
      const open = depth === 0 ? this.#filling.openObject?.() : undefined;
      // References point into the schema that contains them. The schema describes an object only if the result is one.
      if (open !== undefined) {
        const json = new Filler(open, this.#filling, budget).value(open, "value", depth + 1);
        if (json.startsWith("{")) return json;
      }
    }
    const optional = this.#isDeep(depth) ? [] : names.filter((name) => !required.has(name));
    const limit = typeof schema.maxProperties === "number" ? schema.maxProperties : Number.POSITIVE_INFINITY;
    const wanted = [...required, ...optional.slice(0, Math.max(0, limit - required.size))];
    const least = typeof schema.minProperties === "number" ? schema.minProperties : 0;
    const missing = Math.max(least - wanted.length, wanted.length === 0 && isOpen && limit > 0 ? 1 : 0);
    const added = (i: number) => (missing === 1 ? "synthetic" : `synthetic_${i + 1}`);
    const count = wanted.length + (more === false ? 0 : missing);
    let json = budget.written("{");
    for (let i = 0; i < count && !budget.isSpent; i++) {
      const name = wanted[i] ?? added(i - wanted.length);
      const inner =
        i < wanted.length && Object.hasOwn(properties, name) ? properties[name] : isObject(more) ? more : {};
      json += budget.written(`${i > 0 ? "," : ""}${JSON.stringify(name)}:`);
      json += this.value(inner, name, depth + 1);
    }
    return budget.isSpent ? json : json + budget.written("}");
  }

  #list(schema: Json, name: string, depth: number): string {
    const budget = this.#budget;
    const { minItems = 0, maxItems = Number.POSITIVE_INFINITY, items, uniqueItems } = schema as Bounds;
    const first = Array.isArray(schema.prefixItems) ? schema.prefixItems : [];
    const usual = this.#isDeep(depth) ? 0 : 1 + Math.floor(this.#filling.random() * 2);
    const wanted = items === false ? first.length : Math.max(first.length, usual);
    const count = Math.min(Math.max(minItems, wanted), Math.max(minItems, maxItems), 1_000);
    let json = budget.written("[");
    const seen = new Set<string>();
    for (let at = 0, tries = 0; at < count && tries < count * 20 && !budget.isSpent; tries++) {
      const value = this.value(at < first.length ? first[at] : items, `${name} ${at + 1}`, depth + 1);
      if (uniqueItems === true && seen.has(value)) continue;
      json += budget.written(at++ > 0 ? "," : "") + value;
      if (uniqueItems === true) seen.add(value);
    }
    return budget.isSpent ? json : json + budget.written("]");
  }

  #text({ format, pattern, minLength, maxLength }: Json, name: string): string {
    const { random } = this.#filling;
    if (typeof format === "string") {
      const text = textOfFormat(format, random);
      if (text !== undefined) return text;
    }
    if (typeof pattern === "string") {
      this.#budget.work(pattern.length / 8);
      const text = textOfPattern(pattern, random, (steps) => this.#budget.work(steps));
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

function lengthOf(list: unknown): number {
  return Array.isArray(list) ? list.length : 0;
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}
