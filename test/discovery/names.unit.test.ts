// Names of quotas as AWS writes them, and the model IDs that they belong to.
import fc from "fast-check";
import { expect, test } from "vitest";
import { bareId, likeness, parseQuotaName, scopesOf } from "../../src/discovery/names.ts";

test.each([
  [
    "On-demand model inference tokens per minute for Amazon Nova Pro",
    "on-demand",
    "tokens",
    "minute",
    "Amazon Nova Pro",
  ],
  [
    "Cross-region model inference requests per minute for Meta Llama 3.3 70B Instruct",
    "cross-region",
    "requests",
    "minute",
    "Meta Llama 3.3 70B Instruct",
  ],
  [
    "Cross-Region InvokeModel tokens per minute for Anthropic Claude Haiku 4.5",
    "cross-region",
    "tokens",
    "minute",
    "Anthropic Claude Haiku 4.5",
  ],
  [
    "Global cross-Region model inference tokens per minute for Claude Sonnet 4.5 V1",
    "global",
    "tokens",
    "minute",
    "Claude Sonnet 4.5 V1",
  ],
  ["Global cross-region model inference tokens per day for X", "global", "tokens", "day", "X"],
  ["InvokeModel requests per minute for X", "on-demand", "requests", "minute", "X"],
  [
    "Model invocation max tokens per day for Amazon Nova Lite (doubled for cross-region calls)",
    "on-demand",
    "tokens",
    "day",
    "Amazon Nova Lite",
  ],
])("%s", (name, scope, unit, per, model) => {
  expect(parseQuotaName(name)).toEqual({ scope, unit, per, model });
});

test("the quota that all models share has no model", () => {
  expect(parseQuotaName("Cross-Model Max Tokens Per Day")).toEqual({ scope: "on-demand", unit: "tokens", per: "day" });
});

test.each([
  "Records per batch inference job for Meta Llama 3.3 70B Instruct",
  "Bedrock Mantle input tokens per minute for X",
  "On-demand ApplyGuardrail requests per second",
  "",
])("is no limit of calls: %s", (name) => {
  expect(parseQuotaName(name)).toBeUndefined();
});

const belongTogether: [displayName: string, modelId: string, likeness: number][] = [
  ["Meta Llama 3.3 70B Instruct", "us.meta.llama3-3-70b-instruct-v1:0", 2],
  ["Meta Llama 3.1 8B Instruct", "meta.llama3-1-8b-instruct-v1:0", 2],
  ["Meta Llama 4 Maverick V1", "us.meta.llama4-maverick-17b-instruct-v1:0", 1],
  ["Amazon Nova Pro", "amazon.nova-pro-v1:0", 2],
  ["Amazon Nova 2 Lite", "global.amazon.nova-2-lite-v1:0", 2],
  ["Anthropic Claude Sonnet 4.5 V1", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0", 1],
  ["Claude Sonnet 4.5 V1", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0", 1],
  ["Anthropic Claude Haiku 4.5", "us.anthropic.claude-haiku-4-5-20251001-v1:0", 1],
  ["Anthropic Claude Opus 4.7", "us.anthropic.claude-opus-4-7", 2],
  ["Anthropic Claude Opus 4.6 V1", "us.anthropic.claude-opus-4-6-v1", 2],
  ["Anthropic Claude 3.5 Sonnet V2", "anthropic.claude-3-5-sonnet-20241022-v2:0", 1],
  ["OpenAI GPT OSS 120B", "openai.gpt-oss-120b-1:0", 2],
  ["Qwen3 32B V1", "qwen.qwen3-32b-v1:0", 2],
  ["Qwen3 Coder 480B A35B Instruct", "qwen.qwen3-coder-480b-a35b-v1:0", 1],
  ["DeepSeek R1 V1", "us.deepseek.r1-v1:0", 2],
  ["DeepSeek V3.2", "deepseek.v3.2", 2],
  ["Mistral Large 3 675B Instruct", "mistral.mistral-large-3-675b-instruct", 2],
  ["Mistral AI Ministral 3 8B", "mistral.ministral-3-8b-instruct", 1],
  [
    "Meta Llama 3.3 70B Instruct",
    "arn:aws:bedrock:us-east-1:1:inference-profile/us.meta.llama3-3-70b-instruct-v1:0",
    2,
  ],
];
test.each(belongTogether)("%s is %s", (displayName, modelId, expected) => {
  expect(likeness(displayName, modelId)).toBe(expected);
  expect(likeness(displayName.toUpperCase(), modelId)).toBe(expected);
});

test("no name matches another model of the list", () => {
  const wrong = belongTogether.flatMap(([name, own]) =>
    belongTogether.flatMap(([, other]) =>
      likeness(name, other) > 0 && bareId(own) !== bareId(other) ? [[name, other]] : [],
    ),
  );
  expect(wrong).toEqual([]);
});

test.each([
  ["Meta Llama 3.1 8B Instruct", "meta.llama3-1-70b-instruct-v1:0"],
  ["Meta Llama 3.2 1B Instruct", "meta.llama3-2-11b-instruct-v1:0"],
  ["Anthropic Claude Sonnet 4 V1", "anthropic.claude-sonnet-4-5-20250929-v1:0"],
  ["Anthropic Claude Opus 4", "anthropic.claude-opus-4-1-20250805-v1:0"],
  ["Anthropic Claude Sonnet 4.5 V1 1M Context Length", "anthropic.claude-sonnet-4-5-20250929-v1:0"],
  ["Anthropic Claude 3.5 Sonnet", "anthropic.claude-3-5-sonnet-20241022-v2:0"],
  ["Amazon Nova Lite", "amazon.nova-2-lite-v1:0"],
  ["OpenAI GPT OSS 20B", "openai.gpt-oss-120b-1:0"],
])("%s is not %s", (displayName, modelId) => {
  expect(likeness(displayName, modelId)).toBe(0);
});

test("which quotas calls of an ID use", () => {
  expect(scopesOf("amazon.nova-pro-v1:0")).toEqual(["on-demand"]);
  expect(scopesOf("us.amazon.nova-pro-v1:0")).toEqual(["cross-region"]);
  expect(scopesOf("global.amazon.nova-2-lite-v1:0")).toEqual(["global"]);
  expect(scopesOf("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123")[0]).toBe(
    "cross-region",
  );
});

test("any text is parsed without an error, in time that grows with its length", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 300 }), fc.string({ maxLength: 300 }), (name, id) => {
      parseQuotaName(name);
      likeness(name, id);
      scopesOf(id);
    }),
  );
});
