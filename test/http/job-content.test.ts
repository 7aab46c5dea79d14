// What POST /v1/jobs takes beyond text, as it stands on record.

import { afterAll, beforeAll, expect, test } from "vitest";
import { canonicalPart } from "../../src/domain/request.ts";
import { type ServerUnderTest, startServerUnderTest } from "./server-under-test.ts";

let server: ServerUnderTest;
beforeAll(async () => {
  server = await startServerUnderTest({
    models: {
      haiku: {
        maxOutputTokens: 100,
        deployments: [{ region: "us-east-1", modelId: "global.anthropic.claude-haiku-4-5-20251001-v1:0" }],
      },
      "gpt-oss": {
        maxOutputTokens: 100,
        deployments: [{ region: "us-east-1", modelId: "openai.gpt-oss-120b-1:0" }],
      },
    },
    defaultModel: "haiku",
  });
});
afterAll(() => server.close());

async function recorded(fields: object) {
  const { status, text, body } = await server.post("/v1/jobs", { environment: "UAT", ...fields });
  expect(status, text).toBe(200);
  return { resource: body, request: canonicalPart((await server.context.store.get(body.job_id))!.job.request) };
}

test("a conversation with tools, cache points and a format", async () => {
  const { request } = await recorded({
    system: "Be brief.",
    messages: [
      {
        role: "system",
        content: [
          { type: "text", text: "Be kind." },
          { type: "cache_point", ttl: "1h" },
        ],
      },
      { role: "user", content: [{ type: "text", text: "What time is it?" }, { type: "cache_point" }] },
      { role: "assistant", content: [{ type: "tool_call", id: "c1", name: "clock", arguments: '{"zone": "UTC"}' }] },
      { role: "user", content: [{ type: "tool_result", call_id: "c1", text: "broken", is_error: true }] },
    ],
    tools: [{ name: "clock", description: "Tells the time", input_schema: { type: "object" } }],
    tool_choice: { name: "clock" },
    response_format: { type: "json_schema", name: "time", schema: { type: "object" }, strict: true },
  });
  expect(request).toEqual({
    system: "Be brief.\n\nBe kind.",
    systemCachePoint: { ttl: "1h" },
    messages: [
      {
        role: "user",
        content: [
          { type: "text", text: "What time is it?" },
          { type: "cache_point", cache: {} },
        ],
      },
      { role: "assistant", content: [{ type: "tool_call", id: "c1", name: "clock", arguments: '{"zone": "UTC"}' }] },
      { role: "user", content: [{ type: "tool_result", callId: "c1", text: "broken", isError: true }] },
    ],
    tools: [{ name: "clock", description: "Tells the time", inputSchema: { type: "object" } }],
    toolChoice: { name: "clock" },
    responseFormat: { type: "json_schema", name: "time", schema: { type: "object" }, strict: true },
    parameters: { maxTokens: 100 },
  });
});

const aCall = (fields: object) => ({
  tools: [{ name: "clock", input_schema: { type: "object" } }],
  messages: [
    { role: "user", content: "What time is it?" },
    { role: "assistant", content: [{ type: "tool_call", id: "c1", name: "clock", ...fields }] },
    { role: "user", content: [{ type: "tool_result", call_id: "c1", text: "noon" }] },
  ],
});
const place = "messages[1].content[0]";

test.each([
  [{ input: { b: 1, a: [null] } }, '{"b":1,"a":[null]}'],
  [{ input: null }, "{}"],
  [{}, "{}"],
  [{ arguments: ' {"b": 1.0, "2": 9007199254740993}\n' }, ' {"b": 1.0, "2": 9007199254740993}\n'],
  [{ arguments: "" }, ""],
])("C12: a tool call with %j is stored with its arguments as text", async (fields, text) => {
  const { request } = await recorded(aCall(fields));
  expect(request.messages[1]!.content).toEqual([{ type: "tool_call", id: "c1", name: "clock", arguments: text }]);
});

test.each([
  [{ input: "{}" }, `${place}.input must be an object; got a string.`],
  [{ input: [1] }, `${place}.input must be an object; got a list.`],
  [{ input: 5 }, `${place}.input must be an object; got a number.`],
  [{ input: true }, `${place}.input must be an object; got a boolean.`],
  [{ input: {}, arguments: "{}" }, `Set either ${place}.arguments or ${place}.input, not both.`],
])("C12: a tool call with %j is refused, with the place", async (fields, message) => {
  const { status, body } = await server.post("/v1/jobs", { environment: "UAT", ...aCall(fields) });
  expect([status, body.error.field, body.error.message]).toEqual([400, `${place}.input`, message]);
});

test.each(["{", "[1]", '"text"', "null", "5"])("arguments %j are refused where Bedrock would answer", async (text) => {
  const body = { environment: "UAT", ...aCall({ arguments: text }) };
  const answer = await server.post("/v1/jobs", body);
  expect([answer.status, answer.body.error.field]).toEqual([400, `${place}.arguments`]);
});

test.each(["haiku", "gpt-oss"])("arguments that are nested too deep are refused for %s", async (model) => {
  const nested = (levels: number) => `${'{"a":'.repeat(levels)}1${"}".repeat(levels)}`;
  for (const levels of [65, 5_000, 100_000]) {
    const { status, body } = await server.post("/v1/jobs", {
      environment: "UAT",
      model,
      ...aCall({ arguments: nested(levels) }),
    });
    expect([status, body.error]).toMatchObject([
      400,
      {
        code: "invalid_request",
        message: `${place}.arguments must not be nested deeper than 64 levels.`,
        field: `${place}.arguments`,
      },
    ]);
  }
  const { status } = await server.post("/v1/jobs", { environment: "UAT", model, ...aCall({ arguments: nested(64) }) });
  expect(status).toBe(200);
});

test("D7: only system messages are what the user asks, cache points and all", async () => {
  const { request } = await recorded({
    system: "Be kind.",
    messages: [
      { role: "system", content: "A long text." },
      { role: "system", content: [{ type: "cache_point" }, { type: "text", text: "Say hi." }] },
    ],
  });
  expect(request.system).toBe("Be kind.");
  expect(request.systemCachePoint).toBeUndefined();
  expect(request.messages).toEqual([
    {
      role: "user",
      content: [
        { type: "text", text: "A long text." },
        { type: "cache_point", cache: {} },
        { type: "text", text: "Say hi." },
      ],
    },
  ]);
});

test("D9: a seed is taken on a model that has none", async () => {
  const { request } = await recorded({ prompt: "Hello?", seed: 7 });
  expect(request.parameters.seed).toBe(7);
});

test("tier, guardrail and parameters that only some models have", async () => {
  const { request, resource } = await recorded({
    model: "gpt-oss",
    prompt: "Hello?",
    service_tier: "flex",
    guardrail: { id: "g1", version: "DRAFT" },
    reasoning_effort: "low",
    frequency_penalty: 0,
  });
  expect(request).toMatchObject({
    serviceTier: "flex",
    guardrail: { id: "g1", version: "DRAFT" },
    parameters: { maxTokens: 100, reasoningEffort: "low" },
  });
  expect(request.parameters).not.toHaveProperty("frequencyPenalty");
  expect(resource).toMatchObject({ service_tier: "flex", cost_usd: null });
});
