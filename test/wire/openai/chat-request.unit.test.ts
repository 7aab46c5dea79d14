// What an OpenAI chat request means, field by field, and what is refused.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SluiceError } from "../../../src/domain/errors.ts";
import { chatReader } from "../../../src/wire/openai/chat-request.ts";
import { testSettings } from "../../support/jobs-context.ts";

const read = chatReader(testSettings());
const defaults = { environment: "UAT", priority: "interactive" } as const;
const messages = [{ role: "user", content: "Hello?" }];
const inputOf = (fields: object) => read({ messages, ...fields }, defaults).input;

const tool = {
  type: "function",
  function: { name: "look_up", description: "Looks up.", parameters: { type: "object" } },
};
const call = { id: "c1", type: "function", function: { name: "look_up", arguments: '{"key":[1]}' } };

test("the smallest request", () => {
  const { input, stream, includeUsage } = read({ messages }, defaults);
  expect([stream, includeUsage]).toEqual([false, false]);
  expect(input).toMatchObject({
    environment: "UAT",
    priority: "interactive",
    messages: [{ role: "user", content: [{ type: "text", text: "Hello?" }] }],
    messagesField: "messages",
    ephemeral: false,
  });
});

test("arguments of a past call that are nested too deep are refused with their place", () => {
  const deep = { ...call, function: { name: "f", arguments: `${'{"a":'.repeat(5_000)}1${"}".repeat(5_000)}` } };
  const body = { messages: [...messages, { role: "assistant", tool_calls: [call, deep] }] };
  const field = "messages[1].tool_calls[1].function.arguments";
  expect(() => read(body, defaults)).toThrow(
    expect.objectContaining({
      code: "invalid_request",
      details: { field },
      message: expect.stringContaining("64 levels"),
    }),
  );
});

test("a conversation with instructions, calls of functions and their results", () => {
  const { input } = read(
    {
      messages: [
        { role: "system", content: "Be brief." },
        {
          role: "user",
          content: [
            { type: "text", text: "What is" },
            { type: "text", text: " it?" },
          ],
          name: "anna",
        },
        { role: "developer", content: [{ type: "text", text: "Be kind." }] },
        { role: "assistant", content: null, tool_calls: [call, { ...call, id: "c2" }], refusal: null, audio: null },
        { role: "tool", tool_call_id: "c2", content: "two" },
        { role: "tool", tool_call_id: "c1", content: [{ type: "text", text: "one" }] },
        { role: "assistant", content: [{ type: "refusal", refusal: "No." }] },
        { role: "user", content: "Please." },
      ],
      tools: [tool],
    },
    defaults,
  );
  const callBlock = { type: "tool_call", name: "look_up", arguments: call.function.arguments };
  expect(input.system).toBe("Be brief.\n\nBe kind.");
  expect(input.messages).toEqual([
    {
      role: "user",
      content: [
        { type: "text", text: "What is" },
        { type: "text", text: " it?" },
      ],
      isList: true,
    },
    {
      role: "assistant",
      content: [
        { ...callBlock, id: "c1" },
        { ...callBlock, id: "c2" },
      ],
    },
    { role: "user", content: [{ type: "tool_result", callId: "c2", text: "two" }] },
    { role: "user", content: [{ type: "tool_result", callId: "c1", text: ["one"] }] },
    { role: "assistant", content: [{ type: "text", text: "No." }], isList: true },
    { role: "user", content: [{ type: "text", text: "Please." }] },
  ]);
});

