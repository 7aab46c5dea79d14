import fc from "fast-check";
import { expect, test } from "vitest";
import { withListed } from "../../src/domain/json-edit.ts";
import { nativeBody } from "../support/native-bodies.ts";

test.each([
  ["{}", '{"betas":["x","y"]}'],
  ["{ \n}", '{"betas":["x","y"] \n}'],
  [' {"a": 1.0 } ', ' {"betas":["x","y"],"a": 1.0 } '],
  ['{"betas": [ ]}', '{"betas": ["x","y"  ]}'.replace("  ", " ")],
  ['{"betas": [ "z" ]}', '{"betas": ["x","y", "z" ]}'],
  ['{"betas": ["y"], "n": 9007199254740993}', '{"betas": ["x","y"], "n": 9007199254740993}'],
  ['{"betas": ["y", "x"]}', '{"betas": ["y", "x"]}'],
  // The key as a caller may escape it, and twice: the last one counts.
  ['{"bet\\u0061s": []}', '{"bet\\u0061s": ["x","y"]}'],
  ['{"betas": [], "betas": ["z"]}', '{"betas": [], "betas": ["x","y","z"]}'],
  // Another value than a list is the caller's mistake.
  ['{"betas": "z"}', '{"betas": "z"}'],
  ['{"betas": {"z": []}}', '{"betas": {"z": []}}'],
])("%s", (json, expected) => {
  expect(withListed(json, ["betas"], ["x", "y"])).toBe(expected);
});

test.each([
  ['{"a":1}', '{"more":{"betas":["x"]},"a":1}'],
  ['{"more": { "k" : 1.0 }}', '{"more": {"betas":["x"], "k" : 1.0 }}'],
  ['{"more": {"betas": ["x"]}}', '{"more": {"betas": ["x"]}}'],
  ['{"more": []}', '{"more": []}'],
])("inside an object: %s", (json, expected) => {
  expect(withListed(json, ["more", "betas"], ["x"])).toBe(expected);
});

test("the rest of any body stays as it is", () => {
  fc.assert(
    fc.property(nativeBody, (json) => {
      const edited = withListed(json, ["betas"], ["x"]);
      expect(JSON.parse(edited)).toEqual({ ...JSON.parse(json), betas: ["x"] });
      expect(edited.replace(/"betas":\["x"\],?/, "")).toBe(json);
    }),
  );
});
