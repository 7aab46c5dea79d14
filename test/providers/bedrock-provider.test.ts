// The provider over a real socket: what it sends, what counts as an answer, and what happens
// when the connection misbehaves. Refusals are in bedrock-errors.test.ts.
import { once } from "node:events";
import { createServer } from "node:net";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { CanonicalRequest } from "../../src/domain/request.ts";
import type { Provider, ProviderFailure } from "../../src/providers/provider.ts";
import {
  ask,
  event,
  exception,
  type FakeBedrock,
  failureOf,
  json,
  type ProviderOptions,
  providerFor,
  stall,
  start,
  startFakeBedrock,
  stop,
  stream,
  text,
  usage,
  wholeAnswer,
} from "./fake-bedrock.ts";

let fake: FakeBedrock;
let opened: Provider[];
beforeEach(async () => {
  fake = await startFakeBedrock();
  opened = [];
});
afterEach(async () => {
  for (const provider of opened) await provider.close();
  await fake.close();
});

function open(options: Partial<ProviderOptions> = {}, endpoint = fake.url): Provider {
  const provider = providerFor(endpoint, options);
  opened.push(provider);
  return provider;
}

const timeouts = { connectMs: 20_000, firstByteMs: 20_000, idleMs: 20_000, totalMs: 20_000 };
const brief = 50;
const unknownEnd: Partial<ProviderFailure> = { kind: "transient", code: "unknown_end", maybeBilled: true };

const full: CanonicalRequest = {
  messages: [
    { role: "user", content: [{ type: "text", text: "What time is it?" }] },
    { role: "user", content: [{ type: "text", text: " " }] },
    { role: "assistant", content: [{ type: "tool_call", id: "c1", name: "clock", arguments: '{"zone":"UTC"}' }] },
    {
      role: "user",
      content: [
        { type: "tool_result", callId: "c1", text: "" },
        { type: "tool_result", callId: "c2", text: "broken", isError: true },
      ],
    },
  ],
  system: "Be brief",
  tools: [{ name: "clock", description: "Tells the time", inputSchema: { type: "object" } }],
  toolChoice: { name: "clock" },
  parameters: { maxTokens: 64, temperature: 0, topP: 0.5, stop: ["END"] },
};

describe("what is sent", () => {
  const converse = {
    messages: [
      { role: "user", content: [{ text: "What time is it?" }] },
      { role: "assistant", content: [{ toolUse: { toolUseId: "c1", name: "clock", input: { zone: "UTC" } } }] },
      {
        role: "user",
        content: [
          { toolResult: { toolUseId: "c1", content: [{ text: "(empty)" }] } },
          { toolResult: { toolUseId: "c2", content: [{ text: "broken" }], status: "error" } },
        ],
      },
    ],
    system: [{ text: "Be brief" }],
    inferenceConfig: { maxTokens: 64, temperature: 0, topP: 0.5, stopSequences: ["END"] },
    toolConfig: {
      tools: [
        { toolSpec: { name: "clock", description: "Tells the time", inputSchema: { json: { type: "object" } } } },
      ],
      toolChoice: { tool: { name: "clock" } },
    },
  };

  test("a stream is requested", async () => {
    fake.respond(stream(wholeAnswer));
    await ask(open(), { request: full });
    expect(fake.requests).toEqual([
      { path: "/model/us.meta.llama3-3-70b-instruct-v1%3A0/converse-stream", body: converse },
    ]);
  });

  test("an unstreamed answer is requested if the model cannot stream", async () => {
    fake.respond(json(200, { output: { message: { role: "assistant", content: [] } }, stopReason: "end_turn" }));
    await ask(open({ streaming: false }), { request: full });
    expect(fake.requests).toEqual([{ path: "/model/us.meta.llama3-3-70b-instruct-v1%3A0/converse", body: converse }]);
  });

  test("absent parameters are not sent, except max_tokens", async () => {
    fake.respond(stream(wholeAnswer));
    await ask(open());
    expect(fake.requests[0]?.body).toEqual({
      messages: [{ role: "user", content: [{ text: "Hello?" }] }],
      inferenceConfig: { maxTokens: 100 },
    });
  });

  test.each([
    ["auto", { auto: {} }],
    ["required", { any: {} }],
  ] as const)("tool choice %s", async (toolChoice, sent) => {
    fake.respond(stream(wholeAnswer));
    await ask(open(), { request: { ...full, toolChoice } });
    expect(fake.requests[0]?.body).toMatchObject({ toolConfig: { toolChoice: sent } });
  });
});