const honoured: [name: string, fields: object, input: object][] = [
  ["model", { model: "nova-lite" }, { model: "nova-lite" }],
  ["max_tokens", { max_tokens: 5 }, { maxTokens: 5, maxTokensField: "max_tokens" }],
  ["max_completion_tokens", { max_completion_tokens: 5 }, { maxTokens: 5, maxTokensField: "max_completion_tokens" }],
  ["temperature", { temperature: 0 }, { temperature: 0 }],
  ["top_p", { top_p: 0.5 }, { topP: 0.5 }],
  ["top_k", { top_k: 4 }, { topK: 4 }],
  ["stop, one", { stop: "." }, { stop: ["."] }],
  ["stop, many", { stop: [".", "!"] }, { stop: [".", "!"] }],
  ["seed", { seed: 7 }, { seed: 7 }],
  ["penalties", { frequency_penalty: 1, presence_penalty: -1 }, { frequencyPenalty: 1, presencePenalty: -1 }],
  ["reasoning_effort", { reasoning_effort: "low" }, { reasoningEffort: "low" }],
  ["D2: any reasoning_effort", { reasoning_effort: "xhigh" }, { reasoningEffort: "xhigh" }],
  ["D8: one call at a time", { tools: [tool], parallel_tool_calls: false }, { parallelToolCalls: false }],
  ["tier", { service_tier: "flex" }, { serviceTier: "flex" }],
  ["tier auto", { service_tier: "auto" }, { serviceTier: undefined }],
  ["store", { store: false }, { ephemeral: true }],
  ["metadata", { metadata: { a: "b" } }, { metadata: { a: "b" } }],
  [
    "tools",
    { tools: [tool], tool_choice: { type: "function", function: { name: "look_up" } } },
    {
      tools: [{ name: "look_up", description: "Looks up.", inputSchema: { type: "object" } }],
      toolChoice: { name: "look_up" },
    },
  ],
  [
    "a tool without parameters",
    { tools: [{ type: "function", function: { name: "f" } }], tool_choice: "none" },
    {
      tools: [{ name: "f", inputSchema: { type: "object", properties: {} } }],
      toolChoice: "none",
    },
  ],
  ["a choice of nothing", { tool_choice: "auto" }, { toolChoice: undefined }],
  ["format text", { response_format: { type: "text" } }, { responseFormat: undefined }],
  ["format json_object", { response_format: { type: "json_object" } }, { responseFormat: { type: "json_object" } }],
  [
    "format json_schema",
    { response_format: { type: "json_schema", json_schema: { name: "a", schema: { type: "object" }, strict: true } } },
    { responseFormat: { type: "json_schema", name: "a", schema: { type: "object" }, strict: true } },
  ],
  [
    "extensions",
    { environment: "PROD", priority: "batch", regions: ["us-east-1"], fallback_models: ["nova-lite"], expires_in: 9 },
    {
      environment: "PROD",
      priority: "batch",
      regions: ["us-east-1"],
      fallbackModels: ["nova-lite"],
      expiresInMs: 9000,
    },
  ],
  ["on_unknown", { on_unknown: "fail" }, { onUnknown: "fail" }],
];

test.each(honoured)("honoured: %s", (_name, fields, input) => {
  expect(inputOf(fields)).toMatchObject(input);
});

test.each([
  ["user", { user: "u" }],
  ["safety_identifier", { safety_identifier: "s" }],
  ["prompt_cache_key", { prompt_cache_key: "k", prompt_cache_retention: "24h" }],
  ["prediction", { prediction: { type: "content", content: "x" } }],
  ["what asks for the default", { n: 1, logprobs: false, modalities: ["text"], logit_bias: {}, verbosity: "medium" }],
  ["null", { n: null, stop: null, tools: null, temperature: null, stream: null, audio: null, nothing: null }],
])("ignored: %s", (_name, fields) => {
  expect(inputOf(fields)).toEqual(inputOf({}));
});

test("D3: stream_options that ask for nothing need no stream", () => {
  for (const stream_options of [null, {}, { include_usage: null }, { include_usage: false }]) {
    expect(inputOf({ stream_options })).toEqual(inputOf({}));
  }
});

describe("D7: a conversation of instructions alone", () => {
  const asked = (...messages: object[]) => {
    const { messages: read, system } = inputOf({ messages });
    return { messages: read, system };
  };

  test("is what the user asks", () => {
    for (const role of ["system", "developer"]) {
      expect(asked({ role, content: "Say hi." })).toEqual({
        messages: [{ role: "user", content: [{ type: "text", text: "Say hi." }] }],
        system: undefined,
      });
    }
    expect(asked({ role: "system", content: "Be kind." }, { role: "developer", content: "Say hi." })).toEqual({
      messages: [{ role: "user", content: [{ type: "text", text: "Be kind.\n\nSay hi." }] }],
      system: undefined,
    });
  });

  test("stays instructions where the user says something, even after it or before it", () => {
    const user = { role: "user", content: "Hello?" };
    const system = { role: "system", content: "Be kind." };
    const expected = { messages: [{ role: "user", content: [{ type: "text", text: "Hello?" }] }], system: "Be kind." };
    expect(asked(user, system)).toEqual(expected);
    expect(asked(system, user)).toEqual(expected);
  });
});

test("a stream, with usage", () => {
  expect(read({ messages, stream: true, stream_options: { include_usage: true } }, defaults)).toMatchObject({
    stream: true,
    includeUsage: true,
  });
});

