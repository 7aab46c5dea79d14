// Random bodies of native requests: JSON objects in forms that JavaScript would not print.
import fc from "fast-check";

const space = fc.constantFrom("", " ", "\n", "\t ", "\r\n  ");
const key = fc.constantFrom('"2"', '"10"', '"a"', '"\\u0061"', '"\\u0062b"', '"a b"', '"é"', '"toString"');
const scalar = fc.oneof(
  fc.constantFrom(
    "0",
    "-0",
    "1.0",
    "1E+2",
    "9007199254740993",
    "-9223372036854775808",
    "1e400",
    "0.1234567890123456789",
  ),
  fc.constantFrom(
    "true",
    "false",
    "null",
    '""',
    '"\\u00e9\\/\\ud83d\\ude00"',
    '"\\ud800"',
    '"\\u0000"',
    '"\u2028\u{1f600}"',
  ),
  fc.string({ unit: "grapheme", maxLength: 12 }).map((text) => JSON.stringify(text)),
);

const json = fc.letrec<{ value: string; members: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    scalar,
    fc
      .tuple(space, fc.array(tie("value"), { maxLength: 3 }))
      .map(([s, items]) => `[${s}${items.join(`${s},${s}`)}${s}]`),
    fc.tuple(space, tie("members")).map(([s, members]) => `{${s}${members}${s}}`),
  ),
  /** The same key may occur twice. */
  members: fc
    .array(fc.tuple(key, space, tie("value")), { maxLength: 4 })
    .map((all) => all.map(([name, s, value]) => `${name}${s}:${s}${value}`).join(`${s(all)},`)),
}));

const s = (all: readonly unknown[]) => " ".repeat(all.length % 3);

/** A JSON object as text, with spaces around it. */
export const nativeBody: fc.Arbitrary<string> = fc
  .tuple(space, json.members, space)
  .map(([before, members, after]) => `${before}{${members}}${after}`);

/** A member of a JSON object as text, with spaces around it. Its key is never `model`, `stream` or a version. */
export const nativeMember: fc.Arbitrary<string> = fc
  .tuple(space, key, space, json.value, space)
  .map(([before, name, s, value, after]) => `${before}${name}${s}:${s}${value}${after}`);
