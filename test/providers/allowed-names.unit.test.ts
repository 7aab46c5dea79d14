// Ids and names of tool calls as Bedrock accepts them.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { CanonicalRequest } from "../../src/domain/request.ts";
import { allowedNames, exactly, renamed, usual } from "../../src/providers/bedrock/allowed-names.ts";

const requestOf = (calls: { id: string; name: string }[], tools: string[] = []): CanonicalRequest => ({
  messages: calls.flatMap(({ id, name }) => [
    { role: "assistant" as const, content: [{ type: "tool_call" as const, id, name, arguments: "{}" }] },
    { role: "user" as const, content: [{ type: "tool_result" as const, callId: id, text: "x" }] },
  ]),
  tools: tools.map((name) => ({ name, inputSchema: {} })),
  parameters: { maxTokens: 1 },
});

const long = "a".repeat(90);
const odd = [long, `${long}b`, `${"a".repeat(64)}x`, `${"a".repeat(64)}y`, "a|b", "a b", "a/b", "a.b", "", "é", "😀"];

test("C8: ids that Bedrock refuses become allowed ones, different for different calls", () => {
  const { id } = allowedNames(requestOf([...odd, "a_b", "call_1"].map((id) => ({ id, name: "f" }))));
  const sent = odd.map(id);
  for (const text of sent) expect(text).toMatch(/^[a-zA-Z0-9_-]{1,64}$/);
  expect(new Set([...sent, "a_b", "call_1"]).size).toBe(odd.length + 2);
  expect([id("a_b"), id("call_1")]).toEqual(["a_b", "call_1"]);
});

test("C9: names of past calls are mapped alike, and never to the name of a tool", () => {
  const [name] = ["functions.get weather"];
  const sent = allowedNames(requestOf([{ id: "1", name: name! }])).name(name!);
  expect(sent).toMatch(/^functions_get_weather_[0-9a-f]{16}$/);
  const beside = allowedNames(requestOf([{ id: "1", name: name! }], [sent]));
  expect(beside.name(sent)).toBe(sent);
  expect(beside.name(name!)).not.toBe(sent);
});

test("models that accept only ids of nine letters and digits get such ids", () => {
  const { id, name } = allowedNames(requestOf([{ id: "tooluse_bpe71yCfRu2b5i-nKGDr5g", name: "f_1" }]), 9);
  expect(id("tooluse_bpe71yCfRu2b5i-nKGDr5g")).toMatch(/^[0-9a-f]{9}$/);
  expect(name("f_1")).toBe("f_1");
});

describe.each([
  ["usual", usual],
  ["nine", exactly(9)],
  // So few that they do collide.
  ["two", exactly(2)],
])("ids of the form %s", (_, form) => {
  test("are allowed, one to one, always the same, and the caller's own if those are allowed", () => {
    const sameStart = fc.string({ minLength: 1, maxLength: 3 }).map((end) => `${"x".repeat(64)}${end}`);
    const text = fc.oneof(
      fc.string(),
      fc.string({ unit: "binary" }),
      sameStart,
      fc.constantFrom("ab", "a-b", "123456789", ...odd),
    );
    fc.assert(
      fc.property(fc.uniqueArray(text, { maxLength: 40 }), (texts) => {
        // The replacements of the others, used by the caller as well: the worst case.
        const taken = texts.map((text) => form.make(text, 0)).slice(0, 5);
        const all = [...new Set([...texts, ...taken])];
        const send = renamed(all, form);
        const sent = all.map(send);
        expect(new Set(sent).size).toBe(all.length);
        for (const [i, text] of all.entries()) {
          expect(sent[i]).toMatch(form.allows);
          if (form.allows.test(text)) expect(sent[i]).toBe(text);
        }
        expect(all.map(renamed([...all, ...all], form))).toEqual(sent);
      }),
      { seed: 1 },
    );
  });
});
