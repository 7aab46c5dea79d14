// Editing limits in a file changes nothing else in it.
import fc from "fast-check";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { editLimits, type LimitEdit } from "../../src/config/edit-limits.ts";

const requests: LimitEdit = { model: "a", deployment: 0, unit: "requests", per: "minute", limit: 80 };
const tokens: LimitEdit = { ...requests, unit: "tokens", limit: 5000 };
const edited = (text: string, ...edits: LimitEdit[]) => editLimits(text, edits).text;

test("replaces a number, and lowers a burst that would exceed it", () => {
  const text = (limit: string, burst: string) => `# ours
models:   # all
  a:   # one
    deployments:
      - region:   us-east-1
        quotas:
          - { unit: requests,   per: minute, limit: ${limit}, burst: ${burst} }  # as told
          - unit: tokens
            limit: 9   # why
            per: minute
`;
  expect(edited(text("800", "90"), { ...requests, quota: 0 })).toBe(text("80", "80"));
  expect(edited(text("8", "9"), { ...requests, quota: 0, limit: 100 })).toBe(text("100", "9"));
  expect(edited(text("8", "9"), { ...tokens, quota: 1 })).toBe(text("8", "9").replace("limit: 9 ", "limit: 5000 "));
});

test.each([
  [
    "a map in lines",
    "models:\n  a:\n    deployments:\n      - region: r # here\n        modelId: m # this\n  b: {}\n",
    "models:\n  a:\n    deployments:\n      - region: r # here\n        modelId: m # this\n        quotas:\n" +
      "          - { unit: requests, per: minute, limit: 80 }\n          - { unit: tokens, per: minute, limit: 5000 }\n  b: {}\n",
  ],
  [
    "a map in brackets",
    "models: { a: { deployments: [{ region: r }] } } # end",
    "models: { a: { deployments: [{ region: r, quotas: [{ unit: requests, per: minute, limit: 80 }, { unit: tokens, per: minute, limit: 5000 }] }] } } # end",
  ],
  [
    "a list in lines",
    "models:\n a:\n  deployments:\n   - quotas:\n     - { unit: tokens, per: day, limit: 1 } # day\n     region: r",
    "models:\n a:\n  deployments:\n   - quotas:\n     - { unit: tokens, per: day, limit: 1 } # day\n     - { unit: requests, per: minute, limit: 80 }\n" +
      "     - { unit: tokens, per: minute, limit: 5000 }\n     region: r",
  ],
  [
    "a list in brackets",
    "models: { a: { deployments: [{ quotas: [] }] } }",
    "models: { a: { deployments: [{ quotas: [ { unit: requests, per: minute, limit: 80 }, { unit: tokens, per: minute, limit: 5000 }] }] } }",
  ],
])("adds entries in %s", (_, before, after) => {
  expect(edited(before, requests, tokens)).toBe(after);
  expect(parse(after).models.a.deployments[0].quotas).toContainEqual({ unit: "tokens", per: "minute", limit: 5000 });
});

test("skips and reports what an alias defines, or what is missing", () => {
  const text = "x: &q [{ unit: requests, per: minute, limit: 1 }]\nmodels: { a: { deployments: [{ quotas: *q }] } }\n";
  const edits = [{ ...requests, quota: 0 }, tokens, { ...tokens, model: "gone" }];
  expect(editLimits(text, edits)).toEqual({ text, skipped: [edits[0], edits[2], edits[1]] });
});

test("with any spacing, only the limit differs", () => {
  const space = fc.constantFrom("", " ", "   ");
  const comment = fc.constantFrom("", " # note", " # { limit: 7 }");
  const deployment = fc.tuple(space, comment, fc.integer({ min: 1, max: 1e9 }), fc.boolean());
  fc.assert(
    fc.property(
      fc.array(deployment, { minLength: 1, maxLength: 4 }),
      fc.nat(),
      fc.integer({ min: 1, max: 1e9 }),
      (list, pick, limit) => {
        const lines = list.map(([gap, note, old, flow]) =>
          flow
            ? `      - { region: r, quotas: [{ unit: requests, per: minute, limit: ${gap}${old}${gap} }] }${note}`
            : `      - region: r${note}\n        quotas:\n          - unit: requests\n            per: minute\n            limit: ${gap}${old}${note}`,
        );
        const text = `models:\n  a:\n    deployments:\n${lines.join("\n")}\n`;
        const at = pick % list.length;
        const expected = parse(text);
        expected.models.a.deployments[at].quotas[0].limit = limit;
        const after = edited(text, { ...requests, deployment: at, quota: 0, limit });
        expect(parse(after)).toEqual(expected);
        expect(after.length - text.length).toBe(String(limit).length - String(list[at]![2]).length);
      },
    ),
  );
});
