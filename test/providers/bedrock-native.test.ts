// Native requests over a real socket: the bytes that are sent, the answers as they came, and the failures, which are
// those of every other call.
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { NativeCall, NativeRequest } from "../../src/domain/native-request.ts";
import { eventLine, eventsOfLines } from "../../src/native/event-lines.ts";
import { withinBounds } from "../../src/providers/bounds.ts";
import { type Provider, type ProviderCall, ProviderError } from "../../src/providers/provider.ts";
import {
  ask,
  event,
  exception,
  type FakeBedrock,
  failureOf,
  json,
  providerFor,
  start,
  startFakeBedrock,
  stop,
  stream,
  text,
  usage,
  wholeAnswer,
} from "./fake-bedrock.ts";

let fake: FakeBedrock;
let provider: Provider;
let sent: Record<string, unknown> = {};
const maxAnswerBytes = 5_000_000;
beforeAll(async () => {
  fake = await startFakeBedrock();
  provider = withinBounds(providerFor(fake.url), {
    deployment: "d",
    contextTokens: 100_000,
    maxAnswerBytes: () => maxAnswerBytes,
    log: { warn: () => {} },
  });
});
beforeEach(() => {
  fake.requests.length = 0;
  fake.texts.length = 0;
});
afterAll(async () => {
  await provider.close();
  await fake.close();
});

function native(call: Partial<NativeCall>): NativeRequest {
  const body = '{"messages": [], "n": 1.0}';
  return { native: { operation: "converse", streamed: false, body, ...call }, parameters: { maxTokens: 100 } };
}

const call = (request: Partial<NativeCall>, rest: Partial<ProviderCall> = {}) =>
  ask(provider, { request: native(request), ...rest });

const converseBody = '{"output":{"message":{"content":[{"text":"Hi"}]}},  "stopReason":"end_turn","new":1.0}';
/** Answers with these bytes, and notes the headers of the request. */
const plain = (body: string, headers: Record<string, string> = {}) =>
  fake.respond((res, req) => {
    sent = req.headers;
    res.writeHead(200, { "content-type": "application/json", "x-amzn-requestid": "r-1", ...headers }).end(body);
  });

describe("what is sent", () => {
  test.each([
    ["converse", false, "converse"],
    ["converse", true, "converse-stream"],
    ["invoke", false, "invoke"],
    ["invoke", true, "invoke-with-response-stream"],
  ] as const)("%s, streamed: %s", async (operation, streamed, path) => {
    fake.respond(streamed ? stream(wholeAnswer) : json(200, {}));
    await call({ operation, streamed }).catch(() => {});
    expect(fake.requests[0]!.path).toBe(`/model/us.meta.llama3-3-70b-instruct-v1%3A0/${path}`);
  });

  test("the body is the caller's, byte for byte", async () => {
    plain(converseBody);
    const bodies = fc.oneof(fc.json({ noUnicodeString: false }), fc.string({ unit: "grapheme" }).map(JSON.stringify));
    await fc.assert(
      fc.asyncProperty(bodies, fc.constantFrom("", " ", "\n\t"), async (body, space) => {
        fake.texts.length = 0;
        await call({ body: space + body + space });
        expect(fake.texts).toEqual([space + body + space]);
      }),
      { numRuns: 25 },
    );
  });

  test("headers of the request, which replace the usual ones", async () => {
    plain(converseBody);
    await call({ operation: "invoke" });
    expect(sent).toMatchObject({ "content-type": "application/json" });
    await call({ headers: { "content-type": "application/x-json", accept: "*/*", "x-amzn-bedrock-trace": "ENABLED" } });
    expect(sent).toMatchObject({
      "content-type": "application/x-json",
      accept: "*/*",
      "x-amzn-bedrock-trace": "ENABLED",
    });
    expect(sent.authorization).toMatch(/SignedHeaders=accept;.*x-amzn-bedrock-trace/);
  });
});

