// InvokeModel with the bodies of each model family: through the official SDK, and through the provider, whose reader must
// find the same text, calls and usage in an answer in one piece and in a stream.
import {
  ConverseCommand,
  InvokeModelCommand,
  InvokeModelWithResponseStreamCommand,
} from "@aws-sdk/client-bedrock-runtime";
import { describe, expect, onTestFinished, test } from "vitest";
import type { NativeCall } from "../../src/domain/native-request.ts";
import { countTokens, signatureOf, syntheticMark } from "../../src/simulator/text.ts";
import { ask, providerFor } from "../providers/fake-bedrock.ts";
import { base64, pdf, png } from "../support/media.ts";
import { collect, failure, post, simulate } from "./support.ts";

const claude = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
const messages = [{ role: "user", content: "Name three rivers." }];
const blocks = [{ role: "user", content: [{ text: "Name three rivers." }] }];
const claudeBody = { anthropic_version: "bedrock-2023-05-31", max_tokens: 300, messages };

const families: [string, string, object][] = [
  ["Claude", claude, claudeBody],
  ["Nova", "amazon.nova-lite-v1:0", { messages: blocks, inferenceConfig: { max_new_tokens: 300 } }],
  ["Llama", "us.meta.llama3-3-70b-instruct-v1:0", { prompt: "Name three rivers.", max_gen_len: 300 }],
  ["DeepSeek R1", "us.deepseek.r1-v1:0", { prompt: "Name three rivers.", max_tokens: 300 }],
  ["gpt-oss", "openai.gpt-oss-20b-1:0", { messages, max_completion_tokens: 300 }],
  ["Mistral", "mistral.ministral-3-8b-instruct", { messages, max_tokens: 300 }],
  ["Qwen", "qwen.qwen3-32b-v1:0", { messages, max_tokens: 300 }],
];

async function start(modelId: string, options: Parameters<typeof simulate>[0] = {}) {
  const { simulator, client } = await simulate(options);
  const provider = providerFor(simulator.url, { modelId });
  onTestFinished(() => provider.close());
  const run = (native: Omit<NativeCall, "body">, body: object) =>
    ask(provider, {
      request: { native: { ...native, body: JSON.stringify(body) }, parameters: { maxTokens: 300 } },
    });
  return { simulator, client, run };
}

const keys = { accessKeyId: "AKIAEXAMPLEEXAMPLE12", secretAccessKey: "secret-in-no-message" };

describe.each(families)("%s", (_, modelId, body) => {
  test("the provider reads the same from a body and from a stream, and quotas are settled to it", async () => {
    const { simulator, run } = await start(modelId, { verifySignatures: keys });
    const whole = await run({ operation: "invoke", streamed: false }, body);
    const streamed = await run({ operation: "invoke", streamed: true }, body);
    expect(whole.text).toContain(syntheticMark);
    expect(whole.usage).toEqual({ ...whole.usage, input: 3, output: countTokens(whole.text) });
    const { text, toolCalls, finishReason, usage } = streamed;
    expect({ text, toolCalls, finishReason, usage: { input: usage!.input, output: usage!.output } }).toEqual({
      text: whole.text,
      toolCalls: [],
      finishReason: "stop",
      usage: { input: 3, output: whole.usage!.output },
    });
    expect(simulator.calls).toMatchObject([
      { operation: "InvokeModel", prompt: "Name three rivers.", maxTokens: 300, outcome: "answered" },
      { operation: "InvokeModelWithResponseStream", maxTokens: 300, outcome: "answered" },
    ]);
  });

  test("the SDK decodes the stream, and the headers of a body count tokens", async () => {
    const { simulator, client } = await start(modelId);
    const input = { modelId, contentType: "application/json", body: JSON.stringify(body) };
    const { body: stream } = await client.send(new InvokeModelWithResponseStreamCommand(input));
    const chunks = (await collect(stream)).map(({ chunk }) => JSON.parse(Buffer.from(chunk!.bytes!).toString()));
    expect(chunks.at(-1)["amazon-bedrock-invocationMetrics"]).toMatchObject({ inputTokenCount: 3 });
    const response = await post(simulator, `/model/${encodeURIComponent(modelId)}/invoke`, input.body);
    expect(response.headers.get("x-amzn-bedrock-input-token-count")).toBe("3");
  });
});

