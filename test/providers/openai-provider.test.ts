// The OpenAI-compatible provider over a real socket: what it sends, what counts as an answer, and what happens when the
// stream or the connection misbehaves. Refusals are in openai-errors.test.ts.
import { once } from "node:events";
import { createServer } from "node:net";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { CanonicalRequest } from "../../src/domain/request.ts";
import type { OpenAiOptions } from "../../src/providers/openai/openai-provider.ts";
import type { Provider, ProviderFailure } from "../../src/providers/provider.ts";
import { ask, failureOf } from "./fake-bedrock.ts";
import {
  bytes,
  chunk,
  completion,
  done,
  event,
  type FakeOpenAi,
  json,
  openAiFor,
  plain,
  refusal,
  startFakeOpenAi,
  stop,
  stream,
  text,
  usage,
  wholeAnswer,
} from "./fake-openai.ts";

let fake: FakeOpenAi;
let opened: Provider[];
beforeEach(async () => {
  fake = await startFakeOpenAi();
  opened = [];
});
afterEach(async () => {
  for (const provider of opened) await provider.close();
  await fake.close();
});

function open(options: Partial<OpenAiOptions> = {}, url = fake.url): Provider {
  const provider = openAiFor(url, options);
  opened.push(provider);
  return provider;
}

const timeouts = { connectMs: 20_000, firstByteMs: 20_000, idleMs: 20_000, totalMs: 20_000 };
const brief = 50;
const unknownEnd: Partial<ProviderFailure> = { kind: "transient", code: "unknown_end", maybeBilled: true };

const full: CanonicalRequest = {
  messages: [
    { role: "user", content: [{ type: "text", text: "What time" }] },
    { role: "user", content: [{ type: "text", text: " " }] },
    { role: "user", content: [{ type: "text", text: " is it?" }] },
    {
      role: "assistant",
      content: [
        { type: "text", text: "Let me see" },
        { type: "tool_call", id: "c1", name: "clock", arguments: '{"zone":"UTC"}' },
      ],
    },
    {
      role: "user",
      content: [
        { type: "text", text: "Well?" },
        { type: "tool_result", callId: "c1", text: "" },
        { type: "tool_result", callId: "c2", text: "broken", isError: true },
        { type: "cache_point", cache: {} },
      ],
    },
  ],
  system: "Be brief",
  systemCachePoint: {},
  tools: [{ name: "clock", description: "Tells the time", inputSchema: { type: "object" } }],
  toolChoice: { name: "clock" },
  responseFormat: { type: "json_schema", name: "time", schema: { type: "object" }, strict: true },
  serviceTier: "flex",
  parameters: {
    maxTokens: 64,
    temperature: 0,
    topP: 0.5,
    topK: 40,
    stop: ["END"],
    seed: 7,
    frequencyPenalty: 0,
    presencePenalty: -1,
    reasoningEffort: "low",
  },
};

