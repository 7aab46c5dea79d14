// Generates numbers for schemas, as JSON: within the bounds, and exact if JavaScript cannot represent a bound.
import { JsonText } from "../domain/json-text.ts";
import type { Json } from "./json.ts";

/** Returns a number that the schema allows, as JSON. */
export function numberOf(schema: Json, random: () => number): string {
  const isWhole = [schema.type].flat().includes("integer");
  const keyword = keywords.find((name) => schema[name] instanceof JsonText);
  if (keyword === undefined) return JSON.stringify(numberWithin(schema, random)) ?? "null";
  const { text } = schema[keyword] as JsonText;
  const isInteger = /^-?\d+$/.test(text);
  if (isWhole && !isInteger) return numberOf({ ...schema, [keyword]: Number(text) }, random);
  if (!keyword.startsWith("exclusive")) return text;
  // The next integer satisfies an exclusive bound. A fraction has no next one.
  return isInteger ? String(BigInt(text) + (keyword === "exclusiveMinimum" ? 1n : -1n)) : text;
}

/** Bounds in order of precedence. */
const keywords = ["minimum", "maximum", "multipleOf", "exclusiveMinimum", "exclusiveMaximum"];

/** Range of a number without bounds. */
const usualRange = 100;

function numberWithin(schema: Json, random: () => number): number {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf } = schema as Record<string, number>;
  const whole = schema.type === "integer" || [schema.type].flat().includes("integer");
  const step = multipleOf && multipleOf > 0 ? multipleOf : whole ? 1 : 0.5;
  const above = Math.max(minimum ?? -Infinity, exclusiveMinimum ?? -Infinity);
  const below = Math.min(maximum ?? Infinity, exclusiveMaximum ?? Infinity);
  const low = Number.isFinite(above) && above >= -usualRange * 1_000 ? above : Math.min(0, below - usualRange);
  const high = Number.isFinite(below) && below <= low + usualRange * 1_000 ? below : low + usualRange;
  // Counts in steps, so that the result is a multiple of them.
  let first = Math.ceil(low / step);
  let last = Math.floor(high / step);
  if (exclusiveMinimum !== undefined && first * step <= exclusiveMinimum) first++;
  if (exclusiveMaximum !== undefined && last * step >= exclusiveMaximum) last--;
  // No multiple of the step lies between the bounds, so the middle is used.
  if (first > last) return (low + high) / 2;
  const value = (first + Math.floor(random() * (last - first + 1))) * step;
  // Rounds binary fractions: 3 * 0.1 is 0.30000000000000004.
  return Number.isInteger(value) ? value : Number(value.toPrecision(12));
}
