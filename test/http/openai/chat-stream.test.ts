// Chat completions as a stream: through OpenAI's own client, and byte by byte where it shows less than is sent.
import { connect } from "node:net";
import type OpenAI from "openai";
import type { ChatCompletionChunk, ChatCompletionCreateParamsStreaming } from "openai/resources";
import { expect, vi } from "vitest";
import type { JobEvent } from "../../../src/events/event-bus.ts";
import { test } from "../../support/fixtures.ts";
import type { ServerUnderTest } from "../server-under-test.ts";
import { leavingClientOf, urlOf } from "./client.ts";

let server: ServerUnderTest;
let url: string;
let client: OpenAI;
let accepted: string[];
test.beforeEach(async ({ startServer }) => {
  server = await startServer({}, { keepAliveMs: 50 });
  accepted = [];
  server.context.events.publishAccepted = (jobs) => accepted.push(...jobs.map((job) => job.id));
  url = await urlOf(server.app);
  client = leavingClientOf(url);
});

const within = { timeout: 15_000, interval: 5 };
const ask: ChatCompletionCreateParamsStreaming = {
  model: "llama3-3-70b",
  messages: [{ role: "user", content: "Why is the sky blue?" }],
  stream: true,
};

async function acceptedJob(): Promise<string> {
  await vi.waitFor(() => expect(accepted.length).toBeGreaterThan(0), within);
  return accepted.shift()!;
}

/** Tells of pieces of an attempt as a worker does, from the one with this index on. */
function say(jobId: string, pieces: readonly string[], attempt = 1, from = 0): void {
  for (const [i, text] of pieces.entries()) {
    server.context.events.publish({ type: "tokens", jobId, attempt, index: from + i, text });
  }
}

/** A stream under way, what came of it so far, and how it ended. */
function reading(fields: object = {}) {
  const chunks: ChatCompletionChunk[] = [];
  const controller = new AbortController();
  const end = (async () => {
    const stream = await client.chat.completions.create({ ...ask, ...fields }, { signal: controller.signal });
    for await (const chunk of stream) chunks.push(chunk);
  })().then(
    () => undefined,
    (error) => error as InstanceType<typeof OpenAI.APIError>,
  );
  const text = () => chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");
  return { chunks, text, end, abort: () => controller.abort() };
}

const post = (body: object) =>
  fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });

const stateOf = async (jobId: string) => (await server.context.store.get(jobId))?.state;

test("D13: the first chunk of calls alone has null for content, as OpenAI sends it", async () => {
  const stream = reading();
  const jobId = await acceptedJob();
  const toolCalls = [{ id: "c1", name: "look_up", arguments: '{"id": 2512292042121000001, "b": 1.0}' }];
  await server.context.end(jobId, { status: "completed", text: "", toolCalls, finishReason: "tool_calls" });
  expect(await stream.end).toBeUndefined();
  const deltas = stream.chunks.map(({ choices }) => choices[0]?.delta);
  expect(deltas[0]).toEqual({ role: "assistant", content: null, refusal: null });
  expect(deltas[1]?.tool_calls?.[0]?.function?.arguments).toBe(toolCalls[0]!.arguments);
});