describe("what is sent", () => {
  const sent = {
    model: "llama3.3",
    messages: [
      { role: "system", content: "Be brief" },
      { role: "user", content: "What time" },
      { role: "user", content: " " },
      { role: "user", content: " is it?" },
      {
        role: "assistant",
        content: "Let me see",
        tool_calls: [{ id: "c1", type: "function", function: { name: "clock", arguments: '{"zone":"UTC"}' } }],
      },
      { role: "tool", tool_call_id: "c1", content: "" },
      { role: "tool", tool_call_id: "c2", content: "broken" },
      { role: "user", content: "Well?" },
    ],
    max_tokens: 64,
    temperature: 0,
    top_p: 0.5,
    top_k: 40,
    stop: ["END"],
    seed: 7,
    frequency_penalty: 0,
    presence_penalty: -1,
    reasoning_effort: "low",
    tools: [
      {
        type: "function",
        function: { name: "clock", description: "Tells the time", parameters: { type: "object" } },
      },
    ],
    tool_choice: { type: "function", function: { name: "clock" } },
    response_format: { type: "json_schema", json_schema: { name: "time", schema: { type: "object" }, strict: true } },
    service_tier: "flex",
  };

  test("D2, D8, D9: efforts and preferences reach the server, unless the catalogue says that it refuses the preference", async () => {
    const request = { ...full, parallelToolCalls: false, parameters: { ...full.parameters, reasoningEffort: "xhigh" } };
    const seen = { reasoning_effort: "xhigh", parallel_tool_calls: false, seed: 7 };
    fake.respond(stream(wholeAnswer));
    await ask(open(), { request });
    expect(fake.requests.at(-1)!.body).toMatchObject(seen);
    fake.respond(stream(wholeAnswer));
    await ask(open({ traits: { refuses: ["seed", "parallel_tool_calls"] } }), { request });
    expect(fake.requests.at(-1)!.body).not.toHaveProperty("seed");
    expect(fake.requests.at(-1)!.body).not.toHaveProperty("parallel_tool_calls");
    fake.respond(stream(wholeAnswer));
    await ask(open(), { request: { ...request, tools: [] } });
    expect(fake.requests.at(-1)!.body).not.toHaveProperty("parallel_tool_calls");
  });

  test("a stream is requested, with usage at its end", async () => {
    fake.respond(stream(wholeAnswer));
    await ask(open(), { request: full });
    expect(fake.requests).toMatchObject([{ path: "/v1/chat/completions" }]);
    expect(fake.requests[0]?.body).toEqual({ ...sent, stream: true, stream_options: { include_usage: true } });
    expect(fake.requests[0]?.headers).toMatchObject({ authorization: "Bearer test-key-in-no-message" });
  });

  test("the trace of the call is continued", async () => {
    fake.respond(stream(wholeAnswer));
    const trace = { traceparent: `00-${"a".repeat(32)}-${"b".repeat(16)}-01`, tracestate: "c=d" };
    await ask(open(), { request: full, trace });
    expect(fake.requests[0]?.headers).toMatchObject(trace);
    await ask(open(), { request: full });
    expect(fake.requests[1]?.headers).not.toHaveProperty("traceparent");
  });

  test("an unstreamed answer is requested if the server cannot stream", async () => {
    fake.respond(completion({ content: "x" }));
    await ask(open({ streaming: false }), { request: full });
    expect(fake.requests[0]?.body).toEqual(sent);
  });

  test("absent parameters are not sent, except the limit of output tokens", async () => {
    fake.respond(completion({ content: "x" }));
    await ask(open({ streaming: false, apiKey: undefined, maxTokensField: "max_completion_tokens" }, `${fake.url}/`));
    expect(fake.requests[0]).toMatchObject({ path: "/v1/chat/completions" });
    expect(fake.requests[0]?.headers).not.toHaveProperty("authorization");
    expect(fake.requests[0]?.body).toEqual({
      model: "llama3.3",
      messages: [{ role: "user", content: "Hello?" }],
      max_completion_tokens: 100,
    });
  });

  test.each(["auto", "required", "none"] as const)("tool choice %s", async (toolChoice) => {
    fake.respond(stream(wholeAnswer));
    await ask(open(), { request: { ...full, toolChoice } });
    expect(fake.requests[0]?.body).toMatchObject({ tool_choice: toolChoice });
  });

  test("JSON without a schema, and a message of tool calls only", async () => {
    fake.respond(stream(wholeAnswer));
    const messages: CanonicalRequest["messages"] = [
      { role: "user", content: [{ type: "text", text: "Go" }] },
      { role: "assistant", content: [{ type: "tool_call", id: "c1", name: "go", arguments: "{}" }] },
      { role: "user", content: [{ type: "tool_result", callId: "c1", text: "gone" }] },
    ];
    await ask(open(), { request: { ...full, messages, responseFormat: { type: "json_object" } } });
    expect(fake.requests[0]?.body).toMatchObject({
      response_format: { type: "json_object" },
      messages: [{ role: "system" }, { role: "user" }, { role: "assistant", content: null }, { role: "tool" }],
    });
  });

  test("nothing, if the job requires a guardrail, which would silently not be applied", async () => {
    const request = { ...full, guardrail: { id: "g", version: "1" } };
    expect(await failureOf(ask(open(), { request }))).toMatchObject({ kind: "permanent", code: "provider_rejected" });
    expect(fake.requests).toEqual([]);
  });
});

