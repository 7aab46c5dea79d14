// Which answer schemas Bedrock accepts, and how they are closed. The simulator's own check decides.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { closedSchema, outputSchemaProblem } from "../../src/domain/output-schema.ts";
import { rulesOf } from "../../src/simulator/model-rules.ts";
import { readOutputSchema } from "../../src/simulator/requested-schema.ts";

const closed = { additionalProperties: false };
const text = { type: "string" };

describe("C10: objects are closed", () => {
  test.each<[string, object, object]>([
    [
      "at the root",
      { type: "object", properties: { a: text } },
      { type: "object", properties: { a: text }, ...closed },
    ],
    ["without properties", { type: "object" }, { type: "object", ...closed }],
    ["without a type", { properties: { a: text } }, { properties: { a: text }, ...closed }],
    [
      "in properties, items, anyOf and $defs",
      {
        type: "object",
        properties: {
          list: { type: "array", items: { type: "object", properties: { x: text } } },
          either: { anyOf: [{ type: "object", properties: {} }, { type: "null" }] },
          ref: { $ref: "#/$defs/Thing" },
          nullable: { type: ["object", "null"], properties: { y: text } },
        },
        $defs: { Thing: { type: "object", properties: { z: text } } },
        definitions: { Old: { type: "object" } },
      },
      {
        type: "object",
        properties: {
          list: { type: "array", items: { type: "object", properties: { x: text }, ...closed } },
          either: { anyOf: [{ type: "object", properties: {}, ...closed }, { type: "null" }] },
          ref: { $ref: "#/$defs/Thing" },
          nullable: { type: ["object", "null"], properties: { y: text }, ...closed },
        },
        $defs: { Thing: { type: "object", properties: { z: text }, ...closed } },
        definitions: { Old: { type: "object", ...closed } },
        ...closed,
      },
    ],
    [
      "that say that they are open",
      { type: "object", properties: { a: text }, additionalProperties: true },
      { type: "object", properties: { a: text }, ...closed },
    ],
    [
      "and not what looks like one in a value",
      { type: "object", properties: { a: { const: { type: "object" }, default: { properties: {} } } } },
      { type: "object", properties: { a: { const: { type: "object" }, default: { properties: {} } } }, ...closed },
    ],
    [
      "and the bounds that zod writes for every integer are left out",
      { type: "integer", minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER },
      { type: "integer" },
    ],
  ])("%s", (_, schema, expected) => {
    const before = structuredClone(schema);
    expect(outputSchemaProblem(schema)).toBeUndefined();
    expect(closedSchema(schema)).toEqual(expected);
    expect(schema).toEqual(before);
  });
});

describe("C11: constraints are refused with their path", () => {
  const inObject = (schema: object) => ({ type: "object", properties: { a: schema } });
  test.each<[object, string]>([
    [inObject({ type: "string", maxLength: 5 }), ".properties.a.maxLength"],
    [inObject({ type: "string", minLength: 1 }), ".properties.a.minLength"],
    [inObject({ type: "integer", minimum: 0 }), ".properties.a.minimum"],
    [inObject({ type: "integer", maximum: 10 }), ".properties.a.maximum"],
    [inObject({ type: "number", exclusiveMinimum: 0 }), ".properties.a.exclusiveMinimum"],
    [inObject({ type: "number", multipleOf: 0.5 }), ".properties.a.multipleOf"],
    [inObject({ type: "array", items: text, maxItems: 3 }), ".properties.a.maxItems"],
    [inObject({ type: "array", items: text, minItems: 2 }), ".properties.a.minItems"],
    [inObject({ type: "array", prefixItems: [text] }), ".properties.a.prefixItems"],
    [inObject({ type: "array", items: [text] }), ".properties.a.items"],
    [inObject({ type: "array", items: { type: "string", maxLength: 5 } }), ".properties.a.items.maxLength"],
    [inObject({ oneOf: [text, { type: "null" }] }), ".properties.a.oneOf"],
    [inObject({ anyOf: [text, { type: "string", minLength: 1 }] }), ".properties.a.anyOf[1].minLength"],
    [{ $defs: { A: { type: "number", maximum: 1 } }, $ref: "#/$defs/A" }, ".$defs.A.maximum"],
    [inObject({ enum: ["a", {}] }), ".properties.a.enum"],
    [inObject({ type: "string", format: "phone" }), ".properties.a.format"],
    [inObject({ $ref: "https://example.com/a.json" }), ".properties.a.$ref"],
    [inObject({ $ref: "#/$defs/Missing" }), ".properties.a.$ref"],
    [inObject({ type: "object", additionalProperties: { type: "string" } }), ".properties.a.additionalProperties"],
    [inObject({ type: "object", additionalProperties: true }), ".properties.a.additionalProperties"],
    [inObject({ allOf: [{ type: "object", properties: {} }, text] }), ".properties.a.allOf"],
    [inObject({ $ref: "#" }), ".properties.a.$ref"],
    [
      { $ref: "#/$defs/Tree", $defs: { Tree: inObject({ type: "array", items: { $ref: "#/$defs/Tree" } }) } },
      ".$defs.Tree.properties.a.items.$ref",
    ],
  ])("%j", (schema, path) => {
    expect(outputSchemaProblem(schema)).toMatchObject({ path });
  });

  test("properties with names of constraints are not constraints", () => {
    const named = { type: "object", properties: { minimum: text, oneOf: text, maxItems: text, format: text } };
    expect(outputSchemaProblem(named)).toBeUndefined();
    expect(outputSchemaProblem({ ...named, properties: { a: { type: "array", items: text, minItems: 1 } } })).toBe(
      undefined,
    );
  });
});

