// Request features other than text: formats, tiers, guardrails, caches, parameters of single
// models, and tools for models without tools in a stream.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { CanonicalRequest } from "../../src/domain/request.ts";
import type { Provider } from "../../src/providers/provider.ts";
import { startSimulator } from "../../src/simulator/simulator.ts";
import {
  ask,
  event,
  type FakeBedrock,
  failureOf,
  json,
  type ProviderOptions,
  providerFor,
  start,
  startFakeBedrock,
  stop,
  stream,
  text,
  wholeAnswer,
} from "./fake-bedrock.ts";

let fake: FakeBedrock;
const opened: Provider[] = [];
beforeAll(async () => {
  fake = await startFakeBedrock();
});
afterAll(() => fake.close());
beforeEach(() => {
  fake.requests.length = 0;
  fake.respond(stream(wholeAnswer));
});
afterEach(async () => {
  for (const provider of opened.splice(0)) await provider.close();
});

function open(options: Partial<ProviderOptions> = {}, url = fake.url): Provider {
  const provider = providerFor(url, options);
  opened.push(provider);
  return provider;
}

const hello: CanonicalRequest = {
  messages: [{ role: "user", content: [{ type: "text", text: "Hello?" }] }],
  parameters: { maxTokens: 100 },
};
const clock = { name: "clock", inputSchema: { type: "object" } };

async function sentFor(request: Partial<CanonicalRequest>, traits: ProviderOptions["traits"] = {}) {
  await ask(open({ traits }), { request: { ...hello, ...request } });
  return fake.requests[0]!.body as Record<string, unknown>;
}

describe("what is sent", () => {
  test("a JSON schema for the answer", async () => {
    const schema = { type: "object", properties: { n: { type: "integer" } } };
    const responseFormat = {
      type: "json_schema" as const,
      name: "count",
      description: "A count",
      schema,
      strict: true,
    };
    expect((await sentFor({ responseFormat })).outputConfig).toEqual({
      textFormat: {
        type: "json_schema",
        structure: {
          jsonSchema: {
            schema: JSON.stringify({ ...schema, additionalProperties: false }),
            name: "count",
            description: "A count",
          },
        },
      },
    });
  });

  test("no tools if none may be called, unless the conversation has used some", async () => {
    expect((await sentFor({ toolChoice: "none", tools: [clock] })).toolConfig).toBeUndefined();
    fake.requests.length = 0;
    const used: CanonicalRequest["messages"] = [
      ...hello.messages,
      { role: "assistant", content: [{ type: "tool_call", id: "1", name: "clock", arguments: "{}" }] },
      { role: "user", content: [{ type: "tool_result", callId: "1", text: "noon" }] },
    ];
    const { toolConfig } = await sentFor({ toolChoice: "none", tools: [clock], messages: used });
    expect(toolConfig).toEqual({ tools: [{ toolSpec: { name: "clock", inputSchema: { json: clock.inputSchema } } }] });
  });

  test("C8, C9: call and result have one allowed id, and past calls allowed names", async () => {
    const ids = [`${"a".repeat(64)}x`, `${"a".repeat(64)}y`, "c|1"];
    const name = "functions.get weather";
    const messages: CanonicalRequest["messages"] = [
      ...hello.messages,
      { role: "assistant", content: ids.map((id) => ({ type: "tool_call", id, name, arguments: "{}" })) },
      { role: "user", content: ids.map((callId) => ({ type: "tool_result", callId, text: "noon" })) },
    ];
    type Sent = { content: { toolUse: { toolUseId: string; name: string }; toolResult: { toolUseId: string } }[] };
    const [, calls, results] = (await sentFor({ tools: [clock], messages })).messages as [Sent, Sent, Sent];
    const sentIds = calls.content.map(({ toolUse }) => toolUse.toolUseId);
    expect(new Set(sentIds).size).toBe(3);
    for (const id of sentIds) expect(id).toMatch(/^[a-zA-Z0-9_-]{1,64}$/);
    expect(results.content.map(({ toolResult }) => toolResult.toolUseId)).toEqual(sentIds);
    for (const { toolUse } of calls.content) expect(toolUse.name).toMatch(/^functions_get_weather_[0-9a-f]{16}$/);
  });

  test("service tier and guardrail", async () => {
    expect(await sentFor({ serviceTier: "flex", guardrail: { id: "g1", version: "2" } })).toMatchObject({
      serviceTier: { type: "flex" },
      guardrailConfig: { guardrailIdentifier: "g1", guardrailVersion: "2" },
    });
  });

  test("parameters that only some models have, where the model expects them", async () => {
    const fields = {
      top_k: "inferenceConfig.topK",
      seed: "inferenceConfig.deep.seed",
      presence_penalty: "pp",
      frequency_penalty: "fp",
    };
    const parameters = {
      maxTokens: 1,
      topK: 5,
      seed: 6,
      presencePenalty: 0.5,
      frequencyPenalty: -1,
      reasoningEffort: "low" as const,
    };
    expect((await sentFor({ parameters }, { fields })).additionalModelRequestFields).toEqual({
      inferenceConfig: { topK: 5, deep: { seed: 6 } },
      pp: 0.5,
      fp: -1,
    });
  });
});

test("D8, D9: preferences that the model does not support are not sent", async () => {
  const tools = [{ name: "clock", inputSchema: { type: "object" } }];
  const wishes = { tools, parallelToolCalls: false, parameters: { maxTokens: 1, seed: 6 } };
  expect(await sentFor(wishes)).not.toHaveProperty("additionalModelRequestFields");
  const refused = await sentFor(wishes, { fields: { seed: "seed" }, refuses: ["seed"] });
  expect(refused).not.toHaveProperty("additionalModelRequestFields");
});

