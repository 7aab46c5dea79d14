// Finds values and inexact numbers in JSON text without parsing it. `JSON.parse` must accept the text. The scan keeps
// no call stack, so it accepts any depth, and its time grows with the length only.

/** Keys and indices, from the outermost in. */
export type JsonPath = (string | number)[];

/** An object or list at a requested path. */
export interface JsonSpan {
  path: JsonPath;
  text: string;
  /** Index of the text. */
  start: number;
  /** Whether JavaScript can represent all numbers in it. */
  isExact: boolean;
}

/** A number that JavaScript cannot represent, and its index in the text. */
export interface InexactNumber {
  literal: string;
  index: number;
}

/**
 * Whether JSON may contain a number that JavaScript cannot represent. Never false for such JSON, but true for some
 * other JSON.
 */
export function mayBeInexact(json: string): boolean {
  return suspicious.test(json);
}

/** Matches more than 15 significant digits, which a dot may separate, and exponents. Up to 15 digits always survive. */
const suspicious = /\d[\d.]{15}|\d[eE][-+]?\d/;

/**
 * Returns the objects and lists at the requested paths, in the order of the text. If the text repeats a key, its path
 * occurs twice.
 * @param places keys and indices separated by dots; `*` is any key or index. Only the outermost matches are found
 * @param onInexact called for inexact numbers outside these places; the path is valid during the call only
 */
export function scanJson(
  json: string,
  places: readonly string[],
  onInexact?: (number: InexactNumber, path: JsonPath) => void,
): JsonSpan[] {
  const wanted = places.map((place) => place.split("."));
  const spans: JsonSpan[] = [];
  /** The current key or index of each open object or list. */
  const path: JsonPath = [];
  let open: Omit<JsonSpan, "text"> | undefined;
  let expectsKey = false;
  for (let i = 0; i < json.length; i++) {
    switch (json[i]) {
      case '"': {
        const end = endOfString(json, i);
        if (expectsKey) path[path.length - 1] = stringOf(json.slice(i, end + 1));
        expectsKey = false;
        i = end;
        break;
      }
      case "{":
      case "[":
        if (!open && wanted.some((place) => matches(place, path))) open = { path: [...path], start: i, isExact: true };
        expectsKey = json[i] === "{";
        path.push(expectsKey ? "" : 0);
        break;
      case "}":
      case "]":
        path.pop();
        expectsKey = false;
        if (open?.path.length === path.length) {
          spans.push({ ...open, text: json.slice(open.start, i + 1) });
          open = undefined;
        }
        break;
      case ",": {
        const at = path.at(-1);
        if (typeof at === "number") path[path.length - 1] = at + 1;
        else expectsKey = true;
        break;
      }
      default: {
        if (!isNumberStart(json.charCodeAt(i))) break;
        numberAt.lastIndex = i;
        const literal = numberAt.exec(json)?.[0] ?? json[i]!;
        // Once a place is known to contain an inexact number, further ones do not matter.
        if (open?.isExact !== false && !isExactNumber(literal)) {
          if (open) open.isExact = false;
          else onInexact?.({ literal, index: i }, path);
        }
        i += literal.length - 1;
      }
    }
  }
  return spans;
}

/** A member of an object. */
export interface JsonMember {
  key: string;
  /** The text between the commas around it, with its spaces. */
  text: string;
}

/** Returns the members of the outermost object, in the order of the text. A key may occur twice. */
export function membersOf(json: string): JsonMember[] {
  const members: JsonMember[] = [];
  let start = json.indexOf("{") + 1;
  let key: string | undefined;
  let depth = 1;
  for (let i = start; depth > 0 && i < json.length; i++) {
    const character = json[i];
    if (character === '"') {
      const end = endOfString(json, i);
      if (depth === 1) key ??= stringOf(json.slice(i, end + 1));
      i = end;
    } else if (character === "{" || character === "[") {
      depth++;
    } else if (character === "}" || character === "]") {
      depth--;
    }
    const isEnd = depth === 0 || (depth === 1 && character === ",");
    if (!isEnd) continue;
    if (key !== undefined) members.push({ key, text: json.slice(start, i) });
    start = i + 1;
    key = undefined;
  }
  return members;
}

/** Formats a path as a caller writes it: `messages[0].content`. */
export function fieldOfPath(path: JsonPath): string {
  return path.reduce<string>((field, part) => {
    if (typeof part === "number") return `${field}[${part}]`;
    return field === "" ? part.slice(0, 100) : `${field}.${part.slice(0, 100)}`;
  }, "");
}

const numberAt = /-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?/y;

function isNumberStart(code: number): boolean {
  return (code >= 0x30 && code <= 0x39) || code === 0x2d;
}

/** Returns the index of the quote that ends the string, or of the last character if none does. */
export function endOfString(json: string, start: number): number {
  for (let end = json.indexOf('"', start + 1); end >= 0; end = json.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (json[end - 1 - backslashes] === "\\") backslashes++;
    if (backslashes % 2 === 0) return end;
  }
  return json.length - 1;
}

function stringOf(quoted: string): string {
  return quoted.includes("\\") ? (JSON.parse(quoted) as string) : quoted.slice(1, -1);
}

function matches(place: readonly string[], path: JsonPath): boolean {
  return place.length === path.length && place.every((part, i) => part === "*" || part === String(path[i]));
}

/**
 * Whether a JSON number is the same decimal after JavaScript has parsed and printed it. A fraction may also be the
 * double rounded to that many digits: 0.69999999999999996 and 0.7 are the same double for every reader.
 */
export function isExactNumber(literal: string): boolean {
  const value = Number(literal);
  if (!Number.isFinite(value)) return false;
  // Decides nearly all numbers, at a tenth of the cost of the rest.
  if (String(value) === literal || isRounded(value, literal)) return true;
  const written = decimalOf(literal);
  if (sameDecimal(written, decimalOf(String(value)))) return true;
  const { digits, exponent } = written;
  return exponent < 0 && digits.length <= 100 && sameDecimal(written, decimalOf(value.toPrecision(digits.length)));
}

/** Whether the literal, a fraction without exponent, is the double rounded to that many digits. */
function isRounded(value: number, literal: string): boolean {
  const places = literal.length - literal.indexOf(".") - 1;
  return literal.includes(".") && places <= 100 && Math.abs(value) < 1e21 && value.toFixed(places) === literal;
}

interface Decimal {
  negative: boolean;
  /** Digits without zeros at either end. */
  digits: string;
  exponent: number;
}

function decimalOf(literal: string): Decimal {
  const [mantissa, power = "0"] = literal.toLowerCase().split("e") as [string, string?];
  const negative = mantissa.startsWith("-");
  const [whole, fraction = ""] = (negative ? mantissa.slice(1) : mantissa).split(".") as [string, string?];
  const all = whole + fraction;
  let start = 0;
  let end = all.length;
  while (start < end && all[start] === "0") start++;
  while (end > start && all[end - 1] === "0") end--;
  if (start === end) return { negative: false, digits: "", exponent: 0 };
  return { negative, digits: all.slice(start, end), exponent: Number(power) - fraction.length + (all.length - end) };
}

function sameDecimal(a: Decimal, b: Decimal): boolean {
  return a.negative === b.negative && a.digits === b.digits && a.exponent === b.exponent;
}