const leaf = fc.constantFrom<object>(
  { type: "string" },
  { type: "string", maxLength: 3 },
  { type: "integer", minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER },
  { type: "integer", minimum: 1 },
  { type: "number" },
  { enum: ["a", 1, null] },
  { const: 1 },
  { $ref: "#/$defs/D" },
  {},
);
const { schema } = fc.letrec<{ schema: object }>((tie) => ({
  schema: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    leaf,
    fc.record({
      type: fc.constantFrom("object", ["object", "null"]),
      properties: fc.dictionary(fc.constantFrom("a", "b", "minimum", "type"), tie("schema"), { maxKeys: 3 }),
    }),
    fc.record(
      { type: fc.constant("object"), additionalProperties: fc.oneof(fc.boolean(), tie("schema")) },
      { requiredKeys: ["type"] },
    ),
    fc.record({ type: fc.constant("array"), items: tie("schema") }),
    fc.record({ anyOf: fc.array(tie("schema"), { minLength: 1, maxLength: 3 }) }),
  ),
}));

test("C10, C11: the simulator accepts every schema without a problem once it is closed", () => {
  const claude = rulesOf("anthropic.claude-sonnet-4-6");
  const asked = (of: unknown) => ({
    textFormat: { type: "json_schema", structure: { jsonSchema: { schema: JSON.stringify(of) } } },
  });
  fc.assert(
    fc.property(schema, (properties) => {
      const root = {
        type: "object",
        properties: { it: properties },
        $defs: { D: { type: "object", properties: {} } },
      };
      const take = () => readOutputSchema(asked(closedSchema(root)), claude);
      if (outputSchemaProblem(root) === undefined) expect(take).not.toThrow();
      // Closing a closed schema changes nothing.
      expect(closedSchema(closedSchema(root))).toEqual(closedSchema(root));
    }),
    { numRuns: 300, seed: 20261130 },
  );
});

test("a long chain of references and references that branch are read to their end", () => {
  const named = (levels: number, levelOf: (next: object) => object) =>
    Object.fromEntries(Array.from({ length: levels }, (_, i) => [`L${i}`, levelOf({ $ref: `#/$defs/L${i + 1}` })]));
  for (const [levels, levelOf] of [
    [10_000, (next: object) => ({ anyOf: [next] })],
    [40, (next: object) => ({ type: "object", properties: { x: next, y: next } })],
    [40, (next: object) => ({ anyOf: [next, next, next] })],
  ] as const) {
    const $defs = { ...named(levels, levelOf), [`L${levels}`]: text };
    expect(outputSchemaProblem({ $ref: "#/$defs/L0", $defs })).toBeUndefined();
    const cyclic = { ...$defs, [`L${levels}`]: { $ref: "#/$defs/L0" } };
    expect(outputSchemaProblem({ $ref: "#/$defs/L0", $defs: cyclic })?.message).toContain(
      "must not refer to a schema that contains it",
    );
  }
});
