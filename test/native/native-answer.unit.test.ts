// What is read from answers in Bedrock's own formats: the shapes that the model families document.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { eventLine, eventsOfLines } from "../../src/native/event-lines.ts";
import { NativeAnswerReader, textOfEvents } from "../../src/native/native-answer.ts";
import type { ExtractedAnswer } from "../../src/native/partial-answer.ts";

function readBody(operation: "converse" | "invoke", body: string, headers: Record<string, string> = {}) {
  const reader = new NativeAnswerReader(operation);
  reader.addBody(body);
  reader.addHeaders(headers);
  return reader.extracted();
}

const chunk = (json: unknown) =>
  JSON.stringify({ bytes: Buffer.from(JSON.stringify(json)).toString("base64"), p: "ab" });

function readChunks(...chunks: unknown[]) {
  const reader = new NativeAnswerReader("invoke");
  const pieces = chunks.map((json) => reader.addEvent("chunk", chunk(json)));
  reader.addHeaders({});
  const output = pieces.map((piece) => piece?.output).join("");
  const text = pieces.map((piece) => piece?.text).join("");
  expect(text).toBe(reader.extracted().text);
  return { ...reader.extracted(), output, isComplete: reader.isComplete, hasStopped: reader.hasStopped };
}

const exact = '{"id": 2512292042121000001, "b": 1.0}';
const call = { id: "t1", name: "clock", arguments: exact };

const bodies: [family: string, body: string, expected: ExtractedAnswer][] = [
  [
    "Claude",
    `{"type": "message", "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Hi"},
      {"type": "tool_use", "id": "t1", "name": "clock", "input": ${exact}}], "stop_reason": "tool_use",
      "usage": {"input_tokens": 7, "output_tokens": 3, "cache_read_input_tokens": 2, "cache_creation_input_tokens": 5,
      "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 4}}}`,
    {
      text: "Hi",
      toolCalls: [call],
      finishReason: "tool_calls",
      usage: { input: 7, output: 3, cacheRead: 2, cacheWrite: 5, cacheWriteHour: 4 },
    },
  ],
  [
    "Claude's completions",
    '{"type": "completion", "completion": " Hi", "stop_reason": "max_tokens"}',
    { text: " Hi", toolCalls: [], finishReason: "length" },
  ],
  [
    "Nova",
    `{"output": {"message": {"role": "assistant", "content": [{"text": "Hi"},
      {"toolUse": {"toolUseId": "t1", "name": "clock", "input": ${exact}}}]}}, "stopReason": "tool_use",
      "usage": {"inputTokens": 7, "outputTokens": 3, "totalTokens": 10}}`,
    { text: "Hi", toolCalls: [call], finishReason: "tool_calls", usage: { input: 7, output: 3 } },
  ],
  [
    "Llama",
    '{"generation": "Hi", "prompt_token_count": 7, "generation_token_count": 3, "stop_reason": "length"}',
    { text: "Hi", toolCalls: [], finishReason: "length", usage: { input: 7, output: 3 } },
  ],
  [
    "Titan",
    '{"inputTextTokenCount": 7, "results": [{"tokenCount": 3, "outputText": "Hi", "completionReason": "CONTENT_FILTERED"}]}',
    { text: "Hi", toolCalls: [], finishReason: "content_filter", usage: { input: 7, output: 3 } },
  ],
  [
    "Titan's embeddings",
    '{"embedding": [0.5, 1], "inputTextTokenCount": 7}',
    { text: "", toolCalls: [], finishReason: "stop", usage: { input: 7, output: 0 } },
  ],
  [
    "Mistral's completions",
    '{"outputs": [{"text": "Hi", "stop_reason": "stop"}]}',
    { text: "Hi", toolCalls: [], finishReason: "stop" },
  ],
  [
    "Cohere",
    `{"generation_id": "g", "text": "Hi", "finish_reason": "MAX_TOKENS",
      "tool_calls": [{"name": "clock", "parameters": ${exact}}]}`,
    { text: "Hi", toolCalls: [{ ...call, id: "call_0" }], finishReason: "length" },
  ],
  [
    "Cohere's older models",
    '{"generations": [{"text": "Hi", "finish_reason": "COMPLETE"}], "prompt": "x"}',
    { text: "Hi", toolCalls: [], finishReason: "stop" },
  ],
  [
    "DeepSeek R1",
    '{"choices": [{"text": "Hi", "stop_reason": "length"}]}',
    { text: "Hi", toolCalls: [], finishReason: "length" },
  ],
  [
    "gpt-oss and others in OpenAI's format",
    JSON.stringify({
      choices: [
        {
          message: { content: "Hi", tool_calls: [{ id: "t1", function: { name: "clock", arguments: exact } }] },
          finish_reason: "tool_calls",
        },
      ],
      usage: {
        prompt_tokens: 9,
        completion_tokens: 3,
        prompt_tokens_details: { cached_tokens: 2 },
        completion_tokens_details: { reasoning_tokens: 1 },
      },
    }),
    {
      text: "Hi",
      toolCalls: [call],
      finishReason: "tool_calls",
      usage: { input: 7, output: 3, cacheRead: 2, reasoning: 1 },
    },
  ],
];