describe("Claude", () => {
  const tool = {
    name: "clock",
    description: "Tells the time",
    input_schema: { type: "object", properties: { zone: {} } },
  };

  test("calls a tool, and reads its result", async () => {
    const { run } = await start(claude);
    const asking = { ...claudeBody, tools: [tool], tool_choice: { type: "any" } };
    const whole = await run({ operation: "invoke", streamed: false }, asking);
    const streamed = await run({ operation: "invoke", streamed: true }, asking);
    expect(whole).toMatchObject({ text: "", toolCalls: [{ name: "clock" }], finishReason: "tool_calls" });
    expect(streamed.toolCalls).toEqual(whole.toolCalls);
    const { id, arguments: input } = whole.toolCalls[0]!;
    const turns = [
      ...messages,
      { role: "assistant", content: [{ type: "tool_use", id, name: "clock", input: JSON.parse(input) }] },
      { role: "user", content: [{ type: "tool_result", tool_use_id: id, content: "noon" }] },
    ];
    const after = await run(
      { operation: "invoke", streamed: false },
      { ...claudeBody, tools: [tool], messages: turns },
    );
    expect(after.text).toContain('beginning "noon"');
  });

  test("answers the same text as Converse", async () => {
    const { client, run } = await start(claude);
    const converse = {
      modelId: claude,
      messages: [{ role: "user" as const, content: [{ text: "Name three rivers." }] }],
    };
    const { output } = await client.send(new ConverseCommand(converse));
    const { text } = await run({ operation: "invoke", streamed: false }, claudeBody);
    expect(text).toBe(output!.message!.content![0]!.text);
  });

  test("takes images, documents, thoughts, cache marks and several messages of one role", async () => {
    const { run } = await start(claude);
    const source = { type: "base64", media_type: "image/png", data: base64(png()) };
    const turns = [
      {
        role: "user",
        content: [
          { type: "image", source },
          { type: "document", source },
        ],
      },
      { role: "user", content: [{ type: "text", text: "What is it?", cache_control: { type: "ephemeral" } }] },
      {
        role: "assistant",
        content: [
          { type: "thinking", thinking: "hm", signature: signatureOf("hm") },
          { type: "text", text: "A dot." },
        ],
      },
      { role: "user", content: "Are you sure?" },
    ];
    const body = { ...claudeBody, messages: turns, system: [{ type: "text", text: "Be brief." }], metadata: {} };
    expect((await run({ operation: "invoke", streamed: false }, body)).text).toContain("Are you sure?");
  });

  test("thinks if it is asked to, and refuses a changed thought", async () => {
    const { run } = await start(claude);
    const body = { ...claudeBody, max_tokens: 2_000, thinking: { type: "enabled", budget_tokens: 1_024 } };
    const { native } = await run({ operation: "invoke", streamed: false }, body);
    const { content } = JSON.parse(native!.body!);
    expect(content.map(({ type }: { type: string }) => type)).toEqual(["thinking", "text"]);
    expect(content[0].signature).toBe(signatureOf(content[0].thinking));
    const { native: streamed } = await run({ operation: "invoke", streamed: true }, body);
    const deltas = streamed!
      .events!.trim()
      .split("\n")
      .map((line) => {
        const { bytes } = JSON.parse(JSON.parse(line)[1]);
        return JSON.parse(Buffer.from(bytes, "base64").toString()).delta?.type;
      });
    expect(deltas).toContain("thinking_delta");
    expect(deltas).toContain("signature_delta");
    const next = (thinking: string) => {
      const past = { role: "assistant", content: [{ ...content[0], thinking }, content[1]] };
      const messages = [...claudeBody.messages, past, { role: "user", content: "And?" }];
      return run({ operation: "invoke", streamed: false }, { ...body, messages });
    };
    expect((await next(content[0].thinking)).text).toContain("synthetic");
    await expect(next("Hm.")).rejects.toThrow("Invalid `signature` in `thinking` block");
  });

  test.each([
    [{ model: claude }, "#: extraneous key [model] is not permitted"],
    [{ stream: true }, "#: extraneous key [stream] is not permitted"],
    [{ max_tokens: undefined }, "#: required key [max_tokens] not found"],
    [{ anthropic_version: undefined }, "#: required key [anthropic_version] not found"],
    [{ anthropic_version: "2023-06-01" }, '#/anthropic_version: "2023-06-01" is not a valid version'],
    [{ max_tokens: 0 }, "#/max_tokens: 0 is not greater or equal to 1"],
  ])("refuses %j", async (fields, problem) => {
    const { run } = await start(claude);
    await expect(run({ operation: "invoke", streamed: false }, { ...claudeBody, ...fields })).rejects.toThrow(
      `Malformed input request: ${problem}, please reformat your input and try again.`,
    );
  });

  test("reserves the model's maximum where a body may leave the limit out", async () => {
    const { simulator, run } = await start("amazon.nova-lite-v1:0", { tokensPerMinute: 8_192 });
    await expect(run({ operation: "invoke", streamed: false }, { messages: blocks })).rejects.toThrow(
      "Too many tokens",
    );
    expect(simulator.calls[0]).toMatchObject({ maxTokens: 8_192, quota: "tokens" });
  });
});