describe("answers", () => {
  test("a stream: text as it arrives, usage, request id, time to the first token", async () => {
    fake.respond(stream(wholeAnswer));
    const pieces: string[] = [];
    let now = 100;
    const clock = { now: () => now++ };
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

  test("unstreamed", async () => {
    const content = [
      { text: "Hello" },
      { toolUse: { toolUseId: "c1", name: "clock", input: { zone: "UTC" } } },
      { text: "!" },
    ];
    const used = {
      inputTokens: 7,
      outputTokens: 3,
      totalTokens: 10,
      cacheReadInputTokens: 2,
      cacheWriteInputTokens: 1,
    };
    fake.respond(
      json(200, { output: { message: { role: "assistant", content } }, stopReason: "tool_use", usage: used }),
    );
    expect(await ask(open({ streaming: false }))).toEqual({
      text: "Hello!",
      toolCalls: [{ id: "c1", name: "clock", arguments: '{"zone":"UTC"}' }],
      finishReason: "tool_calls",
      usage: { input: 7, output: 3, cacheRead: 2, cacheWrite: 1 },
      requestId: "r-1",
    });
  });

  test.each([
    ["end_turn", "stop"],
    ["stop_sequence", "stop"],
    ["max_tokens", "length"],
    ["tool_use", "tool_calls"],
    ["something_new", "stop"],
  ])("stop reason %s ends as %s", async (stopReason, finishReason) => {
    fake.respond(stream([start, text("x"), stop(stopReason), usage]));
    expect(await ask(open())).toMatchObject({ text: "x", finishReason });
  });

  test.each([
    ["guardrail_intervened", "permanent", "content_filtered"],
    ["content_filtered", "permanent", "content_filtered"],
    ["malformed_model_output", "transient", "malformed_output"],
    ["malformed_tool_use", "transient", "malformed_output"],
    ["model_context_window_exceeded", "permanent", "context_exceeded"],
  ])("stop reason %s is a %s failure that was billed", async (stopReason, kind, code) => {
    fake.respond(stream([start, text("x"), stop(stopReason), usage]));
    const failure = await failureOf(ask(open()));
    expect(failure).toMatchObject({ kind, code, maybeBilled: true, usage: { input: 7, output: 3 }, requestId: "r-1" });
  });

  test("D1: the input of a tool stays as the model wrote it, in one piece too", async () => {
    const input = '{"id": 2512292042121000001, "b": 1.0, "2": 1, "e": 1e400}';
    const toolUse = `{"toolUseId": "c1", "name": "clock", "input": ${input}}`;
    const body = `{"output": {"message": {"content": [{"text": "x"}, {"toolUse": ${toolUse}}]}}, "stopReason": "tool_use"}`;
    fake.respond((res) => res.writeHead(200, { "content-type": "application/json" }).end(body));
    const { toolCalls } = await ask(open({ streaming: false }));
    expect(toolCalls).toEqual([{ id: "c1", name: "clock", arguments: input }]);
  });

  test("events of unknown types are skipped, and so is what is no text where one belongs", async () => {
    const odd = [event("queued", { position: 3 }), event("contentBlockDelta", null), event("contentBlockDelta", 5)];
    const wrong = event("contentBlockDelta", { contentBlockIndex: 0, delta: { text: 7, toolUse: { input: null } } });
    fake.respond(stream([...odd, start, wrong, text("x"), event("later", "?"), stop("end_turn"), usage]));
    expect(await ask(open())).toMatchObject({ text: "x", finishReason: "stop" });
  });

  test("without metadata the usage is unknown", async () => {
    fake.respond(stream([start, text("x"), stop("end_turn")]));
    const answer = await ask(open());
    expect(answer).toMatchObject({ text: "x", finishReason: "stop" });
    expect(answer.usage).toBeUndefined();
  });

  test.each([
    ["the connection is cut", (res: { destroy(): void }) => void res.destroy()],
    ["nothing more comes", stall],
  ])("a complete answer is not lost if then %s", async (_, end) => {
    fake.respond(stream([start, text("x"), stop("end_turn")], end));
    const answer = await ask(open({ timeouts: { ...timeouts, idleMs: brief } }));
    expect(answer).toMatchObject({ text: "x", finishReason: "stop" });
  });

  test("a complete answer is not lost to a later exception", async () => {
    fake.respond(stream([start, text("x"), stop("end_turn"), exception("internalServerException", "Oops")]));
    expect(await ask(open())).toMatchObject({ text: "x", finishReason: "stop" });
  });

  const toolUse = (...input: string[]) => [
    event("contentBlockStart", { contentBlockIndex: 1, start: { toolUse: { toolUseId: "c1", name: "clock" } } }),
    ...input.map((piece) => event("contentBlockDelta", { contentBlockIndex: 1, delta: { toolUse: { input: piece } } })),
    event("contentBlockStop", { contentBlockIndex: 1 }),
  ];

  test.each([
    { pieces: ['{"zone"', ':"UTC"}'], text: '{"zone":"UTC"}' },
    { pieces: [], text: "{}" },
    { pieces: ['{"zone'], text: '{"zone' },
  ])("a tool call in $pieces", async ({ pieces, text: args }) => {
    fake.respond(stream([start, text("Let me see."), ...toolUse(...pieces), stop("tool_use"), usage]));
    const answer = await ask(open());
    expect(answer).toMatchObject({ text: "Let me see.", toolCalls: [{ id: "c1", name: "clock", arguments: args }] });
  });

  test.each(['{"zone', ""])(
    "a tool call that max_tokens cut off after %j is part of the truncated answer",
    async (cut) => {
      fake.respond(stream([start, text("x"), ...toolUse(cut), stop("max_tokens"), usage]));
      const toolCalls = [{ id: "c1", name: "clock", arguments: cut }];
      expect(await ask(open())).toMatchObject({ text: "x", toolCalls, finishReason: "length" });
    },
  );
});

describe("connections that break", () => {
  test("a stream that ends in good order, but too early, is no answer", async () => {
    fake.respond(stream([start, text("Hel")]));
    expect(await failureOf(ask(open()))).toMatchObject({ ...unknownEnd, requestId: "r-1" });
  });

  test("a stream without a single event is no answer", async () => {
    fake.respond(stream([]));
    expect(await failureOf(ask(open()))).toMatchObject(unknownEnd);
  });

  test("a connection that is cut in the stream", async () => {
    fake.respond(stream([start, text("Hel")], (res) => res.destroy()));
    const failure = await failureOf(ask(open()));
    expect(failure).toMatchObject({ ...unknownEnd, requestId: "r-1" });
    expect(failure.message).toMatch(/lost.*ECONNRESET/);
  });

  test("half a frame", async () => {
    const half = text("never read").subarray(0, 30);
    fake.respond(stream([start, text("Hel"), half]));
    expect(await failureOf(ask(open()))).toMatchObject(unknownEnd);
  });

  test("a frame with a wrong checksum", async () => {
    const spoilt = Buffer.from(text("Hel"));
    spoilt[spoilt.length - 6]! ^= 1;
    fake.respond(stream([start, spoilt]));
    expect(await failureOf(ask(open()))).toMatchObject(unknownEnd);
  });

  test("a connection that is cut before the response may have been billed", async () => {
    fake.respond((res) => res.destroy());
    const failure = await failureOf(ask(open()));
    expect(failure).toMatchObject(unknownEnd);
    expect(failure.message).toMatch(/ECONNRESET/);
  });

  test("truncated JSON may have been billed", async () => {
    fake.respond((res) => res.writeHead(200, { "content-type": "application/json" }).end('{"output": {"mess'));
    expect(await failureOf(ask(open({ streaming: false })))).toMatchObject(unknownEnd);
  });

  test("a refused connection cannot have been billed", async () => {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    server.close();
    await once(server, "close");
    const failure = await failureOf(ask(open({}, `http://127.0.0.1:${port}`)));
    expect(failure).toMatchObject({ kind: "capacity", maybeBilled: false });
    expect(failure.message).toMatch(new RegExp(`Could not connect to http://127.0.0.1:${port} .*ECONNREFUSED`));
  });
});

describe("timeouts", () => {
  test("no first byte", async () => {
    fake.respond(stall);
    const failure = await failureOf(ask(open({ timeouts: { ...timeouts, firstByteMs: brief } })));
    expect(failure).toMatchObject(unknownEnd);
    expect(failure.message).toMatch(/within 0.05 s.*firstByteMs/);
  });

  test("headers are not a first event", async () => {
    fake.respond(stream([], stall));
    const failure = await failureOf(ask(open({ timeouts: { ...timeouts, firstByteMs: brief } })));
    expect(failure.message).toMatch(/firstByteMs/);
  });

  test("a stream that stops", async () => {
    fake.respond(stream([start, text("Hel")], stall));
    const failure = await failureOf(ask(open({ timeouts: { ...timeouts, idleMs: brief } })));
    expect(failure).toMatchObject({ ...unknownEnd, requestId: "r-1" });
    expect(failure.message).toMatch(/idleMs/);
  });

  test("an answer that takes too long in total", async () => {
    fake.respond(stream([start, text("Hel")], stall));
    const failure = await failureOf(ask(open({ timeouts: { ...timeouts, totalMs: brief } })));
    expect(failure).toMatchObject(unknownEnd);
    expect(failure.message).toMatch(/totalMs/);
  });

  test("an unstreamed answer has a total timeout only", async () => {
    fake.respond(stall);
    const limits = { ...timeouts, firstByteMs: 1, idleMs: 1, totalMs: brief };
    const failure = await failureOf(ask(open({ streaming: false, timeouts: limits })));
    expect(failure.message).toMatch(/totalMs/);
  });

  test("no connection in time: nothing was sent", async () => {
    fake.respond(stall);
    const provider = open({ maxSockets: 1, timeouts: { ...timeouts, connectMs: brief } });
    const first = new AbortController();
    const running = ask(provider, { signal: first.signal }).catch(() => undefined);
    await expect.poll(() => fake.requests.length).toBe(1);
    const failure = await failureOf(ask(provider));
    expect(failure).toMatchObject({ kind: "capacity", maybeBilled: false });
    expect(failure.message).toMatch(/connectMs/);
    expect(fake.requests).toHaveLength(1);
    first.abort();
    await running;
  });
});

describe("aborts", () => {
  const aborted: Partial<ProviderFailure> = { kind: "aborted", code: "cancelled" };

  test("before the call: nothing is sent", async () => {
    const failure = await failureOf(ask(open(), { signal: AbortSignal.abort() }));
    expect(failure).toMatchObject({ ...aborted, maybeBilled: false });
    expect(fake.requests).toHaveLength(0);
  });

  test("before the response", async () => {
    const abort = new AbortController();
    fake.respond(() => abort.abort());
    expect(await failureOf(ask(open(), { signal: abort.signal }))).toMatchObject({ ...aborted, maybeBilled: true });
  });

  test("A2: reports everything that the model generates as it arrives: thoughts, text and arguments", async () => {
    const delta = (content: object) => event("contentBlockDelta", { contentBlockIndex: 0, delta: content });
    const toolUse = { toolUseId: "t1", name: "clock" };
    fake.respond(
      stream([
        start,
        delta({ reasoningContent: { text: "hm" } }),
        text("x"),
        event("contentBlockStart", { contentBlockIndex: 1, start: { toolUse } }),
        delta({ toolUse: { input: '{"zone":"UTC"}' } }),
        stop("end_turn"),
        usage,
      ]),
    );
    const pieces: string[] = [];
    await ask(open(), { onOutput: (piece) => void pieces.push(piece) });
    expect(pieces).toEqual(["hm", "x", '{"zone":"UTC"}']);
  });

  test("in the stream: the connection is closed and no more text is passed on", async () => {
    const abort = new AbortController();
    let closed = false;
    fake.respond((res, req) => {
      res.on("close", () => {
        closed = true;
      });
      stream([start, text("Hel"), text("lo")], stall)(res, req);
    });
    const pieces: string[] = [];
    const onText = (piece: string) => {
      pieces.push(piece);
      abort.abort();
    };
    const failure = await failureOf(ask(open(), { signal: abort.signal, onText }));
    expect(failure).toMatchObject({ ...aborted, maybeBilled: true });
    await expect.poll(() => closed).toBe(true);
    expect(pieces).toEqual(["Hel"]);
  });

  test("during the search for credentials", async () => {
    const abort = new AbortController();
    const credentials = () => {
      abort.abort();
      return new Promise<never>(() => {});
    };
    const failure = await failureOf(ask(open({ credentials }), { signal: abort.signal }));
    expect(failure).toMatchObject(aborted);
  });
});

test("without credentials the message says how to provide them", async () => {
  const failure = await failureOf(ask(open({ credentials: undefined })));
  expect(failure).toMatchObject({ kind: "misconfigured", maybeBilled: false });
  expect(failure.message).toMatch(/No AWS credentials.*AWS_ACCESS_KEY_ID.*AWS_BEARER_TOKEN_BEDROCK/);
});

describe("the environment, as the SDK reads it", () => {
  afterEach(() => vi.unstubAllEnvs());

  test("AWS_ENDPOINT_URL_BEDROCK_RUNTIME replaces the address", async () => {
    vi.stubEnv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", fake.url);
    fake.respond(stream(wholeAnswer));
    expect(await ask(open({ endpoint: undefined }))).toMatchObject({ text: "Hello" });
  });

  test("a trace is not sent to Bedrock", async () => {
    let traceparent: unknown;
    fake.respond((res, req) => {
      traceparent = req.headers.traceparent;
      stream(wholeAnswer)(res, req);
    });
    await ask(open(), { trace: { traceparent: `00-${"a".repeat(32)}-${"b".repeat(16)}-01` } });
    expect(traceparent).toBeUndefined();
  });

  test("AWS_BEARER_TOKEN_BEDROCK is enough, and appears in no message", async () => {
    vi.stubEnv("AWS_BEARER_TOKEN_BEDROCK", "bearer-token-of-the-test");
    let authorization: string | undefined;
    fake.respond((res, req) => {
      authorization = req.headers.authorization;
      json(400, { message: `${authorization} is odd` }, { "x-amzn-errortype": "ValidationException" })(res, req);
    });
    const failure = await failureOf(ask(open({ credentials: undefined })));
    expect(authorization).toBe("Bearer bearer-token-of-the-test");
    expect(failure.message).toBe("Bearer *** is odd");
  });
});
