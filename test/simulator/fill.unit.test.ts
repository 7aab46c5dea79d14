// Values for schemas, validated by Ajv: the same for the same random numbers, valid, and marked as synthetic.
import { Ajv2020 } from "ajv/dist/2020.js";
import fc from "fast-check";
import { expect, test } from "vitest";
import { fill } from "../../src/simulator/fill.ts";
import { parseObject } from "../../src/simulator/json.ts";
import { randomNumbers } from "../../src/simulator/random.ts";

const ajv = new Ajv2020({ strict: false, validateFormats: false });

function filled(schema: object, seed = "1"): unknown {
  const { json, isWhole } = fill(schema, { random: randomNumbers(seed) });
  expect(isWhole).toBe(true);
  return JSON.parse(json);
}

function expectValid(schema: object, seed = "1"): void {
  const value = filled(schema, seed);
  const valid = ajv.validate(schema, value);
  expect({ value, errors: valid ? null : ajv.errorsText() }).toEqual({ value, errors: null });
}

const tree = {
  type: "object",
  properties: { name: { type: "string" }, children: { type: "array", items: { $ref: "#/$defs/Tree" } } },
  required: ["name", "children"],
};

test.each<[string, object]>([
  ["nested objects", { type: "object", properties: { a: { type: "object", properties: { b: { type: "number" } } } } }],
  ["required without properties", { type: "object", required: ["a", "b"] }],
  ["enum and const", { type: "object", properties: { a: { enum: ["x", 3, null] }, b: { const: { c: [1] } } } }],
  ["a list", { type: "array", items: { type: "integer" }, minItems: 4, maxItems: 5 }],
  ["no items", { type: "array", maxItems: 0 }],
  ["different items", { type: "array", items: { enum: ["a", "b", "c"] }, minItems: 3, uniqueItems: true }],
  ["a tuple", { type: "array", prefixItems: [{ type: "string" }, { type: "boolean" }], items: false }],
  [
    "references",
    {
      $ref: "#/$defs/A",
      $defs: { A: { type: "object", properties: { b: { $ref: "#/$defs/B" } } }, B: { type: "string" } },
    },
  ],
  ["a schema that contains itself", { $defs: { Tree: tree }, $ref: "#/$defs/Tree" }],
  [
    "a root that contains itself",
    { type: "object", properties: { next: { anyOf: [{ $ref: "#" }, { type: "null" }] } }, required: ["next"] },
  ],
  ["anyOf with null", { anyOf: [{ type: "null" }, { type: "string" }] }],
  [
    "oneOf",
    {
      oneOf: [
        { type: "object", properties: { kind: { const: "a" } }, required: ["kind"], additionalProperties: false },
        { type: "string" },
      ],
    },
  ],
  [
    "allOf",
    {
      allOf: [
        { type: "object", properties: { a: { type: "string" } }, required: ["a"] },
        { properties: { b: { type: "integer" } }, required: ["b"] },
      ],
    },
  ],
  [
    "alternatives of what is required",
    {
      type: "object",
      properties: { a: { type: "string" }, b: { type: "string" } },
      anyOf: [{ required: ["a"] }, { required: ["b"] }],
    },
  ],
  [
    "a double not",
    { type: "object", not: { not: { oneOf: [{ properties: { a: { type: "integer" } }, required: ["a"] }] } } },
  ],
  ["a list of types", { type: ["null", "integer"] }],
  ["a text of a length", { type: "string", minLength: 300, maxLength: 310 }],
  ["a short text", { type: "string", maxLength: 3 }],
  ["a pattern", { type: "string", pattern: "^[A-Z]{2}-\\d{3,5}(?:/(north|south))?$" }],
  ["bounds", { type: "integer", minimum: 5, maximum: 6 }],
  ["bounds without their ends", { type: "integer", exclusiveMinimum: 5, exclusiveMaximum: 7 }],
  ["bounds of a number", { type: "number", minimum: 0.1, maximum: 0.2 }],
  ["zod's bounds of an integer", { type: "integer", minimum: -9007199254740991, maximum: 9007199254740991 }],
  ["a large bound", { type: "integer", minimum: 1_000_000_000 }],
  ["a low bound", { type: "integer", maximum: -5 }],
  ["multiples", { type: "integer", multipleOf: 7, minimum: 10 }],
  ["a map", { type: "object", additionalProperties: { type: "integer" }, minProperties: 2 }],
  ["a closed object without properties", { type: "object", additionalProperties: false }],
  ["at most so many", { type: "object", properties: { a: {}, b: {}, c: {} }, required: ["b"], maxProperties: 2 }],
  ["no type at all", {}],
  [
    "a property named type",
    { type: "object", properties: { type: { type: "string" }, required: { type: "boolean" } }, required: ["type"] },
  ],
])("F12: %s", (_, schema) => {
  for (const seed of ["1", "2", "3"]) expectValid(schema, seed);
  expect(filled(schema)).toEqual(filled(schema));
});

