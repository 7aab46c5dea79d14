// Answers of HTTP 200 that are no answer, through the whole service: the job is tried again a bounded number of times and
// never completes empty. What does complete can be sent back in the next request.
import { afterAll, beforeAll, expect, test } from "vitest";
import * as bedrock from "../providers/fake-bedrock.ts";
import * as openai from "../providers/fake-openai.ts";
import { converse, type Json, startTwoProviders, type TwoProviders } from "../support/two-providers.ts";

let service: TwoProviders;
beforeAll(async () => {
  service = await startTwoProviders();
});
afterAll(() => service?.close());

const usage = { prompt_tokens: 7, completion_tokens: 3 };
const whole = (...choices: unknown[]) => openai.json(200, { choices, usage });
const called = (id: unknown, name: unknown) => ({
  tool_calls: [{ index: 0, id, type: "function", function: { name, arguments: "{}" } }],
});
const tools = [{ name: "f", input_schema: { type: "object" } }];

/** Runs a job that never gets an answer and checks that it fails after every try, each of which may be billed. */
async function expectMalformed(model: "open" | "whole" | "converse" | "stream"): Promise<void> {
  const job = await service.run(model, { tools });
  expect(job).toMatchObject({ status: "failed", text: null });
  expect(job.attempts.length).toBeGreaterThan(1);
  expect(job.attempts.length).toBeLessThan(10);
  for (const attempt of job.attempts) {
    expect(attempt).toMatchObject({ result: "transient", error: { code: "malformed_output" } });
    expect(attempt.usage.input_tokens).toBeGreaterThan(0);
  }
}

const long = (length: number) => "x".repeat(length);

test.each([
  ["a choice that is a number", whole(1)],
  ["a choice that is null", whole(null)],
  ["only a second choice", whole({ index: 1, message: { content: "hi" }, finish_reason: "stop" })],
  ["a choice without message and finish_reason", whole({ index: 0 })],
  ["a choice without message", whole({ index: 0, finish_reason: "stop" })],
  ["a message that is a text", whole({ index: 0, message: "hi", finish_reason: "stop" })],
  ["a tool call without a name", openai.completion(called("c", ""), "tool_calls", { usage })],
  ["a tool call that is a number", openai.completion({ tool_calls: [1] }, "tool_calls", { usage })],
  ["no tool call, though it says so", openai.completion({ content: "" }, "tool_calls", { usage })],
  ["an id of 16,385 characters", openai.completion(called(long(16_385), "f"), "tool_calls", { usage })],
  ["a name of 1,025 characters", openai.completion(called("c", long(1_025)), "tool_calls", { usage })],
])("an OpenAI-compatible server's answer with %s is malformed", async (_, answer) => {
  service.openAi.respond(answer);
  await expectMalformed("whole");
  await service.expectAlive("whole");
});

test.each([
  ["only a finish_reason", [{ choices: [{ index: 0, finish_reason: "stop" }] }]],
  ["a tool call without a name", [openai.chunk(called("c", "")), openai.stop("tool_calls")]],
  ["a tool call that is null", [openai.chunk({ tool_calls: [null] }), openai.stop("tool_calls")]],
])("a stream of an OpenAI-compatible server with %s is malformed", async (_, events) => {
  service.openAi.respond(openai.stream([...events, openai.usage, openai.done]));
  await expectMalformed("open");
  await service.expectAlive("open");
});

const used = { inputTokens: 7, outputTokens: 3 };
const use = (toolUseId: unknown, name: unknown) => [{ toolUse: { toolUseId, name, input: {} } }];

test.each([
  ["no message", bedrock.json(200, { output: {}, stopReason: "end_turn", usage: used })],
  ["content that is null", bedrock.json(200, { output: { message: {} }, stopReason: "end_turn", usage: used })],
  ["a tool call without a name", converse(used, use("c", ""), "tool_use")],
  ["no tool call, though it says so", converse(used, [], "tool_use")],
  ["an id of 16,385 characters", converse(used, use(long(16_385), "f"), "tool_use")],
  ["a name of 1,025 characters", converse(used, use("c", long(1_025)), "tool_use")],
])("Bedrock's answer with %s is malformed", async (_, answer) => {
  service.aws.respond(answer);
  await expectMalformed("converse");
  await service.expectAlive("converse");
});

test("ids of 16,384 and names of 1,024 characters are taken, and a message may be empty", async () => {
  service.openAi.respond(openai.completion(called(long(16_384), long(1_024)), "tool_calls", { usage }));
  expect(await service.run("whole", { tools })).toMatchObject({ status: "completed", tool_calls: [{}] });
  service.openAi.respond(openai.completion({ content: null }, "stop", { usage }));
  expect(await service.run("whole")).toMatchObject({ status: "completed", text: "" });
});

test("half of a surrogate pair becomes U+FFFD, so that the caller can send the answer back", async () => {
  const half = "\ud83d";
  const args = '{"a\\ud83d":"\\ude00\\ud83d\\ude00 \\\\ud83d"}';
  const answer = { content: `a${half}b😀`, ...called(`c${half}`, `f${half}`) };
  answer.tool_calls[0]!.function.arguments = args;
  service.openAi.respond(openai.completion(answer, "tool_calls", { usage }));
  const job: Json = await service.run("whole", { tools });
  expect(job).toMatchObject({ status: "completed", text: "a\ufffdb😀" });
  const [call] = job.tool_calls;
  expect(call).toMatchObject({ id: "c\ufffd", name: "f\ufffd" });
  const chat = await service.call("/v1/chat/completions", {
    model: "whole",
    messages: [{ role: "user", content: "hello" }],
    tools: [{ type: "function", function: { name: "f", parameters: { type: "object" } } }],
  });
  const { message } = chat.body.choices[0];
  expect(message.tool_calls[0].function.arguments).toBe('{"a\\ufffd":"\\ufffd\\ud83d\\ude00 \\\\ud83d"}');
  expect(message.content).toBe(job.text);
  service.openAi.respond(openai.completion({ content: "well" }, "stop", { usage }));
  const again = await service.call("/v1/chat/completions", {
    model: "whole",
    messages: [
      { role: "user", content: "hello" },
      message,
      { role: "tool", tool_call_id: message.tool_calls[0].id, content: "1" },
    ],
    tools: [{ type: "function", function: { name: "f", parameters: { type: "object" } } }],
  });
  expect(again).toMatchObject({ status: 200 });
});