describe("answers", () => {
  test("a stream: text as it arrives, usage, request id, time to the first token", async () => {
    fake.respond(stream(wholeAnswer));
    const pieces: string[] = [];
    let now = 100;
    const clock = { now: () => now++, wall: () => 0 };
    const answer = await ask(open({ clock }), { onText: (piece) => pieces.push(piece) });
    expect(answer).toEqual({
      text: "Hello",
      toolCalls: [],
      finishReason: "stop",
      usage: { input: 7, output: 3 },
      requestId: "r-1",
      firstTokenMs: 1,
    });
    expect(pieces).toEqual(["Hel", "lo"]);
  });

  test("unstreamed, with a tool call and cached tokens", async () => {
    const message = {
      role: "assistant",
      content: "Hello!",
      refusal: null,
      tool_calls: [{ id: "c1", type: "function", function: { name: "clock", arguments: '{"zone":"UTC"}' } }],
    };
    const used = { prompt_tokens: 7, completion_tokens: 3, prompt_tokens_details: { cached_tokens: 4 } };
    fake.respond(completion(message, "tool_calls", { usage: used, service_tier: "flex" }));
    expect(await ask(open({ streaming: false }))).toEqual({
      text: "Hello!",
      toolCalls: [{ id: "c1", name: "clock", arguments: '{"zone":"UTC"}' }],
      finishReason: "tool_calls",
      usage: { input: 3, output: 3, cacheRead: 4 },
      // Limits count cached tokens.
      quotaUsage: { input: 7, output: 3 },
      serviceTier: "flex",
      requestId: "chatcmpl-1",
    });
  });

  test("an unstreamed answer without a finish reason is complete", async () => {
    fake.respond(completion({ content: "Hello" }, null));
    expect(await ask(open({ streaming: false }))).toMatchObject({ text: "Hello", finishReason: "stop" });
  });

  test("an unstreamed answer although a stream was requested", async () => {
    fake.respond(completion({ content: "Hello" }));
    expect(await ask(open())).toMatchObject({ text: "Hello", finishReason: "stop" });
  });

  test.each([
    ["stop", "stop"],
    ["length", "length"],
    ["function_call", "stop"],
    ["something_new", "stop"],
  ])("finish reason %s ends as %s", async (reason, finishReason) => {
    fake.respond(stream([text("x"), stop(reason), usage, done]));
    expect(await ask(open())).toMatchObject({ text: "x", finishReason });
  });

  test.each([
    ["content_filter", "permanent", "content_filtered"],
    ["error", "transient", "unknown_end"],
    ["abort", "transient", "unknown_end"],
  ])("finish reason %s is a %s failure that was billed", async (reason, kind, code) => {
    fake.respond(stream([text("x"), stop(reason), usage, done]));
    const failure = await failureOf(ask(open()));
    expect(failure).toMatchObject({ kind, code, maybeBilled: true, usage: { input: 7, output: 3 }, requestId: "r-1" });
  });

  test("a refusal is no answer", async () => {
    fake.respond(stream([chunk({ refusal: "I can't " }), chunk({ refusal: "help." }), stop(), usage, done]));
    expect(await failureOf(ask(open()))).toMatchObject({
      kind: "permanent",
      code: "content_filtered",
      message: "The model refused: I can't help.",
      usage: { input: 7, output: 3 },
    });
  });

  test("thoughts are not text, but they are the first token", async () => {
    fake.respond(stream([chunk({ reasoning_content: "hm" }), chunk({ reasoning: "hm" }), text("x"), stop(), done]));
    const answer = await ask(open());
    expect(answer).toMatchObject({ text: "x", firstTokenMs: expect.any(Number) });
    expect(answer.usage).toBeUndefined();
  });

  test("A2: reports everything that the model generates as it arrives: thoughts, text and arguments", async () => {
    const call = { index: 0, id: "c1", function: { name: "clock", arguments: '{"zone":' } };
    const more = { index: 0, function: { arguments: '"UTC"}' } };
    fake.respond(
      stream([
        chunk({ reasoning_content: "hm" }),
        text("x"),
        chunk({ tool_calls: [call] }),
        chunk({ tool_calls: [more] }),
        stop(),
        done,
      ]),
    );
    const pieces: string[] = [];
    await ask(open(), { onOutput: (piece) => void pieces.push(piece) });
    expect(pieces).toEqual(["hm", "x", '{"zone":', '"UTC"}']);
  });

  test("a text in parts", async () => {
    const content = [
      { type: "thinking", thinking: [] },
      { type: "text", text: "a" },
      { type: "text", text: "b" },
    ];
    fake.respond(completion({ content }));
    expect(await ask(open())).toMatchObject({ text: "ab" });
  });

  test("the connection is used again", async () => {
    fake.respond(stream(wholeAnswer));
    const provider = open();
    for (let i = 0; i < 3; i++) await ask(provider);
    expect(new Set(fake.requests.map((r) => r.port)).size).toBe(1);
  });
});