describe("what comes back", () => {
  test("a body as it was, with the headers that callers need", async () => {
    plain(converseBody, { "x-amzn-bedrock-input-token-count": "7", "set-cookie": "secret" });
    expect(await call({})).toEqual({
      text: "Hi",
      toolCalls: [],
      finishReason: "stop",
      requestId: "r-1",
      native: {
        body: converseBody,
        headers: { "content-type": "application/json", "x-amzn-bedrock-input-token-count": "7" },
      },
    });
  });

  test("a stream's events in order, unknown ones included, each as it arrives", async () => {
    const queued = event("queued", { position: 3 });
    fake.respond(stream([queued, start, text("Hel"), text("lo"), stop("end_turn"), usage]));
    const lines: string[] = [];
    const pieces: string[] = [];
    const answer = await call(
      { streamed: true },
      { onText: (line) => lines.push(line), onOutput: (piece) => pieces.push(piece) },
    );
    const delta = (piece: string) => JSON.stringify({ contentBlockIndex: 0, delta: { text: piece } });
    expect(lines.slice(0, 4)).toEqual([
      eventLine("queued", '{"position":3}'),
      eventLine("messageStart", '{"role":"assistant"}'),
      eventLine("contentBlockDelta", delta("Hel")),
      eventLine("contentBlockDelta", delta("lo")),
    ]);
    expect(pieces).toEqual(["Hel", "lo"]);
    expect(answer).toMatchObject({ text: "Hello", finishReason: "stop", usage: { input: 7, output: 3 } });
    expect(answer.native).toEqual({
      events: lines.join(""),
      headers: { "content-type": "application/vnd.amazon.eventstream" },
    });
    expect(answer.firstTokenMs).toBeGreaterThanOrEqual(0);
  });

  test("an invoked model's chunks", async () => {
    const chunk = (value: object) =>
      event("chunk", { bytes: Buffer.from(JSON.stringify(value)).toString("base64"), p: "abc" });
    fake.respond(
      stream([
        chunk({ generation: "Hi", prompt_token_count: 7, generation_token_count: 1, stop_reason: null }),
        chunk({ generation: "!", prompt_token_count: null, generation_token_count: 2, stop_reason: "stop" }),
      ]),
    );
    expect(await call({ operation: "invoke", streamed: true })).toMatchObject({
      text: "Hi!",
      usage: { input: 7, output: 2 },
    });
  });

  test.each([
    ["guardrail_intervened", "content_filter"],
    ["malformed_model_output", "stop"],
    ["model_context_window_exceeded", "length"],
    ["tool_use", "tool_calls"],
  ])("stop reason %s completes as %s, because the caller wants what Bedrock said", async (stopReason, finishReason) => {
    fake.respond(stream([start, stop(stopReason), usage]));
    expect(await call({ streamed: true })).toMatchObject({ finishReason, usage: { input: 7, output: 3 } });
    plain(`{"stopReason":"${stopReason}"}`);
    expect(await call({})).toMatchObject({ finishReason, native: { body: `{"stopReason":"${stopReason}"}` } });
  });

  test("a body of an unknown model is kept, and so is one that is no JSON and does not claim to be", async () => {
    plain('[{"score": 0.5}]', { "x-amzn-bedrock-input-token-count": "7", "x-amzn-bedrock-output-token-count": "0" });
    expect(await call({ operation: "invoke" })).toMatchObject({ text: "", usage: { input: 7, output: 0 } });
    plain("plain", { "content-type": "text/plain" });
    expect(await call({ operation: "invoke" })).toMatchObject({ text: "", native: { body: "plain" } });
  });
});

describe("failures", () => {
  const unknownEnd = { kind: "transient", code: "unknown_end", maybeBilled: true };

  test("an HTTP error", async () => {
    fake.respond(json(429, { message: "Too many tokens" }, { "x-amzn-errortype": "ThrottlingException" }));
    expect(await failureOf(call({}))).toMatchObject({ kind: "throttled", throttle: "tokens", requestId: "r-1" });
  });

  test.each([
    { headers: { "x-amzn-bedrock-guardrailidentifier": "g" } },
    { body: '{"guardrailConfig": {"guardrailIdentifier": "g"}}' },
  ])("a guardrail that the request names is the request's fault: %j", async (request) => {
    const message = "User: bob is not authorized to perform: bedrock:ApplyGuardrail on resource: arn:aws:bedrock:x";
    fake.respond(json(403, { message }, { "x-amzn-errortype": "AccessDeniedException" }));
    expect(await failureOf(call(request))).toMatchObject({ kind: "permanent", code: "provider_rejected" });
    expect(await failureOf(call({}))).toMatchObject({ kind: "unclear" });
  });

  test("an exception in the stream", async () => {
    fake.respond(stream([start, text("Hel"), exception("modelStreamErrorException", "Broken")]));
    expect(await failureOf(call({ streamed: true }))).toMatchObject({ ...unknownEnd, message: "Broken" });
  });

  test.each(["converse", "invoke"] as const)("a stream of %s that ends too early", async (operation) => {
    const bytes = Buffer.from('{"generation":"H","stop_reason":null}').toString("base64");
    fake.respond(stream([operation === "converse" ? text("Hel") : event("chunk", { bytes })]));
    expect(await failureOf(call({ operation, streamed: true }))).toMatchObject({ ...unknownEnd, requestId: "r-1" });
    fake.respond(stream([]));
    expect(await failureOf(call({ operation, streamed: true }))).toMatchObject(unknownEnd);
  });

  test("a complete answer is not lost to what follows", async () => {
    fake.respond(stream([start, text("x"), stop("end_turn"), exception("internalServerException", "Oops")]));
    expect(await call({ streamed: true })).toMatchObject({ text: "x" });
  });

  test("a body that claims to be JSON and is cut off", async () => {
    plain('{"output": ');
    expect(await failureOf(call({ operation: "invoke" }))).toMatchObject(unknownEnd);
  });

  test("any damage to a stream ends in an answer or in a failure, and its lines are whole", async () => {
    const bytes = Buffer.concat([start, text("Hel"), text("lo"), stop("end_turn"), usage]);
    const damage = fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(damage, fc.nat(bytes.length), async (changes, length) => {
        const damaged = Buffer.from(bytes.subarray(0, length));
        for (const [at, value] of changes) if (at < length) damaged[at] = value;
        fake.respond(stream([damaged]));
        const lines: string[] = [];
        const ended = await call({ streamed: true }, { onText: (line) => lines.push(line) }).catch((e: unknown) => e);
        if (ended instanceof Error) expect(ended).toBeInstanceOf(ProviderError);
        else expect(ended).toMatchObject({ text: "Hello", native: { events: lines.join("") } });
        for (const [type] of eventsOfLines(lines.join(""))) expect(type).toMatch(/^\w+$/);
      }),
      { numRuns: 25 },
    );
  });

  test("more than the limit, in one piece and as a stream", async () => {
    const tooLarge = { kind: "permanent", code: "answer_too_large", message: expect.stringContaining("5000000") };
    plain(`{"generation": ${" ".repeat(maxAnswerBytes)}"x"}`);
    expect(await failureOf(call({ operation: "invoke" }))).toMatchObject(tooLarge);
    fake.respond(stream(Array(6).fill(event("queued", "x".repeat(1_000_000)))));
    expect(await failureOf(call({ streamed: true }))).toMatchObject(tooLarge);
  });
});