test("Converse takes images, documents and reasoning, through the SDK and as a native call", async () => {
  const { client, run } = await start(claude);
  const content = [
    { image: { format: "png" as const, source: { bytes: png() } } },
    { document: { format: "pdf" as const, name: "a", source: { bytes: pdf() } } },
    { text: "What is it?" },
  ];
  const reasoned = [
    { reasoningContent: { reasoningText: { text: "hm", signature: signatureOf("hm") } } },
    { text: "A dot." },
  ];
  const input = {
    modelId: claude,
    messages: [
      { role: "user" as const, content },
      { role: "assistant" as const, content: reasoned },
      { role: "user" as const, content: [{ text: "Are you sure?" }] },
    ],
    inferenceConfig: { maxTokens: 300 },
  };
  const { output } = await client.send(new ConverseCommand(input));
  const { modelId: _, ...body } = JSON.parse(
    JSON.stringify(input, (_key, value) =>
      value?.type === "Buffer" ? Buffer.from(value.data).toString("base64") : value,
    ),
  );
  for (const streamed of [false, true]) {
    const { text } = await run({ operation: "converse", streamed }, body);
    expect(text).toBe(output!.message!.content![0]!.text);
  }
});

describe("embeddings", () => {
  const titan = "amazon.titan-embed-text-v2:0";
  const cohere = "cohere.embed-english-v3";

  async function embed(modelId: string, body: object) {
    const { simulator, client, run } = await start(modelId);
    const { native, usage } = await run({ operation: "invoke", streamed: false }, body);
    const [call] = simulator.calls;
    expect(usage).toEqual({ input: call!.inputTokens, output: 0 });
    expect(call).toMatchObject({ maxTokens: 0, chargedTokens: call!.inputTokens, outcome: "answered" });
    expect(native!.headers).toMatchObject({ "x-amzn-bedrock-input-token-count": String(call!.inputTokens) });
    return { json: JSON.parse(native!.body!), client };
  }

  const norm = (vector: number[]) => Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));

  test("Titan: the same vector for the same text, of the wanted length", async () => {
    const { json } = await embed(titan, { inputText: "a quiet river" });
    expect(json).toMatchObject({ inputTextTokenCount: 3, embeddingsByType: { float: json.embedding } });
    expect(json.embedding).toHaveLength(1_024);
    expect(norm(json.embedding)).toBeCloseTo(1, 4);
    expect((await embed(titan, { inputText: "a quiet river" })).json).toEqual(json);
    const short = (await embed(titan, { inputText: "another", dimensions: 256, embeddingTypes: ["float", "binary"] }))
      .json;
    expect(short.embedding).toHaveLength(256);
    expect(short.embeddingsByType.binary).toHaveLength(256);
    expect(short.embedding).not.toEqual(json.embedding.slice(0, 256));
  });

  test("Cohere: one vector for each text, in the wanted types", async () => {
    const texts = ["a quiet river", "a loud sea"];
    const { json } = await embed(cohere, { texts, input_type: "search_document" });
    expect(json).toMatchObject({ response_type: "embeddings_floats", texts });
    expect(json.embeddings.map(({ length }: number[]) => length)).toEqual([1_024, 1_024]);
    const types = { embedding_types: ["float", "int8"], output_dimension: 512 };
    const typed = (await embed("cohere.embed-v4:0", { texts, input_type: "clustering", ...types })).json;
    expect(typed.response_type).toBe("embeddings_by_type");
    expect(typed.embeddings.float[1]).toHaveLength(512);
    expect(typed.embeddings.int8[1].every((value: number) => Number.isInteger(value) && Math.abs(value) <= 128)).toBe(
      true,
    );
  });

  test.each([
    [titan, {}, /required key \[inputText\] not found/],
    [titan, { inputText: "x", dimensions: 100 }, /#\/dimensions: 100 is not a valid enum value/],
    [titan, { inputText: "x ".repeat(8_193) }, /Too many input tokens\. Max input tokens: 8192, request .*: 8193$/],
    [cohere, { texts: ["x"] }, /required key \[input_type\] not found/],
    [cohere, { texts: Array(97).fill("x"), input_type: "search_query" }, /maximum item count: 96, found: 97/],
    [cohere, { texts: ["x".repeat(2_049)], input_type: "search_query" }, /#\/texts\/0: expected maxLength: 2048/],
    [cohere, { texts: [""], input_type: "search_query" }, /#\/texts\/0: expected minLength: 1/],
  ])("%s refuses %j", async (modelId, body, message) => {
    const { client } = await start(modelId);
    const error = await failure(client.send(new InvokeModelCommand({ modelId, body: JSON.stringify(body) })));
    expect(error).toMatchObject({ name: "ValidationException", message: expect.stringMatching(message) });
  });

  test("neither Converse nor a stream", async () => {
    const { client, run } = await start(titan);
    const converse = new ConverseCommand({ modelId: titan, messages: [{ role: "user", content: [{ text: "x" }] }] });
    expect((await failure(client.send(converse))).message).toMatch(/^This action doesn't support the model/);
    await expect(run({ operation: "invoke", streamed: true }, { inputText: "x" })).rejects.toThrow("for streaming");
  });
});