describe("tool calls in a stream", () => {
  const call = (piece: Record<string, unknown>) => chunk({ tool_calls: [piece] });
  const pieces = (index: number | undefined, id: string, name: string, ...input: string[]) => [
    call({ ...(index !== undefined && { index }), id, type: "function", function: { name, arguments: "" } }),
    ...input.map((piece) => call({ ...(index !== undefined && { index }), function: { arguments: piece } })),
  ];
  const both = [
    { id: "a", name: "one", arguments: '{"n":1}' },
    { id: "b", name: "two", arguments: "{}" },
  ];

  test.each([
    ["by their index", [...pieces(0, "a", "one", '{"n"', ":1}"), ...pieces(1, "b", "two")]],
    [
      "mixed",
      [
        ...pieces(0, "a", "one", '{"n"'),
        ...pieces(1, "b", "two", "{}"),
        call({ index: 0, function: { arguments: ":1}" } }),
      ],
    ],
    ["without an index", [...pieces(undefined, "a", "one", '{"n"', ":1}"), ...pieces(undefined, "b", "two")]],
    ["all with index 0", [...pieces(0, "a", "one", '{"n":1}'), ...pieces(0, "b", "two")]],
    [
      "with an id in every piece",
      [
        call({ index: 0, id: "a", function: { name: "one", arguments: '{"n"' } }),
        call({ index: 0, id: "a", function: { name: "one", arguments: ":1}" } }),
        ...pieces(1, "b", "two"),
      ],
    ],
    [
      "with an object as input",
      [call({ id: "a", function: { name: "one", arguments: { n: 1 } } }), ...pieces(undefined, "b", "two")],
    ],
  ])("%s", async (_, events) => {
    fake.respond(stream([...events, stop("tool_calls"), done]));
    expect(await ask(open())).toMatchObject({ toolCalls: both, finishReason: "tool_calls", text: "" });
  });

  test("a job that requires a tool ends with stop, but counts as a call", async () => {
    fake.respond(stream([...pieces(0, "a", "one", "{}"), stop("stop"), done]));
    expect(await ask(open())).toMatchObject({ finishReason: "tool_calls" });
  });

  test("a call without an id gets one", async () => {
    fake.respond(completion({ tool_calls: [{ function: { name: "one", arguments: "{}" } }] }, "tool_calls"));
    expect(await ask(open())).toMatchObject({ toolCalls: [{ id: "call_1" }] });
  });

  test.each([
    ["tool_calls", '{"n"'],
    ["length", '{"n"'],
    ["length", ""],
  ])("arguments that are not JSON are passed on verbatim, with finish_reason %s: %j", async (reason, text) => {
    fake.respond(stream([...pieces(0, "a", "one", text), stop(reason), usage, done]));
    const toolCalls = [{ id: "a", name: "one", arguments: text }];
    expect(await ask(open())).toMatchObject({ toolCalls, finishReason: reason });
  });
});