test.each<[string, RegExp]>([
  ["date-time", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/],
  ["date", /^\d{4}-\d\d-\d\d$/],
  ["email", /^synthetic[^@]*@example\.com$/],
  ["uri", /^https:\/\/example\.com\/synthetic/],
  ["uuid", /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/],
  ["ipv4", /^192\.0\.2\.\d+$/],
])("F12: a text of the format %s", (format, expected) => {
  const text = filled({ type: "string", format }) as string;
  expect(text).toMatch(expected);
  if (format.startsWith("date")) expect(Number.isNaN(Date.parse(text))).toBe(false);
});

test("F12: texts are marked as synthetic and name their property", () => {
  expect(filled({ type: "object", properties: { city_name: { type: "string" } } })).toEqual({
    city_name: expect.stringMatching(/^synthetic city name \d+$/),
  });
  expect(filled({ type: "object" })).toEqual({ synthetic: expect.stringMatching(/^synthetic/) });
});

const bound = fc.integer({ min: -50, max: 50 });
const leaf = fc.oneof(
  fc.constantFrom<object>(
    { type: "string" },
    { type: "boolean" },
    { type: "null" },
    { enum: [1, "a", null] },
    { const: 1 },
  ),
  fc.tuple(bound, fc.nat(20)).map(([minimum, more]) => ({ type: "integer", minimum, maximum: minimum + more })),
  fc
    .tuple(fc.nat(20), fc.nat(20))
    .map(([minLength, more]) => ({ type: "string", minLength, maxLength: minLength + more })),
);
const { schema } = fc.letrec<{ schema: object }>((tie) => ({
  schema: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    leaf,
    fc
      .tuple(fc.dictionary(fc.constantFrom("a", "b", "c", "type"), tie("schema"), { maxKeys: 4 }), fc.boolean())
      .map(([properties, closed]) => ({
        type: "object",
        properties,
        required: Object.keys(properties).slice(0, 2),
        ...(closed && { additionalProperties: false }),
      })),
    fc.tuple(tie("schema"), fc.nat(3)).map(([items, minItems]) => ({ type: "array", items, minItems })),
    fc.array(tie("schema"), { minLength: 1, maxLength: 3 }).map((anyOf) => ({ anyOf })),
    fc.constant({ $ref: "#/$defs/D" }),
  ),
}));

test("F12: for any schema, the value is valid", () => {
  const D = { type: "object", properties: { again: { anyOf: [{ $ref: "#/$defs/D" }, { type: "null" }] } } };
  fc.assert(
    fc.property(schema, fc.nat(1_000), (it, seed) => {
      expectValid({ type: "object", properties: { it }, required: ["it"], $defs: { D } }, String(seed));
    }),
    { numRuns: 300, seed: 20261130 },
  );
});

/** Measures work, not time: how often the filler asked for a random number. */
function work(schema: object): { asked: number; characters: number; isWhole: boolean } {
  const random = randomNumbers("1");
  let asked = 0;
  const { json, isWhole } = fill(schema, {
    random: () => {
      asked++;
      return random();
    },
  });
  return { asked, characters: json.length, isWhole };
}

