import fc from "fast-check";
import { expect, test } from "vitest";
import { withFirstMember, withListed, withoutMembers } from "../../src/domain/json-edit.ts";
import { nativeBody, nativeMember } from "../support/native-bodies.ts";

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

test.each([
  ["{}", "{}"],
  ['{"model":"a"}', "{}"],
  [' {"model": "a" , "n": 1.0, "stream" : true} ', ' { "n": 1.0} '],
  ['{"n":1,"model":"a","m":[{"model":"kept","stream":[]}]}', '{"n":1,"m":[{"model":"kept","stream":[]}]}'],
  // As a caller may escape the key, and twice.
  ['{"mod\\u0065l":"a","n":"\\"model\\":1,","model":"b"}', '{"n":"\\"model\\":1,"}'],
  // Names of members in values, and in a value that looks like the end.
  ['{"n":"model","m":"}","stream":{"a":"]"}}', '{"n":"model","m":"}"}'],
])("without members: %s", (json, expected) => {
  expect(withoutMembers(json, ["model", "stream"])).toBe(expected);
});

test("without the members that were put into any body", () => {
  const removed = fc.constantFrom('"model":"x"', ' "stream" : true\n', '"model": {"a":[1,"}"]}', '"str\\u0065am":null');
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(
          nativeMember,
          removed.map((text) => [text]),
        ),
        { maxLength: 6 },
      ),
      (members) => {
        const json = `{${members.flat().join(",")}}`;
        const kept = members.filter((member) => typeof member === "string");
        expect(withoutMembers(json, ["model", "stream"])).toBe(`{${kept.join(",")}}`);
      },
    ),
  );
});

test.each([
  ["{}", '{"a":1}'],
  ["{ \n}", '{"a":1 \n}'],
  [' {"b": 1.0}', ' {"a":1,"b": 1.0}'],
])("with a first member: %s", (json, expected) => {
  expect(withFirstMember(json, '"a":1')).toBe(expected);
});
