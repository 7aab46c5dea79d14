// What a native request reserves for its answer, by operation and family.
import { expect, test } from "vitest";
import { nativeOutput } from "../../../src/jobs/submit/native-output.ts";

const claude = "anthropic.claude-sonnet-4-5-20250929-v1:0";
const maximum = 64_000;

test.each<["converse" | "invoke", string, object, number]>([
  ["converse", claude, { inferenceConfig: { maxTokens: 300 } }, 300],
  ["converse", claude, { inferenceConfig: {} }, maximum],
  ["converse", claude, {}, maximum],
  // What InvokeModel reads is no limit in Converse, and the other way round.
  ["converse", claude, { max_tokens: 300 }, maximum],
  ["invoke", claude, { inferenceConfig: { maxTokens: 300 } }, maximum],
  ["invoke", claude, { max_tokens: 300 }, 300],
  ["invoke", "anthropic.claude-v2:1", { max_tokens_to_sample: 300 }, 300],
  ["invoke", "meta.llama3-3-70b-instruct-v1:0", { max_gen_len: 300 }, 300],
  ["invoke", "meta.llama3-3-70b-instruct-v1:0", { max_tokens: 300 }, maximum],
  ["invoke", "amazon.nova-lite-v1:0", { inferenceConfig: { max_new_tokens: 300 } }, 300],
  ["invoke", "amazon.nova-2-lite-v1:0", { inferenceConfig: { maxTokens: 300 } }, 300],
  ["invoke", "amazon.titan-text-premier-v1:0", { textGenerationConfig: { maxTokenCount: 300 } }, 300],
  ["invoke", "mistral.mistral-large-3-675b-instruct", { max_tokens: 300 }, 300],
  ["invoke", "openai.gpt-oss-120b-1:0", { max_completion_tokens: 300 }, 300],
  ["invoke", "openai.gpt-oss-120b-1:0", { max_completion_tokens: 300, max_tokens: 200 }, 300],
  ["invoke", "cohere.command-r-v1:0", { max_tokens: 300 }, 300],
  ["invoke", "ai21.jamba-1-5-large-v1:0", { max_tokens: 300, n: 3 }, 900],
  // Thinking between tool calls may exceed the limit.
  ["invoke", claude, { max_tokens: 300, thinking: { type: "enabled", budget_tokens: 2_000 } }, 2_000],
  ["invoke", claude, { max_tokens: 3_000, thinking: { type: "enabled", budget_tokens: 2_000 } }, 3_000],
  [
    "converse",
    claude,
    { inferenceConfig: { maxTokens: 300 }, additionalModelRequestFields: { thinking: { budget_tokens: 2_000 } } },
    2_000,
  ],
  // Nothing is read into values that Bedrock refuses.
  ["invoke", claude, { max_tokens: "300" }, maximum],
  ["invoke", claude, { max_tokens: 0 }, maximum],
  ["invoke", claude, { max_tokens: -5 }, maximum],
  ["invoke", claude, { max_tokens: 299.5 }, 300],
  ["invoke", "amazon.nova-lite-v1:0", { inferenceConfig: [300] }, maximum],
  ["invoke", "amazon.titan-embed-text-v2:0", { inputText: "a" }, 0],
  ["invoke", "cohere.embed-english-v3", { texts: ["a"] }, 0],
  ["invoke", "cohere.rerank-v3-5:0", { query: "a" }, 0],
])("%s of %s with %j", (operation, model, body, expected) => {
  expect(nativeOutput(operation, body, model, maximum)).toBe(expected);
});
