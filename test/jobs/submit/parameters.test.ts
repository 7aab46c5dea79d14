// What a model is known to refuse is refused at the door, with the field and what it takes; the rest is let through.
import { describe, expect } from "vitest";
import type { FileSettings } from "../../../src/config/config-schema.ts";
import { resolve } from "../../../src/config/resolve.ts";
import { canonicalPart, type Message } from "../../../src/domain/request.ts";
import { parameterRefusal } from "../../../src/jobs/submit/parameters.ts";
import { submit } from "../../../src/jobs/submit/submit.ts";
import type { CanonicalInput } from "../../../src/jobs/submit/submit-input.ts";
import { test } from "../../support/fixtures.ts";
import type { TestContext } from "../../support/jobs-context.ts";

const on = (modelId: string, region = "us-east-1") => ({ deployments: [{ region, modelId }] });
const models: NonNullable<FileSettings["models"]> = {
  llama: on("us.meta.llama3-3-70b-instruct-v1:0"),
  nova: on("us.amazon.nova-pro-v1:0"),
  haiku: on("global.anthropic.claude-haiku-4-5-20251001-v1:0"),
  sonnet5: on("global.anthropic.claude-sonnet-5"),
  "gpt-oss": on("openai.gpt-oss-120b-1:0"),
  gemma: on("google.gemma-3-12b-it"),
  unknown: on("some.model"),
  local: { deployments: [{ provider: "openai", baseUrl: "http://127.0.0.1:1/v1", modelId: "llama3.3" }] },
  "two-regions": {
    deployments: [
      on("us.amazon.nova-lite-v1:0").deployments[0]!,
      on("eu.amazon.nova-lite-v1:0", "eu-west-1").deployments[0]!,
    ],
  },
};
const catalogue: FileSettings["catalogue"] = {
  "google.gemma-3-12b-it": { systemPrompts: false },
  "eu.amazon.nova-lite-v1:0": { tools: false },
};
const file = { models, catalogue, defaultModel: "llama" };

let context: TestContext;
test.beforeAll(async ({ shareContext }) => {
  context = await shareContext(file);
});

const clock = { name: "clock", inputSchema: { type: "object" } };
const schema = { type: "json_schema" as const, name: "answer", schema: { type: "object" } };
const hello: Message[] = [{ role: "user", content: [{ type: "text", text: "Hello?" }] }];

function asking(model: string, more: Partial<CanonicalInput>): CanonicalInput {
  return { environment: "UAT", messages: hello, messagesField: "messages", model, maxTokens: 100, ...more };
}

const noPath = "Sluice does not know how the model %s accepts it";

