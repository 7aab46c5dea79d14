// Random conversations with tools: what is asked and answered, the body in the words of each API, and the messages that an
// OpenAI-compatible server must get for it.
import fc from "fast-check";

export type Api = "chat" | "chat stream" | "responses" | "responses stream" | "jobs" | "batch";

// ---------------------------------------------------------------- what is asked and answered

const text = fc.oneof(
  fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }),
  fc.constantFrom("", " ", "\n", "\u2028\u0085", '"}],', "\\u0041", "12345678901234567890", " a ", "\0x"),
);
const spoken = text.filter((text) => text.trim() !== "");
const space = fc.constantFrom("", " ", "\n  ");
const exactNumber = fc.constantFrom("0", "1", "-1.5", "9007199254740991");
const anyNumber = fc.oneof(
  exactNumber,
  fc.constantFrom(
    "1.0",
    "-0",
    "1E+2",
    "2512292042121000001",
    "-9223372036854775808",
    "1e400",
    "0.12345678901234567890",
  ),
);

/** JSON as text, in forms that JavaScript would not print. */
function jsonText(numbers: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const key = fc.constantFrom('"2"', '"10"', '"a"', '"\\u0062"', '"__proto__x"', '"a b"');
  return fc.letrec<{ value: string; object: string }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 3 },
      fc.oneof(
        numbers,
        text.map((text) => JSON.stringify(text)),
        fc.constantFrom("true", "null", '"\\u00e9\\/"'),
      ),
      fc.tuple(space, fc.array(tie("value"), { maxLength: 3 })).map(([s, items]) => `[${s}${items.join(`,${s}`)}]`),
      tie("object"),
    ),
    object: fc
      .tuple(space, fc.array(fc.tuple(key, tie("value")), { maxLength: 3 }))
      .map(([s, members]) => `{${s}${members.map(([key, value]) => `${key}:${s}${value}`).join(`${s},`)}${s}}`),
  })).object;
}

export const int64 = '"minimum": -9223372036854775808';
const argumentText = jsonText(anyNumber);
/** The root says its type first, so that Bedrock needs no other. */
const schemaText = fc.oneof(
  jsonText(anyNumber).map((json) => `{"type": "object", "default": ${json}, "x": {${int64}}}`),
  jsonText(exactNumber).map((json) => `{"type": "object", "default": ${json}}`),
);
const callId = fc.oneof(fc.constantFrom("c|1", "a b", `${"i".repeat(64)}x`, `${"i".repeat(64)}y`), fc.uuid());

interface Call {
  id: string;
  name: string;
  args: string;
  result: string;
}
type Turn = { user: string[] } | { assistant: string; calls: Call[] };

const call: fc.Arbitrary<Call> = fc.record({
  id: callId,
  name: fc.constantFrom("look_up", "functions.get weather"),
  args: argumentText,
  result: text,
});
export const asked = fc.record({
  system: fc.option(spoken, { nil: undefined }),
  first: spoken,
  turns: fc.array(
    fc.oneof(
      fc.record({ user: fc.array(text, { minLength: 1, maxLength: 3 }) }),
      fc.record({
        assistant: text,
        calls: fc.uniqueArray(call, { maxLength: 2, selector: ({ id }) => id }),
      }),
    ),
    { maxLength: 4 },
  ),
  last: spoken,
  schema: schemaText,
  isList: fc.boolean(),
});
export type Asked = {
  system?: string | undefined;
  first: string;
  turns: Turn[];
  last: string;
  schema: string;
  isList: boolean;
};

export const answered = fc.record({
  text: text,
  calls: fc.array(fc.record({ id: callId, name: fc.constantFrom("look_up", "f"), args: argumentText }), {
    maxLength: 2,
  }),
  cuts: fc.array(fc.nat({ max: 30 }), { maxLength: 3 }),
});
export type Answered = { text: string; calls: { id: string; name: string; args: string }[]; cuts: number[] };

// ---------------------------------------------------------------- the request in the words of each API

/** In the form of /v1/jobs and responses a list has no counterpart in a chat; see docs/openai.md. */
export const quoted = JSON.stringify;

