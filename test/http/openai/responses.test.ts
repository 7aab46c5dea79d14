// /v1/responses as OpenAI's own client sees it; the test plays the worker.

import OpenAI from "openai";
import type { Response, ResponseStreamEvent } from "openai/resources/responses/responses";
import { describe, expect, vi } from "vitest";
import { canonicalPart } from "../../../src/domain/request.ts";
import { responseOf } from "../../../src/wire/openai/responses-response.ts";
import { closeSockets, test } from "../../support/fixtures.ts";
import type { ServerUnderTest } from "../server-under-test.ts";
import { clientOf, urlOf } from "./client.ts";

// Checked by the compiler: it is what OpenAI's types say, but for what the client adds.
responseOf satisfies (record: never) => Omit<Response, "output_text" | "reasoning">;

let server: ServerUnderTest;
let client: OpenAI;
let accepted: string[];
test.beforeAll(async ({ shareServer }) => {
  server = await shareServer();
  server.context.events.publishAccepted = (jobs) => accepted.push(...jobs.map((job) => job.id));
  client = clientOf(await urlOf(server.app));
});
test.afterAll(() => closeSockets(server));
test.beforeEach(() => {
  accepted = [];
});

const within = { timeout: 15_000, interval: 5 };
const ask = { model: "llama3-3-70b", input: "Why is the sky blue?" };

async function acceptedJob(): Promise<string> {
  await vi.waitFor(() => expect(accepted.length).toBeGreaterThan(0), within);
  return accepted.shift()!;
}

const done = {
  status: "completed",
  text: "Rayleigh.",
  finishReason: "stop",
  usage: { input: 7, output: 2, cacheRead: 3 },
} as const;

test("in the background: queued, in progress, completed", async () => {
  const queued = await client.responses.create({
    ...ask,
    instructions: "Be brief.",
    background: true,
    metadata: { a: "b" },
  });
  const jobId = await acceptedJob();
  expect((await server.context.store.get(jobId))!.job).toMatchObject({ priority: "standard" });
  expect(queued).toMatchObject({
    id: `resp_${jobId.replaceAll("-", "")}`,
    object: "response",
    status: "queued",
    background: true,
    output: [],
    output_text: "",
    error: null,
    instructions: "Be brief.",
    metadata: { a: "b" },
    model: "llama3-3-70b",
    max_output_tokens: 512,
    tool_choice: "auto",
    tools: [],
    text: { format: { type: "text" } },
  });
  await server.context.begin(jobId);
  await server.context.scheduler.remove([jobId]);
  expect((await client.responses.retrieve(queued.id)).status).toBe("in_progress");
  await server.context.end(jobId, done);
  const completed = await client.responses.retrieve(queued.id);
  expect(completed).toMatchObject({
    status: "completed",
    output_text: "Rayleigh.",
    output: [
      {
        id: `msg_${jobId.replaceAll("-", "")}`,
        type: "message",
        role: "assistant",
        status: "completed",
        content: [{ type: "output_text", text: "Rayleigh.", annotations: [] }],
      },
    ],
    usage: { input_tokens: 10, output_tokens: 2, total_tokens: 12, input_tokens_details: { cached_tokens: 3 } },
  });
  await expect(client.responses.cancel(queued.id)).rejects.toBeInstanceOf(OpenAI.ConflictError);
});