test.each<[string, Partial<CanonicalInput>, field: string, message: string]>([
  [
    "sonnet5",
    { temperature: 0 },
    "temperature",
    "temperature must not be set: the model sonnet5 does not accept it. It accepts max_tokens, stop, reasoning_effort.",
  ],
  ["sonnet5", { topP: 1 }, "top_p", "top_p must not be set: the model sonnet5 does not accept it."],
  ["sonnet5", { topK: 1 }, "top_k", "top_k must not be set: the model sonnet5 does not accept it."],
  [
    "sonnet5",
    { tools: [clock], toolChoice: "required" },
    "tool_choice",
    "tool_choice must be auto or none: the model sonnet5 cannot be forced to call a tool.",
  ],
  ["llama", { tools: [clock], toolChoice: { name: "clock" } }, "tool_choice", "tool_choice must be auto or none"],
  [
    "gpt-oss",
    { stop: ["x"] },
    "stop",
    "stop must not be set: the model gpt-oss does not accept it. It accepts max_tokens, temperature, top_p, reasoning_effort.",
  ],
  [
    "llama",
    { topK: 5 },
    "top_k",
    `top_k must not be set: ${noPath.replace("%s", "llama")} (catalogue.us.meta.llama3-3-70b-instruct-v1:0.fields in the configuration). It accepts max_tokens, temperature, top_p, stop.`,
  ],
  ["haiku", { frequencyPenalty: 0.5 }, "frequency_penalty", noPath.replace("%s", "haiku")],
  ["haiku", { presencePenalty: 0.5 }, "presence_penalty", noPath.replace("%s", "haiku")],
  ["unknown", { reasoningEffort: "low" }, "reasoning_effort", noPath.replace("%s", "unknown")],
  [
    "gpt-oss",
    { reasoningEffort: "max" },
    "reasoning_effort",
    'reasoning_effort must be one of low, medium, high for the model gpt-oss; got "max".',
  ],
  ["llama", { temperature: 1.5 }, "temperature", "temperature must be between 0 and 1 for the model llama; got 1.5."],
  ["gemma", { tools: [clock] }, "tools", "tools must not be set: the model gemma does not support tools."],
  ["gemma", { system: "Be brief" }, "system", "system must not be set: the model gemma does not accept system text."],
  [
    "llama",
    { responseFormat: schema },
    "response_format",
    "response_format must not be set: the model llama answers in free text only.",
  ],
  [
    "sonnet5",
    { responseFormat: { type: "json_object" } },
    "response_format",
    "response_format must be of type json_schema for the model sonnet5; got json_object. Use a model that can: nova, haiku,",
  ],
  [
    "nova",
    { responseFormat: { ...schema, schema: { type: "array" } } },
    "response_format.schema",
    'response_format.schema must be a schema of the type object for the model nova; got the type "array".',
  ],
  ["haiku", { serviceTier: "flex" }, "service_tier", "service_tier must be default for the model haiku; got flex."],
  [
    "local",
    { guardrail: { id: "g", version: "1" } },
    "guardrail",
    "guardrail must not be set: the model local does not support guardrails.",
  ],
  [
    "nova",
    { temperature: 0.5, fallbackModels: ["sonnet5"] },
    "temperature",
    "temperature must not be set: the fallback sonnet5 does not accept it.",
  ],
  ["two-regions", { tools: [clock] }, "tools", "tools must not be set: the model two-regions does not support tools."],
])("%s refuses %j", async (model, more, field, message) => {
  const before = await context.countJobs();
  const refused = await submit(context, [asking(model, more)]).catch((error) => error);
  expect(refused).toMatchObject({ code: "invalid_request", details: { field } });
  expect(refused.message).toContain(message);
  expect(await context.countJobs()).toBe(before);
});

test.each<[string, Partial<CanonicalInput>]>([
  ["llama", { temperature: 1, topP: 0.5, stop: ["x"], tools: [clock], toolChoice: "auto", system: "Be brief" }],
  [
    "nova",
    {
      topK: 5,
      serviceTier: "priority",
      guardrail: { id: "g", version: "DRAFT" },
      tools: [clock],
      toolChoice: "required",
    },
  ],
  ["haiku", { topK: 5, responseFormat: schema, tools: [clock], toolChoice: { name: "clock" }, serviceTier: "default" }],
  ["sonnet5", { stop: ["x"], tools: [clock], toolChoice: "none" }],
  ["nova", { responseFormat: { type: "json_object" } }],
  ["haiku", { responseFormat: { type: "json_object" } }],
  // A tool carries the answer, and Bedrock takes any constraint in the schema of a tool.
  [
    "nova",
    { responseFormat: { ...schema, schema: { type: "object", properties: { n: { type: "integer", minimum: 1 } } } } },
  ],
  ["gpt-oss", { reasoningEffort: "high", serviceTier: "flex", responseFormat: schema }],
  [
    "unknown",
    { temperature: 1, stop: ["x"], tools: [clock], responseFormat: schema, serviceTier: "flex", system: "x" },
  ],
  [
    "local",
    {
      temperature: 1.9,
      topK: 5,
      seed: 1,
      presencePenalty: 1,
      frequencyPenalty: -1,
      responseFormat: { type: "json_object" },
    },
  ],
  ["llama", { frequencyPenalty: 0, presencePenalty: 0 }],
  // Wishes: a model that has no word for them is not told.
  ["nova", { seed: 5, parallelToolCalls: false, tools: [clock] }],
  ["local", { reasoningEffort: "xhigh" }],
  ["local", { reasoningEffort: "none" }],
  ["local", { reasoningEffort: "a word of next year" }],
  ["two-regions", { tools: [clock], regions: ["us-east-1"] }],
  // A cache is a hint: where there is none it is left out, see the provider.
  ["llama", { system: "x", systemCachePoint: { ttl: "1h" } }],
])("%s takes %j", async (model, more) => {
  expect((await submit(context, [asking(model, more)])).length).toBe(1);
});