describe("cache points", () => {
  const cached: Partial<CanonicalRequest> = {
    system: "Be brief",
    systemCachePoint: { ttl: "1h" },
    messages: [
      {
        role: "user",
        content: [
          { type: "text", text: "A long text" },
          { type: "cache_point", cache: {} },
          { type: "text", text: "Hello?" },
        ],
      },
    ],
  };

  test("are sent where the caller put them", async () => {
    expect(await sentFor(cached, { promptCache: "1h" })).toMatchObject({
      system: [{ text: "Be brief" }, { cachePoint: { type: "default", ttl: "1h" } }],
      messages: [{ content: [{ text: "A long text" }, { cachePoint: { type: "default" } }, { text: "Hello?" }] }],
    });
  });

  test("are sent even if nothing is known about the model", async () => {
    expect(await sentFor(cached)).toMatchObject({ system: [{}, { cachePoint: { ttl: "1h" } }] });
  });

  test("ask for minutes if the model keeps nothing for an hour", async () => {
    expect((await sentFor(cached, { promptCache: "5m" })).system).toEqual([
      { text: "Be brief" },
      { cachePoint: { type: "default" } },
    ]);
  });

  test("are omitted if the model has no cache", async () => {
    expect(JSON.stringify(await sentFor({ ...cached, tools: [clock] }, { promptCache: "none" }))).not.toContain(
      "cachePoint",
    );
  });

  test("follow the tools if there is no system text", async () => {
    const { toolConfig } = await sentFor({ tools: [clock], systemCachePoint: {} });
    expect(toolConfig).toEqual({
      tools: [
        { toolSpec: { name: "clock", inputSchema: { json: { type: "object" } } } },
        { cachePoint: { type: "default" } },
      ],
    });
  });
});

describe("what is received", () => {
  const used = { inputTokens: 7, outputTokens: 3, totalTokens: 30, cacheReadInputTokens: 15, cacheWriteInputTokens: 5 };
  const expected = { usage: { input: 7, output: 3, cacheRead: 15, cacheWrite: 5 }, serviceTier: "default" };

  test("a stream's tier and cached tokens", async () => {
    const metadata = event("metadata", { usage: used, metrics: { latencyMs: 5 }, serviceTier: { type: "default" } });
    fake.respond(stream([start, text("x"), stop("end_turn"), metadata]));
    expect(await ask(open(), { request: { ...hello, serviceTier: "priority" } })).toMatchObject(expected);
  });

  test("tokens written to the cache are reported by lifetime, if one request has both kinds", async () => {
    const cacheDetails = [
      { ttl: "5m", inputTokens: 2 },
      { ttl: "1h", inputTokens: 3 },
    ];
    const metadata = event("metadata", { usage: { ...used, cacheDetails }, metrics: { latencyMs: 5 } });
    fake.respond(stream([start, text("x"), stop("end_turn"), metadata]));
    expect((await ask(open())).usage).toEqual({ ...expected.usage, cacheWriteHour: 3 });
  });

  test("the tier and cached tokens of an unstreamed answer", async () => {
    const output = { message: { role: "assistant", content: [{ text: "x" }] } };
    fake.respond(json(200, { output, stopReason: "end_turn", usage: used, serviceTier: { type: "default" } }));
    expect(await ask(open({ streaming: false }))).toMatchObject(expected);
  });

  test("an answer stopped by a guardrail was still billed, on its tier", async () => {
    const metadata = event("metadata", { usage: used, metrics: { latencyMs: 5 }, serviceTier: { type: "flex" } });
    fake.respond(stream([start, text("x"), stop("guardrail_intervened"), metadata]));
    expect(await failureOf(ask(open()))).toMatchObject({
      code: "content_filtered",
      usage: expected.usage,
      serviceTier: "flex",
    });
  });
});

describe("tools for a model without tools in a stream", () => {
  const request = { ...hello, tools: [clock] };
  const traits = { streamingTools: false };

  test("only a call with tools is not streamed", async () => {
    fake.respond(json(200, { output: { message: { role: "assistant", content: [] } }, stopReason: "end_turn" }));
    await ask(open({ traits }), { request });
    fake.respond(stream(wholeAnswer));
    await ask(open({ traits }));
    await ask(open(), { request });
    expect(fake.requests.map(({ path }) => path.split("/").at(-1))).toEqual([
      "converse",
      "converse-stream",
      "converse-stream",
    ]);
  });

  test("the simulator, which refuses it as Bedrock does, gives an answer", async () => {
    const simulator = await startSimulator({});
    try {
      expect(await failureOf(ask(open({}, simulator.url), { request }))).toMatchObject({
        kind: "permanent",
        message: expect.stringMatching(/tool use in streaming mode.*streamingTools: false/),
      });
      expect((await ask(open({ traits }, simulator.url), { request })).finishReason).toBe("tool_calls");
    } finally {
      await simulator.stop();
    }
  });
});

test("an answer truncated by max_tokens says so, through the simulator", async () => {
  const simulator = await startSimulator({ answerTokens: 50 });
  try {
    const request = { ...hello, parameters: { maxTokens: 10 } };
    for (const streaming of [true, false]) {
      const provider = open({ streaming }, simulator.url);
      expect(await ask(provider, { request })).toMatchObject({ finishReason: "length", usage: { output: 10 } });
      expect(await ask(provider)).toMatchObject({ finishReason: "stop", usage: { output: 50 } });
    }
  } finally {
    await simulator.stop();
  }
});