describe("the form of a stream", () => {
  const lines = [
    ": a comment",
    "",
    ...wholeAnswer.flatMap((e) => ["event: message", `id: 1`, event(e).trim(), ""]),
    "",
  ];

  test.each([
    ["LF", lines.join("\n")],
    ["CRLF", lines.join("\r\n")],
    ["CR", lines.join("\r")],
    ["no space after the colon", lines.join("\n").replaceAll("data: ", "data:")],
    ["an event in several lines", lines.join("\n").replace('"choices":', '\ndata: "choices":')],
    ["a byte order mark", `\uFEFF${lines.join("\n")}`],
    ["without [DONE]", lines.join("\n").replace("data: [DONE]", "")],
    ["without the empty line at the end", lines.join("\n").trimEnd()],
    ["without [DONE] or an empty line at the end", lines.join("\n").replace("data: [DONE]", "").trimEnd()],
  ])("%s", async (_, body) => {
    fake.respond(bytes([body]));
    expect(await ask(open())).toMatchObject({ text: "Hello", usage: { input: 7, output: 3 }, finishReason: "stop" });
  });

  test("the text is the same wherever its bytes are split", async () => {
    const words = "Grüße, 世界 👋\r\n";
    const events = [chunk({ role: "assistant" }), ...Array.from(words, text), stop(), usage, done].map(event);
    // Events of several lines, so that a split line end must not end the event.
    const lines = events.map((one) => one.replace('"choices":', '\ndata: "choices":'));
    const body = Buffer.from(lines.join("").replaceAll("\n", "\r\n"));
    const provider = open();
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(body.length), { maxLength: 60 }), async (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), body.length];
        fake.respond(bytes(at.slice(1).map((end, i) => body.subarray(at[i], end))));
        expect((await ask(provider)).text).toBe(words);
      }),
      { numRuns: 25 },
    );
  });

  test("byte by byte", async () => {
    const body = Buffer.from([chunk({ role: "assistant" }), text("é👋"), stop(), done].map(event).join(""));
    fake.respond(bytes(Array.from(body, (byte) => Buffer.of(byte))));
    expect((await ask(open())).text).toBe("é👋");
  });

  test.each([
    ["an event that is not JSON", "data: {oops\n\n"],
    ["an event that is no object", "data: 1\n\n"],
  ])("%s", async (_, bad) => {
    fake.respond(bytes([event(text("x")), bad, event(stop())]));
    expect(await failureOf(ask(open()))).toMatchObject({
      kind: "transient",
      code: "malformed_output",
      maybeBilled: true,
    });
  });

  test("after a broken event the connection is closed, because the server may continue indefinitely", async () => {
    let closed = false;
    fake.respond((res) => {
      res.once("close", () => {
        closed = true;
      });
      bytes(["data: {oops\n\n"], () => {})(res);
    });
    await failureOf(ask(open()));
    await vi.waitFor(() => expect(closed).toBe(true), { timeout: 15_000 });
  });

  test("an event without an end is aborted", async () => {
    const megabyte = "x".repeat(1024 * 1024);
    fake.respond(bytes(["data: ", ...Array<string>(20).fill(megabyte)]));
    expect(await failureOf(ask(open()))).toMatchObject({ kind: "transient", maybeBilled: true });
  });
});