test("a job is asked for once more under the configuration of its retry", () => {
  const { settings } = resolve({ ...file, catalogue: { "us.amazon.nova-pro-v1:0": { refuses: ["temperature"] } } });
  const wanted = { model: "nova", fallbackModels: [] };
  const request = { messages: hello, parameters: { maxTokens: 1, temperature: 0 } };
  expect(parameterRefusal(settings, wanted, request)).toMatchObject({ details: { field: "temperature" } });
});

describe("tools and their results", () => {
  const call = (id: string) => ({ type: "tool_call" as const, id, name: "clock", arguments: "{}" });
  const result = (callId: string) => ({ type: "tool_result" as const, callId, text: "noon" });
  const user = hello[0]!;
  const refused = async (more: Partial<CanonicalInput>) =>
    (await submit(context, [asking("nova", { tools: [clock], ...more })]).catch((error) => error)).message;

  test("a conversation in which every call has its result is taken", async () => {
    const messages: Message[] = [
      user,
      { role: "assistant", content: [call("1"), call("2")] },
      { role: "user", content: [result("2")] },
      { role: "user", content: [result("1"), { type: "text", text: "Well?" }] },
    ];
    const [job] = await submit(context, [asking("nova", { messages, tools: [clock] })]);
    expect(canonicalPart(job!.request).messages).toEqual(messages);
    expect(await refused({ messages, tools: [] })).toMatch(/^tools must define the tools that the conversation calls/);
  });

  test.each<[string, Message[], RegExp]>([
    ["a result of no call", [{ role: "user", content: [result("1")] }], /"1" answers no call/],
    ["a call without a result", [user, { role: "assistant", content: [call("1")] }, user], /"1" has no result/],
    [
      "calls at the end",
      [user, { role: "assistant", content: [call("1")] }],
      /must end with the results of its tool calls; "1"/,
    ],
    [
      "two results of one call",
      [user, { role: "assistant", content: [call("1")] }, { role: "user", content: [result("1"), result("1")] }],
      /"1" answers no call/,
    ],
    [
      "two calls of one id",
      [user, { role: "assistant", content: [call("1"), call("1")] }],
      /two tool calls with the same id/,
    ],
    ["a call of the user", [{ role: "user", content: [call("1")] }], /tool calls only in assistant messages/],
    [
      "a result of the assistant",
      [user, { role: "assistant", content: [result("1")] }],
      /tool results only in user messages/,
    ],
  ])("%s is refused", async (_, messages, message) => {
    expect(await refused({ messages })).toMatch(message);
  });

  test.each<[string, Partial<CanonicalInput>, RegExp]>([
    ["two tools of one name", { tools: [clock, clock] }, /^tools must have different names/],
    ["a choice without tools", { tools: [], toolChoice: "auto" }, /^tool_choice must not be set without tools/],
    [
      "a choice of another tool",
      { toolChoice: { name: "hammer" } },
      /^tool_choice must name one of the tools: "clock"; got "hammer"/,
    ],
  ])("%s is refused", async (_, more, message) => {
    expect(await refused(more)).toMatch(message);
  });

  test("schemas that are nested without end, and half characters, are refused and do not end the process", async () => {
    let deep = {};
    for (let i = 0; i < 200_000; i++) deep = { a: deep };
    const nested = /must not be nested deeper than 64 levels/;
    expect(await refused({ tools: [{ name: "clock", inputSchema: deep }] })).toMatch(nested);
    expect(await refused({ responseFormat: { ...schema, schema: deep } })).toMatch(nested);
    expect(await refused({ tools: [{ name: "clock", inputSchema: { "\ud800": 1 } }] })).toMatch(
      /tools must be valid Unicode/,
    );
  });
});