test("text as it comes, calls of functions, why it ended, what was used", async () => {
  const stream = reading({ stream_options: { include_usage: true } });
  const jobId = await acceptedJob();
  say(jobId, ["Ray", "leigh"]);
  await vi.waitFor(() => expect(stream.text()).toBe("Rayleigh"), within);
  await server.context.begin(jobId);
  await server.context.end(jobId, {
    status: "completed",
    text: "Rayleigh.",
    toolCalls: [{ id: "c1", name: "look_up", arguments: '{"key":1}' }],
    finishReason: "tool_calls",
    usage: { input: 7, output: 2 },
    model: "llama3-3-70b",
    attempt: 1,
  });
  expect(await stream.end).toBeUndefined();
  expect(stream.text()).toBe("Rayleigh.");
  const [first, ...rest] = stream.chunks;
  expect(first).toEqual({
    id: `chatcmpl-${jobId.replaceAll("-", "")}`,
    object: "chat.completion.chunk",
    created: expect.any(Number),
    model: "llama3-3-70b",
    system_fingerprint: null,
    choices: [
      { index: 0, delta: { role: "assistant", content: "", refusal: null }, logprobs: null, finish_reason: null },
    ],
    usage: null,
  });
  for (const chunk of rest)
    expect({ ...first, choices: [], usage: null }).toEqual({ ...chunk, choices: [], usage: null });
  const call = { index: 0, id: "c1", type: "function", function: { name: "look_up", arguments: '{"key":1}' } };
  expect(rest.slice(-3).map(({ choices }) => choices[0])).toEqual([
    { index: 0, delta: { tool_calls: [call] }, logprobs: null, finish_reason: null },
    { index: 0, delta: {}, logprobs: null, finish_reason: "tool_calls" },
    undefined,
  ]);
  expect(rest.at(-1)?.usage).toMatchObject({ prompt_tokens: 7, completion_tokens: 2, total_tokens: 9 });
});

