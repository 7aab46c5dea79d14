// Completions of servers that send arguments as an object.
import { expect, test } from "vitest";
import { parseCompletion } from "../../src/providers/openai/completion-json.ts";

const text = '{"id": 2512292042121000001, "b": 1.0, "2": [1e400]}';

test.each(["message", "delta"])("D1: arguments that are an object in a %s become their text", (piece) => {
  const call = `{"id": "c", "function": {"name": "f", "arguments": ${text}}}`;
  const said = JSON.stringify('"arguments": {');
  const json = `{"choices": [{"index": 0}, {"${piece}": {"content": ${said}, "tool_calls": [${call}, ${call}]}}]}`;
  const parsed = parseCompletion(json) as { choices: Record<string, { content: string; tool_calls: unknown[] }>[] };
  const { content, tool_calls: calls } = parsed.choices[1]![piece]!;
  expect(content).toBe('"arguments": {');
  expect(calls).toEqual([0, 1].map(() => ({ id: "c", function: { name: "f", arguments: text } })));
});

test("everything else stays as it is, and text that is not JSON gives undefined", () => {
  expect(parseCompletion('{"choices": [{"delta": {"tool_calls": [{"function": {"arguments": "{}"}}]}}]}')).toEqual({
    choices: [{ delta: { tool_calls: [{ function: { arguments: "{}" } }] } }],
  });
  expect(parseCompletion('{"arguments": {"a": 1}}')).toEqual({ arguments: { a: 1 } });
  expect(parseCompletion('{"choices": [')).toBeUndefined();
});
