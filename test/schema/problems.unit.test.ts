// The same mistake has the same sentence wherever a schema finds it.
import Type from "typebox";
import { expect, test } from "vitest";
import { formatPath, problemFinder } from "../../src/schema/problems.ts";
import { optionCheck } from "../../src/simulator/option-schema.ts";
import { bodyCheck } from "../../src/wire/body-check.ts";

const schema = Type.Object(
  {
    count: Type.Integer({ minimum: 1 }),
    share: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 1 })),
    kinds: Type.Optional(Type.Array(Type.Enum(["a", "b"]), { minItems: 1, maxItems: 3 })),
    either: Type.Optional(Type.Union([Type.Boolean(), Type.Array(Type.String())])),
    name: Type.Optional(Type.String({ pattern: "^[a-z]+$", allowed: "a name of small letters", secret: true })),
    map: Type.Optional(Type.Record(Type.String(), Type.Object({ x: Type.Literal(1) }))),
  },
  { additionalProperties: false },
);

function messageOf(run: () => void): string {
  try {
    run();
  } catch (error) {
    return (error as Error).message;
  }
  return "";
}

test.each([
  [{}, "count is required."],
  [{ count: 0 }, "count must be an integer of at least 1; got 0."],
  [{ count: 1, share: 2 }, "share must be a number greater than 0 and at most 1; got 2."],
  [{ count: 1, kinds: [] }, "kinds must be a list of 1 to 3 items, each one of a, b; got an empty list."],
  [{ count: 1, kinds: ["c"] }, 'kinds[0] must be one of a, b; got "c".'],
  [{ count: 1, either: [1] }, "either must be true or false or a list, each a string; got a list."],
  [{ count: 1, name: "HUNTER2" }, "name must be a name of small letters; got something else."],
  [{ count: 1, map: { k: {} } }, "map.k.x is required."],
])("%j", (value, message) => {
  expect(messageOf(() => bodyCheck(schema, { unknownToo: false })(value))).toBe(message);
  expect(messageOf(() => optionCheck(schema)(value))).toBe(message);
  const [problem] = problemFinder(schema)(value);
  expect(`${formatPath(problem!.path)} ${problem!.text}.`).toBe(message);
});

test("an unknown field is named, with the intended field and the known ones", () => {
  const known = "Known fields: count, share, kinds, either, name, map.";
  const value = { count: 1, cuont: 2 };
  expect(messageOf(() => bodyCheck(schema, { unknownToo: false })(value))).toBe(
    `"cuont" is not a known field; did you mean count? ${known}`,
  );
  expect(messageOf(() => optionCheck(schema)(value, "file"))).toBe(
    `file.cuont is not a known field; did you mean count? ${known}`,
  );
});

test("every mistake is found once, and found texts are masked", () => {
  const find = problemFinder(schema, () => "***");
  expect(find({ count: "secret", share: 0, either: 1, x: 1 }).map(({ path, text }) => `${path} ${text}`)).toEqual([
    "x is not a known field; known fields: count, share, kinds, either, name, map",
    'count must be an integer of at least 1; got "***"',
    "share must be a number greater than 0 and at most 1; got 0",
    "either must be true or false or a list, each a string; got 1",
  ]);
});
