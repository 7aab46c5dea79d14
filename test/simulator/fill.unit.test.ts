// Values for schemas, judged by Ajv: the same for the same numbers, valid, and marked as synthetic.
import { Ajv2020 } from "ajv/dist/2020.js";
import fc from "fast-check";
import { expect, test } from "vitest";
import { fill } from "../../src/simulator/fill.ts";
import { randomNumbers } from "../../src/simulator/random.ts";

const ajv = new Ajv2020({ strict: false, validateFormats: false });

function filled(schema: object, seed = "1"): unknown {
  return fill(schema, { random: randomNumbers(seed) });
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

test("F12: texts are marked as synthetic and name what they stand for", () => {
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

test("F12: whatever the schema, the value is valid", () => {
  const D = { type: "object", properties: { again: { anyOf: [{ $ref: "#/$defs/D" }, { type: "null" }] } } };
  fc.assert(
    fc.property(schema, fc.nat(1_000), (it, seed) => {
      expectValid({ type: "object", properties: { it }, required: ["it"], $defs: { D } }, String(seed));
    }),
    { numRuns: 300, seed: 20261130 },
  );
});
