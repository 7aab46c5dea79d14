// Edits a JSON text without printing the rest of it again: numbers, spaces and the order of keys stay as they are.
import { membersOf, scanJson } from "./json-scan.ts";

/**
 * Returns the text of an object without the members that have these keys, however often they occur. One comma and the
 * spaces around each of them go with it.
 * @param json an object that `JSON.parse` accepts
 */
export function withoutMembers(json: string, keys: readonly string[]): string {
  const members = membersOf(json);
  const kept = members.filter(({ key }) => !keys.includes(key));
  if (kept.length === members.length) return json;
  const texts = kept.map(({ text }) => text).join(",");
  return `${json.slice(0, json.indexOf("{") + 1)}${texts}${json.slice(json.lastIndexOf("}"))}`;
}

/** Returns the text of an object with this text as its first member, as in `"key":"value"`. */
export function withFirstMember(json: string, member: string): string {
  return insertedAfter(json, json.indexOf("{"), member);
}

/**
 * Returns the text of an object with more texts in a list of it. Creates the list, and the objects around it, if they
 * are missing. Texts that the list has already are not added.
 * @param json an object that `JSON.parse` accepts
 * @param path the keys that lead to the list
 * @returns the same text if another value than an object or a list is in the way
 */
export function withListed(json: string, path: readonly string[], texts: readonly string[]): string {
  const [key, ...inner] = path as [string, ...string[]];
  const value = (JSON.parse(json) as Record<string, unknown>)[key];
  if (value === undefined) {
    const empty = inner.reduceRight((list, name) => `{${JSON.stringify(name)}:${list}}`, JSON.stringify(texts));
    return texts.length === 0 ? json : insertedAfter(json, json.indexOf("{"), `${JSON.stringify(key)}:${empty}`);
  }
  if (typeof value !== "object" || value === null) return json;
  // Of a key that occurs twice, the last value counts.
  const span = scanJson(json, [key]).at(-1)!;
  const edited = Array.isArray(value) ? withItems(span.text, value, texts, inner) : withInner(span.text, inner, texts);
  return json.slice(0, span.start) + edited + json.slice(span.start + span.text.length);
}

function withItems(list: string, items: unknown[], texts: readonly string[], inner: readonly string[]): string {
  const missing = texts.filter((text) => !items.includes(text));
  if (inner.length > 0 || missing.length === 0) return list;
  return insertedAfter(list, 0, missing.map((text) => JSON.stringify(text)).join(","));
}

function withInner(object: string, inner: readonly string[], texts: readonly string[]): string {
  return inner.length === 0 ? object : withListed(object, inner, texts);
}

/** Inserts members behind the bracket at `index`, which begins an object or a list. */
function insertedAfter(json: string, index: number, members: string): string {
  const rest = json.slice(index + 1);
  const isEmpty = /^[\s]*[\]}]/.test(rest);
  return `${json.slice(0, index + 1)}${members}${isEmpty ? "" : ","}${rest}`;
}