describe("invoke, in one piece", () => {
  test.each(bodies)("%s", (_, body, expected) => {
    expect(readBody("invoke", body)).toEqual(expected);
  });

  const headers = {
    "x-amzn-bedrock-input-token-count": "7",
    "x-amzn-bedrock-output-token-count": "3",
    "x-amzn-bedrock-cache-read-input-token-count": "2",
    "x-amzn-bedrock-cache-write-input-token-count": "1",
    "x-amzn-bedrock-service-tier": "flex",
  };

  test("headers count if the body does not", () => {
    const counted = { input: 7, output: 3, cacheRead: 2, cacheWrite: 1 };
    expect(readBody("invoke", '{"outputs": [{"text": "Hi", "stop_reason": "stop"}]}', headers)).toMatchObject({
      usage: counted,
      serviceTier: "flex",
    });
    expect(readBody("invoke", '{"something": "new"}', headers)).toEqual({
      text: "",
      toolCalls: [],
      finishReason: "stop",
      usage: counted,
      serviceTier: "flex",
    });
    const { usage } = readBody("invoke", bodies[3]![1], { ...headers, "x-amzn-bedrock-input-token-count": "99" });
    expect(usage).toMatchObject({ input: 7, output: 3 });
  });

  test.each([-5, 1.5, 1e300, "7"])("headers count if the body has %j tokens", (count) => {
    const body = JSON.stringify({ generation: "Hi", prompt_token_count: count, generation_token_count: count });
    expect(readBody("invoke", body, headers).usage).toMatchObject({ input: 7, output: 3 });
  });

  test("embeddings have no output, and only headers count their input", () => {
    const { usage } = readBody("invoke", '{"embeddings": [[1, 2]], "texts": ["x"]}', {
      "x-amzn-bedrock-input-token-count": "7",
    });
    expect(usage).toEqual({ input: 7, output: 0 });
  });
});