test("with the caller on the line; functions and their results", async () => {
  const tools = [
    { type: "function" as const, name: "look_up", parameters: { type: "object" }, strict: true, description: null },
  ];
  const answer = client.responses.create({
    ...ask,
    model: "nova-lite",
    tools,
    tool_choice: { type: "function", name: "look_up" },
  });
  const toolCalls = [{ id: "c1", name: "look_up", arguments: '{"key":1}' }];
  await server.context.end(await acceptedJob(), { status: "completed", toolCalls, finishReason: "tool_calls" });
  const first = await answer;
  expect(first.output).toEqual([
    { id: "fc_c1", type: "function_call", call_id: "c1", name: "look_up", arguments: '{"key":1}', status: "completed" },
  ]);
  expect(first.tool_choice).toEqual({ type: "function", name: "look_up" });

  // What came out goes in again, as OpenAI's examples do it.
  const next = client.responses.create({
    model: "nova-lite",
    tools,
    input: [
      { role: "user", content: "Why?" },
      ...first.output.map((item) => item as OpenAI.Responses.ResponseFunctionToolCall),
      { type: "function_call_output", call_id: "c1", output: "42" },
      { role: "user", content: [{ type: "input_text", text: "So?" }] },
    ],
  });
  const jobId = await acceptedJob();
  await server.context.end(jobId, done);
  expect((await next).output_text).toBe("Rayleigh.");
  expect(canonicalPart((await server.context.store.get(jobId))!.job.request).messages).toEqual([
    { role: "user", content: [{ type: "text", text: "Why?" }] },
    { role: "assistant", content: [{ type: "tool_call", id: "c1", name: "look_up", arguments: '{"key":1}' }] },
    { role: "user", content: [{ type: "tool_result", callId: "c1", text: "42" }] },
    { role: "user", content: [{ type: "text", text: "So?" }] },
  ]);
});

test("a schema goes in and comes back", async ({ startServer }) => {
  const modelId = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
  const models = { claude: { deployments: [{ region: "us-east-1", modelId }] } };
  const another = await startServer({ models, defaultModel: "claude" });
  const format = { type: "json_schema" as const, name: "answer", schema: { type: "object" }, strict: true };
  const responses = clientOf(await urlOf(another.app)).responses;
  expect((await responses.create({ ...ask, model: "claude", text: { format }, background: true })).text).toEqual({
    format,
  });
});

test("as a stream", async () => {
  const events: ResponseStreamEvent[] = [];
  const reading = (async () => {
    for await (const event of await client.responses.create({ ...ask, stream: true })) events.push(event);
  })();
  const jobId = await acceptedJob();
  for (const [index, text] of ["Ray", "leigh."].entries()) {
    server.context.events.publish({ type: "tokens", jobId, attempt: 1, index, text });
  }
  const toolCalls = [{ id: "c1", name: "f", arguments: "{}" }];
  await server.context.end(jobId, { ...done, attempt: 1, toolCalls });
  await reading;
  // Those of text say how much of it there was: see responses-events.ts.
  expect(events.map((event) => event.sequence_number)).toEqual([0, 1, 2, 3, 6, 12, 13, 14, 15, 16, 17, 18, 19, 20]);
  expect(events.map((event) => event.type)).toEqual([
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.output_item.added",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.output_item.done",
    "response.completed",
  ]);
  expect(events.at(-1)).toMatchObject({ response: { status: "completed", output: [{}, { type: "function_call" }] } });
});

test("a stream that breaks off ends as failed", async () => {
  const events: ResponseStreamEvent[] = [];
  const reading = (async () => {
    for await (const event of await client.responses.create({ ...ask, stream: true })) events.push(event);
  })();
  const jobId = await acceptedJob();
  server.context.events.publish({ type: "tokens", jobId, attempt: 1, index: 0, text: "Ray" });
  server.context.events.publish({ type: "restart", jobId, attempt: 2 });
  await reading;
  expect(events.at(-1)).toMatchObject({ type: "response.failed", response: { status: "failed", error: {} } });
});

describe("how jobs end", () => {
  test.each([
    [
      { ...done, finishReason: "length" },
      { status: "incomplete", incomplete_details: { reason: "max_output_tokens" } },
    ],
    [
      { status: "failed", error: { code: "provider_rejected", message: "No." } },
      { status: "failed", error: { code: "invalid_prompt", message: "provider_rejected: No." } },
    ],
    [
      { status: "expired", error: { code: "expired", message: "Late." } },
      { status: "failed", error: { code: "server_error", message: "expired: Late." } },
    ],
    [{ status: "cancelled" }, { status: "cancelled", output: [] }],
  ] as const)("%j", async (outcome, expected) => {
    const { id } = await client.responses.create({ ...ask, background: true });
    await server.context.end(await acceptedJob(), outcome);
    expect(await client.responses.retrieve(id)).toMatchObject(expected);
  });
});