test("on the wire: headers, comments while nothing comes, one chunk an event, [DONE]", async () => {
  const response = await post(ask);
  const jobId = await acceptedJob();
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
  expect(response.headers.get("x-sluice-job-id")).toBe(jobId);
  expect(response.headers.get("x-request-id")).toMatch(/^[0-9a-f]{8}-/);
  await server.context.end(jobId, { status: "completed", text: "line\nline", finishReason: "stop" });
  const text = await response.text();
  expect(text).toMatch(/^: keep-alive\n\n(: .*\n\n)*data: \{/);
  const events = text.split("\n\n").filter((event) => event !== "" && !event.startsWith(":"));
  expect(events.at(-1)).toBe("data: [DONE]");
  const chunks = events.slice(0, -1).map((event) => JSON.parse(event.replace(/^data: /, "")));
  expect(chunks.map(({ choices }) => choices[0].delta)).toEqual([
    { role: "assistant", content: "", refusal: null },
    { content: "line\nline" },
    {},
  ]);
  expect(chunks[0]).not.toHaveProperty("usage");
});

test("a failure before the first event has its status; after it, it is the last event", async ({ startServer }) => {
  server = await startServer();
  server.context.events.publishAccepted = (jobs) => accepted.push(...jobs.map((job) => job.id));
  url = await urlOf(server.app);
  client = leavingClientOf(url);
  const failed = { status: "failed", error: { code: "provider_rejected", message: "No." } } as const;
  const early = reading();
  await server.context.end(await acceptedJob(), failed);
  expect(await early.end).toMatchObject({ status: 400, code: "provider_rejected" });

  const late = reading();
  const jobId = await acceptedJob();
  say(jobId, ["Ray"]);
  await vi.waitFor(() => expect(late.text()).toBe("Ray"), within);
  await server.context.end(jobId, failed);
  expect(await late.end).toMatchObject({ status: undefined, code: "provider_rejected", message: "No." });
});

test("a retry after the first token ends the stream with an error, and the job", async () => {
  const stream = reading();
  const jobId = await acceptedJob();
  say(jobId, ["Ray"]);
  await vi.waitFor(() => expect(stream.text()).toBe("Ray"), within);
  server.context.events.publish({ type: "restart", jobId, attempt: 2 });
  say(jobId, ["Another"], 2);
  expect(await stream.end).toMatchObject({ code: "stream_interrupted" });
  expect(stream.text()).toBe("Ray");
  await vi.waitFor(async () => expect(await stateOf(jobId)).toBe("cancelled"), within);
});

test("a retry before the first token goes unnoticed", async () => {
  const stream = reading();
  const jobId = await acceptedJob();
  server.context.events.publish({ type: "restart", jobId, attempt: 2 });
  say(jobId, ["Ray"], 2);
  await vi.waitFor(() => expect(stream.text()).toBe("Ray"), within);
  await server.context.end(jobId, { status: "completed", text: "Rayleigh", attempt: 2 });
  expect(await stream.end).toBeUndefined();
  expect(stream.text()).toBe("Rayleigh");
});

test("what was missed comes from the record", async () => {
  const stream = reading();
  const jobId = await acceptedJob();
  say(jobId, ["Ray"]);
  say(jobId, ["gh"], 1, 2);
  await vi.waitFor(() => expect(stream.text()).toBe("Ray"), within);
  await server.context.end(jobId, { status: "completed", text: "Rayleigh", attempt: 1 });
  expect(await stream.end).toBeUndefined();
  expect(stream.text()).toBe("Rayleigh");
});

test("no piece is missed, however early it comes", async () => {
  const { store } = server.context;
  const insert = store.insertMany;
  store.insertMany = async (jobs) => {
    const answers = await insert(jobs);
    say(jobs[0]!.id, ["first ", "second"]);
    return answers;
  };
  const stream = reading();
  await acceptedJob();
  await vi.waitFor(() => expect(stream.text()).toBe("first second"), within);
});

test("a disconnect cancels the job and ends its subscription", async () => {
  const left = vi.fn();
  const { events } = server.context;
  const { subscribe } = events;
  events.subscribe = (...args) => {
    const unsubscribe = subscribe(...args);
    return () => {
      left();
      unsubscribe();
    };
  };
  const stream = reading();
  const jobId = await acceptedJob();
  say(jobId, ["Ray"]);
  await vi.waitFor(() => expect(stream.text()).toBe("Ray"), within);
  stream.abort();
  await vi.waitFor(async () => expect(await stateOf(jobId)).toBe("cancelled"), within);
  await vi.waitFor(() => expect(left).toHaveBeenCalled(), within);
  expect(server.context.events.hasListeners(jobId)).toBe(false);
});

test("who does not read is let go, and the job is cancelled", async () => {
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  socket.pause();
  const body = JSON.stringify(ask);
  socket.write(
    `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  const jobId = await acceptedJob();
  const piece = "x".repeat(64 * 1024);
  // Until the stream is closed, which ends the subscription.
  let index = 0;
  await vi.waitFor(() => {
    for (let i = 0; i < 100; i++) say(jobId, [piece], 1, index++);
    expect(server.context.events.hasListeners(jobId)).toBe(false);
  }, within);
  expect(index * piece.length).toBeLessThan(200_000_000);
  await vi.waitFor(async () => expect(await stateOf(jobId)).toBe("cancelled"), within);
  const received: Buffer[] = [];
  socket.on("data", (data: Buffer) => received.push(data));
  socket.resume();
  await vi.waitFor(() => expect(Buffer.concat(received).toString()).toContain("stream_interrupted"), within);
  socket.destroy();
});

test("a server that stops ends the stream with an error, and the job", async () => {
  const stream = reading();
  const jobId = await acceptedJob();
  say(jobId, ["Ray"]);
  await vi.waitFor(() => expect(stream.text()).toBe("Ray"), within);
  await server.app.close();
  expect(await stream.end).toMatchObject({ code: "unavailable" });
  expect(await stateOf(jobId)).toBe("cancelled");
});

test("a store that fails in the middle ends the stream with an error", async () => {
  const stream = reading();
  const jobId = await acceptedJob();
  say(jobId, ["Ray"]);
  await vi.waitFor(() => expect(stream.text()).toBe("Ray"), within);
  server.context.store.get = () => Promise.reject(new Error("secret path"));
  const ended: JobEvent = { type: "state", jobId, environment: "UAT", state: "completed", at: 0 };
  server.context.events.publish(ended);
  expect(await stream.end).toMatchObject({ code: "internal", message: "The service failed to process the request." });
});
