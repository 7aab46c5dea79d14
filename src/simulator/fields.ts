// Checks of options: what kinds of values there are, and the sentence for one that is not allowed.

const numberKinds = {
  count: { test: (n: number) => Number.isSafeInteger(n) && n >= 1, allowed: "a whole number from 1" },
  wholeFromZero: { test: (n: number) => Number.isSafeInteger(n) && n >= 0, allowed: "a whole number from 0" },
  positive: { test: (n: number) => Number.isFinite(n) && n > 0, allowed: "a number above 0" },
  notNegative: { test: (n: number) => Number.isFinite(n) && n >= 0, allowed: "a number from 0" },
  share: { test: (n: number) => n > 0 && n <= 1, allowed: "a number above 0 and up to 1" },
  integer: { test: (n: number) => Number.isSafeInteger(n), allowed: "a whole number" },
  port: {
    test: (n: number) => Number.isInteger(n) && n >= 0 && n <= 65_535,
    allowed: "a whole number from 0 to 65535",
  },
  status: {
    test: (n: number) => Number.isInteger(n) && n >= 200 && n <= 599,
    allowed: "an HTTP status from 200 to 599",
  },
  errorStatus: {
    test: (n: number) => Number.isInteger(n) && n >= 400 && n <= 599,
    allowed: "an HTTP status from 400 to 599",
  },
};

export type NumberKind = keyof typeof numberKinds;
/** A list of texts allows only these. */
export type FieldKind = NumberKind | "text" | "boolean" | readonly string[];
export type FieldKinds = Record<string, FieldKind>;

/** @throws RangeError that names the key, its value and what is allowed. Undefined is always allowed. */
export function checkField(key: string, value: unknown, kind: FieldKind): void {
  if (value === undefined) return;
  if (typeof kind !== "string") {
    if (!kind.includes(value as string)) {
      throw new RangeError(`${key} is ${JSON.stringify(value)}; allowed are ${enumeration(kind)}.`);
    }
  } else if (kind === "text" || kind === "boolean") {
    const allowed = kind === "text" ? "a text" : "true or false";
    if (typeof value !== (kind === "text" ? "string" : "boolean")) {
      throw new RangeError(`${key} is ${JSON.stringify(value)}; allowed is ${allowed}.`);
    }
  } else {
    const { test, allowed } = numberKinds[kind];
    if (typeof value !== "number" || !test(value)) {
      throw new RangeError(`${key} is ${String(value)}; allowed is ${allowed}.`);
    }
  }
}

/** @throws RangeError, also for a field that there is not. */
export function checkFields(key: string, value: object, kinds: FieldKinds): void {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new RangeError(`${key} is ${JSON.stringify(value)}; allowed is an object.`);
  }
  const prefix = key === "" ? "" : `${key}.`;
  for (const [name, field] of Object.entries(value)) {
    if (!Object.hasOwn(kinds, name)) {
      throw new RangeError(`There is no ${prefix}${name}; allowed are ${enumeration(Object.keys(kinds))}.`);
    }
    checkField(`${prefix}${name}`, field, kinds[name]!);
  }
}

/**
 * `name=value,name=value`; values are numbers where their kind is one. Nothing is checked yet.
 * @throws RangeError for a part that is not of this form.
 */
export function readFields(text: string, kinds: FieldKinds): Record<string, string | number> {
  const fields: Record<string, string | number> = {};
  for (const part of text === "" ? [] : text.split(",")) {
    const at = part.indexOf("=");
    if (at < 1) throw new RangeError(`${JSON.stringify(part)} is not of the form name=value.`);
    const [name, value] = [part.slice(0, at), part.slice(at + 1)];
    const kind = Object.hasOwn(kinds, name) ? kinds[name] : undefined;
    const numeric = typeof kind === "string" && kind in numberKinds && value.trim() !== "";
    fields[name] = numeric && Number.isFinite(Number(value)) ? Number(value) : value;
  }
  return fields;
}

/** a, b and c */
export function enumeration(values: readonly string[]): string {
  if (values.length < 2) return values.join("");
  return `${values.slice(0, -1).join(", ")} and ${values.at(-1)}`;
}
