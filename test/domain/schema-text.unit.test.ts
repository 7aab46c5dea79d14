// Schemas that stay text, and JSON that is printed verbatim.
import { expect, test } from "vitest";
import { JsonText, printJson } from "../../src/domain/json-text.ts";
import { closedSchema } from "../../src/domain/output-schema.ts";
import { changedSchema, parsedSchema, printableSchema, schemaText } from "../../src/domain/schema-text.ts";
import { withObjectRoot } from "../../src/domain/tool-schema.ts";

const int64 = '{ "properties": {"2": {"default": 1.0}, "id": {"enum": [9223372036854775807, -9223372036854775808]}} }';

test("text is printed verbatim, inside other JSON and more than once", () => {
  const value = { a: [new JsonText("1.0"), new JsonText(int64)], b: new JsonText('"\\u0041"'), c: 'json-text-"1.0"' };
  expect(printJson(value)).toBe(`{"a":[1.0,${int64}],"b":"\\u0041","c":${JSON.stringify(value.c)}}`);
  // Everything else prints its parsed value.
  expect(JSON.stringify({ a: new JsonText("1.0") })).toBe('{"a":1}');
  expect(printJson(undefined)).toBeUndefined();
});

test("a schema is read as an object, and printed verbatim", () => {
  expect(parsedSchema(int64)).toEqual(JSON.parse(int64));
  expect(printJson([printableSchema(int64), printableSchema({ a: 1 })])).toBe(`[${int64},{"a":1}]`);
  expect([schemaText(int64), schemaText({ a: 1 })]).toEqual([int64, '{"a":1}']);
});

test("a change keeps the numbers of a text, and the whole text if nothing changes", () => {
  expect(changedSchema(int64, (schema) => schema)).toBe(int64);
  const rooted = changedSchema(int64, (schema) => withObjectRoot(schema));
  expect(rooted).toBe(
    '{"properties":{"2":{"default":1},"id":{"enum":[9223372036854775807,-9223372036854775808]}},"type":"object"}',
  );
  expect(changedSchema(rooted, (schema) => withObjectRoot(schema))).toBe(rooted);
  expect(changedSchema(int64, closedSchema)).toBe(
    '{"properties":{"2":{"default":1},"id":{"enum":[9223372036854775807,-9223372036854775808]}},"additionalProperties":false}',
  );
  expect(changedSchema({}, (schema) => withObjectRoot(schema))).toEqual({ type: "object" });
});