const refused: [name: string, fields: object, field: string | undefined][] = [
  ["no messages", { messages: undefined }, "messages"],
  ["empty messages", { messages: [] }, "messages"],
  ["messages that are none", { messages: "hello" }, "messages"],
  ["a message that is none", { messages: ["hello"] }, "messages[0]"],
  ["an unknown role", { messages: [{ role: "function", content: "x" }] }, "messages[0].role"],
  ["no content", { messages: [{ role: "user" }] }, "messages[0].content"],
  ["content of a wrong type", { messages: [{ role: "user", content: 5 }] }, "messages[0].content"],
  [
    "audio",
    { messages: [{ role: "user", content: [{ type: "input_audio", input_audio: {} }] }] },
    "messages[0].content[0].type",
  ],
  ["a part that is none", { messages: [{ role: "user", content: [null] }] }, "messages[0].content[0]"],
  ["a part without text", { messages: [{ role: "user", content: [{ type: "text" }] }] }, "messages[0].content[0].text"],
  ["a result of nothing", { messages: [{ role: "tool", tool_call_id: "x", content: "1" }] }, "messages[0]"],
  ["a result without id", { messages: [{ role: "tool", content: "1" }] }, "messages[0].tool_call_id"],
  [
    "a call without result",
    { messages: [...messages, { role: "assistant", tool_calls: [call] }, ...messages] },
    "messages[2]",
  ],
  ["a call at the end", { messages: [...messages, { role: "assistant", tool_calls: [call] }] }, "messages"],
  [
    "arguments that are no text",
    {
      messages: [...messages, { role: "assistant", tool_calls: [{ ...call, function: { name: "f", arguments: {} } }] }],
    },
    "messages[1].tool_calls[0].function.arguments",
  ],
  [
    "a call that is none",
    { messages: [...messages, { role: "assistant", tool_calls: [5] }] },
    "messages[1].tool_calls[0]",
  ],
  ["two names for one maximum", { max_tokens: 1, max_completion_tokens: 1 }, "max_tokens"],
  ["max_tokens of 0", { max_tokens: 0 }, "max_tokens"],
  ["temperature", { temperature: 2.1 }, "temperature"],
  ["n", { n: 2 }, "n"],
  ["audio", { audio: { voice: "x", format: "mp3" } }, "audio"],
  ["modalities", { modalities: ["audio"] }, "modalities[0]"],
  ["logprobs", { logprobs: true }, "logprobs"],
  ["logit_bias", { logit_bias: { 5: 1 } }, "logit_bias.5"],
  ["functions", { functions: [{ name: "f" }] }, "functions"],
  ["web_search_options", { web_search_options: {} }, "web_search_options"],
  ["an unknown field", { promt: 1 }, "promt"],
  ["reasoning_effort", { reasoning_effort: "" }, "reasoning_effort"],
  ["service_tier", { service_tier: "scale" }, "service_tier"],
  ["stream_options without stream", { stream_options: { include_usage: true } }, "stream_options"],
  ["a custom tool", { tools: [{ type: "custom", custom: { name: "x" } }] }, "tools[0].type"],
  ["a tool without name", { tools: [{ type: "function", function: {} }] }, "tools[0].function.name"],
  ["a tool with a bad name", { tools: [{ type: "function", function: { name: "a b" } }] }, "tools[0].function.name"],
  [
    "a tool with a bad schema",
    { tools: [{ type: "function", function: { name: "f", parameters: 5 } }] },
    "tools[0].function.parameters",
  ],
  ["two tools of one name", { tools: [tool, tool] }, "tools"],
  ["a choice without tools", { tool_choice: "required" }, "tool_choice"],
  ["an unknown choice", { tools: [tool], tool_choice: "any" }, "tool_choice"],
  [
    "a choice of another tool",
    { tools: [tool], tool_choice: { type: "function", function: { name: "f" } } },
    "tool_choice",
  ],
  ["an unknown format", { response_format: { type: "grammar" } }, "response_format"],
  [
    "a format without schema",
    { response_format: { type: "json_schema", json_schema: { name: "x" } } },
    "response_format.json_schema.schema",
  ],
  [
    "a format without a name",
    { response_format: { type: "json_schema", json_schema: { schema: {} } } },
    "response_format.json_schema.name",
  ],
  ["metadata", { metadata: { a: 1 } }, "metadata.a"],
  ["priority", { priority: "high" }, "priority"],
];

describe("refused", () => {
  test.each(refused)("%s", (_name, fields, field) => {
    try {
      read({ messages, ...fields }, defaults);
    } catch (error) {
      expect(error).toBeInstanceOf(SluiceError);
      expect((error as SluiceError).code).toBe("invalid_request");
      expect((error as SluiceError).details.field, (error as SluiceError).message).toBe(field);
      return;
    }
    expect.unreachable("it should have been refused");
  });

  test.each([null, [], 5, "x", undefined])("a body that is %s", (body) => {
    expect(() => read(body, defaults)).toThrow(expect.objectContaining({ code: "invalid_json" }));
  });
});

test("whatever the body, it is read or refused with a code of 400", () => {
  const anything = fc.anything({ maxDepth: 4, key: fc.constantFrom(...keys) });
  const keysOfBody = fc.constantFrom(
    ...Object.keys({ ...Object.assign({}, ...honoured.map(([, f]) => f)) }),
    "messages",
  );
  const body = fc.dictionary(keysOfBody, anything).chain((some) => fc.constantFrom(some, { messages, ...some }));
  fc.assert(
    fc.property(body, (value) => {
      try {
        read(JSON.parse(JSON.stringify(value)), defaults);
      } catch (error) {
        expect(error).toBeInstanceOf(SluiceError);
        expect((error as SluiceError).status).toBe(400);
      }
    }),
    { numRuns: 2000 },
  );
});

const keys = [
  "role",
  "content",
  "type",
  "text",
  "function",
  "name",
  "arguments",
  "parameters",
  "id",
  "tool_calls",
  "schema",
];