const metrics = { "amazon-bedrock-invocationMetrics": { inputTokenCount: 7, outputTokenCount: 3 } };
const streams: [family: string, chunks: unknown[], expected: object][] = [
  [
    "Claude",
    [
      { type: "message_start", message: { usage: { input_tokens: 7, output_tokens: 1, cache_read_input_tokens: 2 } } },
      { type: "content_block_start", index: 0, content_block: { type: "thinking", thinking: "" } },
      { type: "content_block_delta", index: 0, delta: { type: "thinking_delta", thinking: "hm " } },
      { type: "content_block_start", index: 1, content_block: { type: "text", text: "" } },
      { type: "content_block_delta", index: 1, delta: { type: "text_delta", text: "Hi" } },
      { type: "content_block_start", index: 2, content_block: { type: "tool_use", id: "t1", name: "clock" } },
      { type: "content_block_delta", index: 2, delta: { type: "input_json_delta", partial_json: '{"id": 25122' } },
      { type: "content_block_delta", index: 2, delta: { type: "input_json_delta", partial_json: exact.slice(12) } },
      { type: "content_block_stop", index: 2 },
      { type: "message_delta", delta: { stop_reason: "tool_use" }, usage: { output_tokens: 3 } },
      { type: "message_stop", ...metrics },
    ],
    {
      text: "Hi",
      output: `hm Hi${exact}`,
      toolCalls: [call],
      finishReason: "tool_calls",
      usage: { input: 7, output: 3, cacheRead: 2 },
    },
  ],
  [
    "Nova",
    [
      { messageStart: { role: "assistant" } },
      { contentBlockDelta: { delta: { text: "Hi" }, contentBlockIndex: 0 } },
      { contentBlockStart: { start: { toolUse: { toolUseId: "t1", name: "clock" } }, contentBlockIndex: 1 } },
      { contentBlockDelta: { delta: { toolUse: { input: exact } }, contentBlockIndex: 1 } },
      { messageStop: { stopReason: "tool_use" } },
      { metadata: { usage: { inputTokens: 7, outputTokens: 3 } }, ...metrics },
    ],
    { text: "Hi", toolCalls: [call], finishReason: "tool_calls", usage: { input: 7, output: 3 } },
  ],
  [
    "Llama",
    [
      { generation: "H", prompt_token_count: 7, generation_token_count: 1, stop_reason: null },
      { generation: "i", prompt_token_count: null, generation_token_count: 3, stop_reason: "length" },
    ],
    { text: "Hi", finishReason: "length", usage: { input: 7, output: 3 } },
  ],
  [
    "Titan",
    [
      { outputText: "H", completionReason: null, index: 0 },
      { outputText: "i", completionReason: "LENGTH", totalOutputTextTokenCount: 3, inputTextTokenCount: 7 },
    ],
    { text: "Hi", finishReason: "length", usage: { input: 7, output: 3 } },
  ],
  [
    "Cohere",
    [
      { event_type: "stream-start", is_finished: false, generation_id: "g" },
      { event_type: "text-generation", is_finished: false, text: "Hi" },
      { event_type: "tool-calls-generation", tool_calls: [{ name: "clock", parameters: { zone: "UTC" } }] },
      { event_type: "stream-end", is_finished: true, finish_reason: "COMPLETE", response: { text: "Hi" }, ...metrics },
    ],
    {
      text: "Hi",
      toolCalls: [{ id: "call_0", name: "clock", arguments: '{"zone":"UTC"}' }],
      finishReason: "stop",
      usage: { input: 7, output: 3 },
    },
  ],
  [
    "OpenAI's format",
    [
      { choices: [{ index: 0, delta: { role: "assistant", content: "Hi" }, finish_reason: null }] },
      { choices: [{ delta: { tool_calls: [{ index: 0, id: "t1", function: { name: "clock", arguments: "" } }] } }] },
      { choices: [{ delta: { tool_calls: [{ index: 0, function: { arguments: exact } }] }, finish_reason: "stop" }] },
      { choices: [], usage: { prompt_tokens: 7, completion_tokens: 3 } },
    ],
    { text: "Hi", toolCalls: [call], finishReason: "stop", usage: { input: 7, output: 3 } },
  ],
  [
    "an unknown format, whose end shows in the metrics",
    [{ piece: "Hi" }, { piece: "", ...metrics }],
    { text: "", toolCalls: [], finishReason: "stop", usage: { input: 7, output: 3 } },
  ],
];

describe("invoke, streamed", () => {
  test.each(streams)("%s", (_, chunks, expected) => {
    expect(readChunks(...chunks)).toMatchObject({ ...expected, isComplete: true, hasStopped: true });
  });

  test("a known format that stops early is not complete, an unknown one may be", () => {
    expect(readChunks({ generation: "H", stop_reason: null })).toMatchObject({ isComplete: false, hasStopped: false });
    expect(readChunks({ piece: "H" })).toMatchObject({ isComplete: true, hasStopped: false });
  });

  test("events of other types, and payloads that are no chunks, add nothing", () => {
    const reader = new NativeAnswerReader("invoke");
    expect(reader.addEvent("queued", "{}")).toBeUndefined();
    for (const payload of ["", "null", "[]", "{}", '{"bytes": 5}', '{"bytes": "%%%"}']) {
      expect(reader.addEvent("chunk", payload)).toEqual({ text: "", output: "" });
    }
  });
});