describe("a stream that breaks", () => {
  test.each([
    ["cut", (res: { destroy(): void }) => void res.destroy()],
    ["ended in good order", (res: { end(): void }) => void res.end()],
  ])("%s before finish_reason: no answer, whatever has arrived", async (_, end) => {
    fake.respond(stream([text("Hel")], end));
    expect(await failureOf(ask(open()))).toMatchObject({ ...unknownEnd, requestId: "r-1" });
  });

  test("[DONE] without finish_reason is no answer either", async () => {
    fake.respond(stream([text("Hel"), done]));
    expect(await failureOf(ask(open()))).toMatchObject(unknownEnd);
  });

  test("an end within an event", async () => {
    fake.respond(bytes([event(text("Hel")), 'data: {"choices":[{"delta":{"content":"lo']));
    expect(await failureOf(ask(open()))).toMatchObject(unknownEnd);
  });

  test("no stream at all", async () => {
    fake.respond(plain(200, "text/event-stream", ""));
    expect(await failureOf(ask(open()))).toMatchObject(unknownEnd);
  });

  test.each([
    ["the connection is cut", (res: { destroy(): void }) => void res.destroy()],
    ["nothing more comes", () => {}],
  ])("a complete answer is not lost if then %s", async (_, end) => {
    fake.respond(stream([text("x"), stop()], end));
    const short = { ...timeouts, idleMs: brief };
    expect(await ask(open({ timeouts: short }))).toMatchObject({ text: "x", finishReason: "stop" });
  });

  test("after [DONE] the end of the response is not awaited", async () => {
    fake.respond(stream(wholeAnswer, () => {}));
    expect(await ask(open())).toMatchObject({ text: "Hello" });
  });

  test.each([
    [
      { message: "Rate limit reached on tokens per min (TPM)", type: "tokens", code: "rate_limit_exceeded" },
      "throttled",
    ],
    [{ message: "Overloaded", type: "overloaded_error" }, "capacity"],
    [{ message: "The server had an error", type: "server_error" }, "transient"],
    [{ message: "bad", code: 400 }, "permanent"],
    [{ message: "something new" }, "transient"],
  ])("an error in the stream: %j", async (error, kind) => {
    fake.respond(stream([text("x"), { error }, done]));
    expect(await failureOf(ask(open()))).toMatchObject({
      kind,
      maybeBilled: true,
      message: expect.stringContaining(error.message),
      requestId: "r-1",
    });
    fake.respond(bytes([`event: error\n${event(error)}`]));
    expect(await failureOf(ask(open()))).toMatchObject({ kind });
  });
});