export function chatBody({ system, first, turns, last, schema, isList }: Asked, more = ""): string {
  const content = (text: string) => (isList ? `[{"type": "text", "text": ${quoted(text)}}]` : quoted(text));
  const messages = [
    ...(system === undefined ? [] : [`{"role": "system", "content": ${content(system)}}`]),
    `{"role": "user", "content": ${content(first)}}`,
    ...turns.flatMap((turn) => {
      if ("user" in turn) {
        return [`{"role": "user", "content": [${turn.user.map((t) => `{"type":"text","text":${quoted(t)}}`)}]}`];
      }
      const calls = turn.calls.map(
        ({ id, name, args }) =>
          `{"id": ${quoted(id)}, "type": "function", "function": {"name": ${quoted(name)}, "arguments": ${quoted(args)}}}`,
      );
      return [
        `{"role": "assistant", "content": ${content(turn.assistant)}${calls.length > 0 ? `, "tool_calls": [${calls}]` : ""}}`,
        ...turn.calls.map((c) => `{"role": "tool", "tool_call_id": ${quoted(c.id)}, "content": ${content(c.result)}}`),
      ];
    }),
    `{"role": "user", "content": ${quoted(last)}}`,
  ];
  const tools = `[{"type": "function", "function": {"name": "look_up", "parameters": ${schema}}}]`;
  return `{"messages": [${messages}], "tools": ${tools}${more}}`;
}

export function responseBody({ system, first, turns, last, schema }: Asked, more = ""): string {
  const message = (role: string, texts: string[]) => {
    const parts = texts.map((t) => `{"type": "${role === "user" ? "input" : "output"}_text", "text": ${quoted(t)}}`);
    return `{"role": "${role}", "content": [${parts}]}`;
  };
  const input = [
    message("user", [first]),
    ...turns.flatMap((turn) => {
      if ("user" in turn) return [message("user", turn.user)];
      return [
        message("assistant", [turn.assistant]),
        ...turn.calls.map(
          ({ id, name, args }) =>
            `{"type": "function_call", "call_id": ${quoted(id)}, "name": ${quoted(name)}, "arguments": ${quoted(args)}}`,
        ),
        ...turn.calls.map(
          ({ id, result }) => `{"type": "function_call_output", "call_id": ${quoted(id)}, "output": ${quoted(result)}}`,
        ),
      ];
    }),
    message("user", [last]),
  ];
  const tools = `[{"type": "function", "name": "look_up", "parameters": ${schema}}]`;
  const instructions = system === undefined ? "" : `"instructions": ${quoted(system)}, `;
  return `{${instructions}"input": [${input}], "tools": ${tools}${more}}`;
}

export function jobBody({ system, first, turns, last, schema }: Asked, more = ""): string {
  const block = (t: string) => ({ type: "text", text: t });
  const messages = [
    ...(system === undefined ? [] : [{ role: "system", content: system }]),
    { role: "user", content: first },
    ...turns.flatMap((turn): object[] => {
      if ("user" in turn) return [{ role: "user", content: turn.user.map(block) }];
      const calls = turn.calls.map(({ id, name, args }) => ({ type: "tool_call", id, name, arguments: args }));
      const results = turn.calls.map(({ id, result }) => ({ type: "tool_result", call_id: id, text: result }));
      return [
        { role: "assistant", content: [block(turn.assistant), ...calls] },
        ...(results.length > 0 ? [{ role: "user", content: results }] : []),
      ];
    }),
    { role: "user", content: last },
  ];
  const tools = `[{"name": "look_up", "input_schema": ${schema}}]`;
  return `{"environment": "UAT", "messages": ${JSON.stringify(messages)}, "tools": ${tools}${more}}`;
}

// ---------------------------------------------------------------- what arrives

/** What an OpenAI-compatible server must get. */
export function expectedMessages({ system, first, turns, last, isList }: Asked, api: Api): object[] {
  const isChat = api === "chat" || api === "batch";
  const parts = (texts: string[]) => texts.map((text) => ({ type: "text", text }));
  const content = (text: string) => (isChat && isList ? parts([text]) : text);
  return [
    ...(system === undefined ? [] : [{ role: "system", content: system }]),
    { role: "user", content: content(first) },
    ...turns.flatMap((turn): object[] => {
      if ("user" in turn) {
        return [{ role: "user", content: isChat || turn.user.length > 1 ? parts(turn.user) : turn.user[0] }];
      }
      const calls = turn.calls.map(({ id, name, args }) => ({
        ...{ id, type: "function", function: { name, arguments: args } },
      }));
      return [
        { role: "assistant", content: content(turn.assistant), ...(calls.length > 0 && { tool_calls: calls }) },
        ...turn.calls.map(({ id, result }) => ({ role: "tool", tool_call_id: id, content: content(result) })),
      ];
    }),
    { role: "user", content: last },
  ];
}