describe("converse", () => {
  test("in one piece", () => {
    const body = `{"output": {"message": {"role": "assistant", "content": [
      {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}}, {"text": "Hi"},
      {"toolUse": {"toolUseId": "t1", "name": "clock", "input": ${exact}}}]}},
      "stopReason": "guardrail_intervened", "serviceTier": {"type": "flex"},
      "usage": {"inputTokens": 7, "outputTokens": 3, "cacheReadInputTokens": 2, "cacheWriteInputTokens": 5,
      "cacheDetails": [{"ttl": "1h", "inputTokens": 4}, {"ttl": "5m", "inputTokens": 1}]}}`;
    expect(readBody("converse", body)).toEqual({
      text: "Hi",
      toolCalls: [call],
      finishReason: "content_filter",
      usage: { input: 7, output: 3, cacheRead: 2, cacheWrite: 5, cacheWriteHour: 4 },
      serviceTier: "flex",
    });
  });

  test("streamed, with what it generated besides text", () => {
    const reader = new NativeAnswerReader("converse");
    const events: [string, object][] = [
      ["messageStart", { role: "assistant" }],
      ["contentBlockDelta", { contentBlockIndex: 0, delta: { reasoningContent: { text: "hm" } } }],
      ["contentBlockDelta", { contentBlockIndex: 1, delta: { text: "Hi" } }],
      ["contentBlockStart", { contentBlockIndex: 2, start: { toolUse: { toolUseId: "t1", name: "clock" } } }],
      ["contentBlockDelta", { contentBlockIndex: 2, delta: { toolUse: { input: exact } } }],
      ["messageStop", { stopReason: "tool_use" }],
      ["metadata", { usage: { inputTokens: 7, outputTokens: 3 } }],
    ];
    const pieces = events.map(([type, payload]) => reader.addEvent(type, JSON.stringify(payload)));
    expect(pieces.map((piece) => piece?.output).join("")).toBe(`hmHi${exact}`);
    expect(reader.isComplete).toBe(true);
    expect(reader.extracted()).toMatchObject({ text: "Hi", toolCalls: [call], usage: { input: 7, output: 3 } });
    const lines = events.map(([type, payload]) => eventLine(type, JSON.stringify(payload))).join("");
    expect(textOfEvents("converse", lines)).toBe("Hi");
  });
});

test("any JSON is read without an error", () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 4 }), fc.constantFrom("converse", "invoke"), (body, operation) => {
      readBody(operation as "converse", body);
      readChunks(JSON.parse(body));
    }),
  );
});

test("any JSON in the place of a known key is read without an error", () => {
  const keys = [
    "output",
    "message",
    "content",
    "toolUse",
    "type",
    "usage",
    "choices",
    "delta",
    "results",
    "tool_calls",
  ];
  const values = fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constantFrom("message", "content_block_delta"));
  const json = fc.dictionary(
    fc.constantFrom(...keys),
    fc.oneof(values, fc.dictionary(fc.constantFrom(...keys), values)),
  );
  fc.assert(
    fc.property(json, (value) => {
      readBody("converse", JSON.stringify(value));
      readBody("invoke", JSON.stringify(value));
      readChunks(value);
    }),
  );
});

test("events become lines and come back, whatever they contain", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.string(), fc.string({ unit: "binary" }))), (events) => {
      const lines = events.map(([type, payload]) => eventLine(type, payload)).join("");
      expect(lines.split("\n")).toHaveLength(events.length + 1);
      expect(eventsOfLines(lines)).toEqual(events);
    }),
  );
});