test("cancelled, and deleted with what was asked and answered", async () => {
  const { id } = await client.responses.create({ ...ask, background: true });
  expect((await client.responses.cancel(id)).status).toBe("cancelled");
  expect((await client.responses.cancel(id)).status).toBe("cancelled");
  const jobId = await acceptedJob();
  await client.responses.delete(id);
  await expect(client.responses.retrieve(id)).rejects.toBeInstanceOf(OpenAI.NotFoundError);
  expect(canonicalPart((await server.context.store.get(jobId))!.job.request).messages).toEqual([]);

  const running = await client.responses.create({ ...ask, background: true });
  await client.responses.delete(running.id);
  expect((await server.context.store.get(await acceptedJob()))!.state).toBe("cancelled");
});

test("what is not there is not found", async () => {
  for (const id of ["x", "resp_1", `resp_${"0".repeat(32)}`, "resp_01a207b1d804714a9b280f7074ddb0e8"]) {
    await expect(client.responses.retrieve(id)).rejects.toMatchObject({ status: 404, code: "not_found" });
  }
});

const bad: [name: string, body: unknown, param: string | null][] = [
  ["no input", {}, "input"],
  ["input of a wrong type", { input: 5 }, "input"],
  ["empty input", { input: [] }, "input"],
  ["blank input", { input: " " }, "input"],
  ["an item that is none", { input: [5] }, "input[0]"],
  ["an item of an unknown type", { input: [{ type: "item_reference", id: "x" }] }, "input[0].type"],
  ["a role", { input: [{ role: "tool", content: "x" }] }, "input[0].role"],
  ["no content", { input: [{ role: "user" }] }, "input[0].content"],
  ["audio", { input: [{ role: "user", content: [{ type: "input_audio" }] }] }, "input[0].content[0].type"],
  ["no image", { input: [{ role: "user", content: [{ type: "input_image" }] }] }, "input[0].content[0].image_url"],
  ["a result of nothing", { input: [{ type: "function_call_output", call_id: "x", output: "1" }] }, "input[0]"],
  ["a call without result", { input: [{ type: "function_call", call_id: "x", name: "f", arguments: "{}" }] }, "input"],
  ["arguments", { input: [{ type: "function_call", call_id: "x", name: "f", arguments: {} }] }, "input[0].arguments"],
  ["previous_response_id", { ...ask, previous_response_id: "resp_1" }, "previous_response_id"],
  ["conversation", { ...ask, conversation: "c" }, "conversation"],
  ["background and not stored", { ...ask, background: true, store: false }, "store"],
  ["a tool of OpenAI's", { ...ask, tools: [{ type: "web_search" }] }, "tools[0].type"],
  ["tool_choice", { ...ask, tool_choice: { type: "function", name: "f" } }, "tool_choice"],
  ["text.format", { ...ask, text: { format: { type: "grammar" } } }, "text.format"],
  ["text.format.schema", { ...ask, text: { format: { type: "json_schema", name: "x" } } }, "text.format.schema"],
  ["max_output_tokens", { ...ask, max_output_tokens: 2049 }, "max_output_tokens"],
  ["truncation", { ...ask, truncation: "auto" }, "truncation"],
  ["reasoning", { ...ask, reasoning: { effort: "extreme" } }, "reasoning.effort"],
];

test("D7: only a developer's message is what the user asks, beside the instructions", async () => {
  const input = [{ role: "developer", content: "Say hi." }];
  const response = await server.post("/v1/responses", { input, instructions: "Be kind.", background: true });
  expect(response.status, response.text).toBe(200);
  const { job } = (await server.context.store.get(response.headers["x-sluice-job-id"] as string))!;
  expect(job.request).toMatchObject({
    messages: [{ role: "user", content: [{ type: "text", text: "Say hi." }] }],
    system: "Be kind.",
  });
  accepted.length = 0;
});

test("D8: a response says whether the model may ask for several calls at once", async () => {
  const tools = [{ type: "function", name: "f" }];
  for (const parallel_tool_calls of [false, true]) {
    const body = { ...ask, tools, background: true, parallel_tool_calls };
    expect((await server.post("/v1/responses", body)).body).toMatchObject({ parallel_tool_calls });
  }
  accepted.length = 0;
});

test.each(bad)("refused: %s", async (_name, body, param) => {
  const { status, body: answer } = await server.post("/v1/responses", body);
  expect([status, answer.error.param], answer.error.message).toEqual([400, param]);
  expect(accepted).toEqual([]);
});