/** Each level refers to the next one twice. */
function branching(levelOf: (next: object) => object, last: object): object {
  const levels = Array.from({ length: 31 }, (_, i) => [`L${i}`, levelOf({ $ref: `#/$defs/L${i + 1}` })]);
  return { $ref: "#/$defs/L0", $defs: Object.fromEntries([...levels, ["L31", last]]) };
}

const pair = (next: object) => ({ type: "object", properties: { x: next, y: next }, required: ["x", "y"] });

test.each<[string, object]>([
  ["objects", branching(pair, { type: "string" })],
  ["objects in anyOf", branching((next) => ({ anyOf: [pair(next), pair(next)] }), { type: "string" })],
  ["objects in allOf", branching((next) => ({ allOf: [pair(next), pair(next)] }), { type: "string" })],
  ["lists", branching((next) => ({ type: "array", items: next, minItems: 2 }), { type: "boolean" })],
  ["long lists", branching((next) => ({ type: "array", items: next, minItems: 1_000 }), { type: "boolean" })],
  ["tuples", branching((next) => ({ type: "array", prefixItems: [next, next] }), { type: "boolean" })],
  [
    "different items",
    branching((next) => ({ type: "array", items: next, minItems: 9, uniqueItems: true }), { type: "boolean" }),
  ],
  ["maps", branching((next) => ({ type: "object", additionalProperties: next, minProperties: 9 }), { const: 1 })],
  ["long texts", branching(pair, { type: "string", minLength: 100_000 })],
  ["large constants", { type: "array", items: { const: "x".repeat(100_000) }, minItems: 1_000 }],
])("a schema that branches without end is truncated soon: %s", (_, schema) => {
  const { asked, characters, isWhole } = work(schema);
  expect(isWhole).toBe(false);
  expect(asked).toBeLessThan(200_000);
  expect(characters).toBeLessThanOrEqual(500_000);
});

test("a schema of parts that repeat their parts is read once", () => {
  const level = (next: object) => ({ allOf: Array.from({ length: 50 }, () => ({ allOf: [next, next], ...next })) });
  expect(work(branching(level, { type: "boolean" })).asked).toBeLessThan(10);
});

test.each([
  "((((((((((((a+)+)+)+)+)+)+)+)+)+)+)+",
  "((a{9999}){9999}){9999}",
  "((){9999}){9999}",
  "^(a?){30}a{30}$",
  "(a|a)*a(a|a)*",
])("the pattern %s takes little work", (pattern) => {
  const { asked, characters } = work({ type: "string", pattern });
  expect(asked).toBeLessThan(50_000);
  expect(characters).toBeLessThan(30_000);
});

test("an answer is no longer than its use", () => {
  const { json, isWhole } = fill(branching(pair, { type: "string" }), {
    random: randomNumbers("1"),
    maxCharacters: 100,
  });
  expect(isWhole).toBe(false);
  expect(json).toHaveLength(100);
  expect(json.startsWith('{"x":{"x":{"x":')).toBe(true);
});

test.each([
  ['{"enum": [9007199254740993]}', "9007199254740993"],
  ['{"const": {"a": [1e400, 2512292042121000001]}}', '{"a":[1e400,2512292042121000001]}'],
  ['{"type": "integer", "minimum": 9007199254740993}', "9007199254740993"],
  ['{"type": "integer", "exclusiveMaximum": 9007199254740993}', "9007199254740992"],
  ['{"type": "integer", "exclusiveMinimum": 9007199254740993}', "9007199254740994"],
  ['{"type": "integer", "minimum": 9007199254740991, "maximum": 9007199254740991}', "9007199254740991"],
])("a number stays exact: %s", (schema, expected) => {
  expect(fill(parseObject(schema), { random: randomNumbers("1") }).json).toBe(expected);
});
