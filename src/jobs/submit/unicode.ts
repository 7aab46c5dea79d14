// Refuses half of a surrogate pair, which cannot be written as UTF-8. The provider or the store would get another text.
import { SluiceError } from "../../domain/errors.ts";

/**
 * Requires valid Unicode.
 * @throws SluiceError `invalid_request`
 */
export function requireUnicode(text: string, field: string): void {
  if (/\p{Surrogate}/u.test(text)) throw notUnicode(field);
}

/** UTF-8 cannot contain half of a pair, so JSON always has it as an escape. */
const escapedSurrogate = /\\u[dD][89a-fA-F]/;
/** Maximum number of parts in the name of a field. */
const maxParts = 20;

interface Place {
  value: unknown;
  /** The part of a path, `.name` or `[0]`. */
  part: string;
  holder?: Place;
}

/**
 * Checks every text and every name in a JSON value. It works without recursion, because a body may be nested a million
 * levels deep.
 * @param json the text from which the value was parsed
 * @throws SluiceError `invalid_request` with the place of the first text that is not Unicode
 */
export function requireUnicodeIn(value: unknown, json: string): void {
  if (!escapedSurrogate.test(json)) return;
  const open: Place[] = [{ value, part: "" }];
  for (let place = open.pop(); place; place = open.pop()) {
    const { value: found } = place;
    if (typeof found === "string" && isHalf(found)) throw notUnicode(placeOf(place));
    if (Array.isArray(found)) {
      for (let i = found.length - 1; i >= 0; i--) open.push({ value: found[i], part: `[${i}]`, holder: place });
    } else if (typeof found === "object" && found !== null) {
      const entries = Object.entries(found);
      if (entries.some(([name]) => isHalf(name))) throw notUnicode(placeOf(place) || "A name of the body");
      for (const [name, inner] of entries.reverse()) open.push({ value: inner, part: `.${name}`, holder: place });
    }
  }
}

function isHalf(text: string): boolean {
  return /\p{Surrogate}/u.test(text);
}

function placeOf(place: Place): string {
  const parts: string[] = [];
  for (let at = place; at.holder; at = at.holder) parts.push(at.part.slice(0, 100));
  return parts.reverse().slice(0, maxParts).join("").replace(/^\./, "");
}

function notUnicode(field: string): SluiceError {
  return new SluiceError("invalid_request", `${field} must be valid Unicode; it contains half of a surrogate pair.`, {
    field,
  });
}