describe("timeouts and aborts", () => {
  test.each([
    ["firstByteMs", () => {}],
    ["firstByteMs", bytes([], () => {})],
    ["idleMs", stream([text("x")], () => {})],
    ["totalMs", stream([text("x")], () => {})],
  ] as const)("%s", async (limit, handler) => {
    fake.respond(handler);
    const failure = await failureOf(ask(open({ timeouts: { ...timeouts, [limit]: brief } })));
    expect(failure).toMatchObject(unknownEnd);
    expect(failure.message).toContain(`timeouts.${limit}`);
  });

  test("totalMs of an unstreamed answer", async () => {
    fake.respond(() => {});
    const failure = await failureOf(ask(open({ streaming: false, timeouts: { ...timeouts, totalMs: brief } })));
    expect(failure.message).toContain("timeouts.totalMs");
  });

  test("connectMs includes the wait for a free connection, and nothing was sent", async () => {
    fake.respond(() => {});
    const provider = open({ maxSockets: 1, timeouts: { ...timeouts, connectMs: brief, totalMs: 2_000 } });
    const abort = new AbortController();
    const first = failureOf(ask(provider, { signal: abort.signal }));
    await vi.waitFor(() => expect(fake.requests).toHaveLength(1), { timeout: 15_000 });
    expect(await failureOf(ask(provider))).toMatchObject({ kind: "capacity", maybeBilled: false });
    abort.abort();
    expect(await first).toMatchObject({ kind: "aborted", maybeBilled: true });
    expect(fake.requests).toHaveLength(1);
  });

  test("comments restart the idle timer", async () => {
    fake.respond((res) => {
      res.writeHead(200, { "content-type": "text/event-stream" });
      let n = 0;
      const timer = setInterval(() => {
        res.write(": PROCESSING\n\n");
        if (++n < 8) return;
        clearInterval(timer);
        res.end(wholeAnswer.map(event).join(""));
      }, 50);
    });
    const short = { ...timeouts, firstByteMs: 5_000, idleMs: 5_000 };
    expect(await ask(open({ timeouts: short }))).toMatchObject({ text: "Hello" });
  });

  test("aborted before, nothing is sent", async () => {
    const failure = await failureOf(ask(open(), { signal: AbortSignal.abort() }));
    expect(failure).toMatchObject({ kind: "aborted", maybeBilled: false });
    expect(fake.requests).toEqual([]);
  });

  test("aborted in the middle of a stream: the connection is closed", async () => {
    let closed = false;
    fake.respond((res) => {
      res.once("close", () => {
        closed = true;
      });
      stream([text("x")], () => {})(res);
    });
    const abort = new AbortController();
    const answer = failureOf(ask(open(), { signal: abort.signal, onText: () => abort.abort() }));
    expect(await answer).toMatchObject({ kind: "aborted", maybeBilled: true });
    await vi.waitFor(() => expect(closed).toBe(true), { timeout: 15_000 });
  });
});

describe("connections", () => {
  test("no server listens: nothing was sent, and the message says what to check", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    server.close();
    await once(server, "close");
    const failure = await failureOf(ask(open({}, `http://127.0.0.1:${port}/v1`)));
    expect(failure).toMatchObject({ kind: "capacity", code: "model_unavailable", maybeBilled: false });
    expect(failure.message).toBe(
      `No server listens on 127.0.0.1:${port} (ECONNREFUSED). Check that the server is running and that baseUrl is correct (Ollama: ollama serve).`,
    );
  });

  test("cut before the answer", async () => {
    fake.respond((res) => res.destroy());
    expect(await failureOf(ask(open()))).toMatchObject(unknownEnd);
    expect(fake.requests).toHaveLength(1);
  });

  test("https to an http server", async () => {
    const failure = await failureOf(ask(open({}, fake.url.replace("http:", "https:"))));
    expect(failure).toMatchObject({ kind: "misconfigured", maybeBilled: false });
    expect(failure.message).toContain("http or https");
  });

  test.each([[true], [false]])("a truncated unstreamed answer, streaming: %s", async (streaming) => {
    fake.respond((res) => {
      res.writeHead(200, { "content-type": "application/json", "content-length": "1000" });
      res.write('{"choices":[', () => res.destroy());
    });
    expect(await failureOf(ask(open({ streaming })))).toMatchObject(unknownEnd);
  });
});

describe("a server that does not know stream_options", () => {
  test("is called without them from then on, and the job keeps its place", async () => {
    const provider = open();
    fake.respond(refusal(400, { message: "Unrecognized request argument supplied: stream_options" }));
    expect(await failureOf(ask(provider))).toMatchObject({ kind: "capacity", retryAfterMs: 0, maybeBilled: false });
    fake.respond(stream([text("x"), stop(), done]));
    const answer = await ask(provider);
    expect(answer).toMatchObject({ text: "x" });
    expect(answer.usage).toBeUndefined();
    expect(fake.requests.map((r) => "stream_options" in r.body)).toEqual([true, false]);
  });
});

test("a response without choices is no answer", async () => {
  fake.respond(json(200, { choices: [] }));
  expect(await failureOf(ask(open()))).toMatchObject(unknownEnd);
});
