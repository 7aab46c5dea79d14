// Passes on a caller's JSON unchanged, or refuses it. JavaScript cannot represent every JSON number, so text that may
// contain such a number is checked again. It stays text in schemas and tool input, and is refused elsewhere.
import { isDeepStrictEqual } from "node:util";
import { SluiceError } from "../../domain/errors.ts";
import { fieldOfPath, type JsonPath, type JsonSpan, mayBeInexact, scanJson } from "../../domain/json-scan.ts";
import { JsonText } from "../../domain/json-text.ts";
import { checkDepth } from "./json-values.ts";

export interface KeepOptions {
  /** Key of the text whose value is the body. Default: the text is the body. */
  root?: string;
  /** Places that keep their text in any case, with its spaces and the order of its keys. Default: none. */
  verbatim?: readonly string[];
}

/**
 * Puts a JsonText into a parsed body at each place that keeps its text, if JavaScript cannot represent a number in it.
 * @param body the value that `json` parses to
 * @param places paths in the body, such as `tools.*.input_schema`
 * @throws SluiceError `invalid_request` with the field, for such a number in another place
 */
export function keepExact(
  body: unknown,
  json: string,
  places: readonly string[],
  { root, verbatim = [] }: KeepOptions = {},
): void {
  const isVerbatim = verbatim.some((place) => isObject(valueAt(body, place.split("."))));
  if (!isVerbatim && !mayBeInexact(json)) return;
  checkDepth(body);
  const start = root === undefined ? 0 : 1;
  const all = [...places, ...verbatim];
  const wanted = root === undefined ? all : all.map((place) => `${root}.${place}`);
  const last = new Map<string, JsonSpan>();
  const spans = scanJson(json, wanted, ({ literal }, path) => {
    if (start === 0 || path[0] === root) refuse(path.slice(start), literal);
  });
  // If a key occurs twice, JSON.parse uses the second value.
  for (const span of spans) last.set(JSON.stringify(span.path), span);
  for (const { path, text, isExact } of last.values()) {
    const own = path.slice(start);
    if (!isExact || verbatim.includes(own.join("."))) keepText(body, own, text);
  }
}

function valueAt(body: unknown, path: JsonPath): unknown {
  return path.reduce<unknown>((at, part) => at?.[part as keyof typeof at], body);
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null;
}

function keepText(body: unknown, path: JsonPath, text: string): void {
  const key = path.at(-1)!;
  const holder = valueAt(body, path.slice(0, -1));
  const found = holder?.[key as keyof typeof holder];
  // An outer key may occur twice as well.
  if (found === undefined || !isDeepStrictEqual(found, JSON.parse(text))) {
    const field = fieldOfPath(path);
    throw new SluiceError("invalid_request", `${field} must not be given twice.`, { field });
  }
  (holder as Record<string | number, unknown>)[key] = new JsonText(text);
}

function refuse(path: JsonPath, literal: string): never {
  const field = fieldOfPath(path);
  const got = literal.length > 40 ? `${literal.slice(0, 40)}...` : literal;
  const message = `${field} must be a number that a double represents exactly; got ${got}.`;
  throw new SluiceError("invalid_request", message, { field });
}
