// The Bedrock Runtime API before and around a call: keys, refusals, waits and returns. The test plays the worker, and moves
// the clock.
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { systemClock } from "../../src/domain/clock.ts";
import { EventStreamReader, type StreamMessage } from "../../src/event-stream/event-stream-reader.ts";
import { createHttpServer } from "../../src/http/server.ts";
import { eventLine } from "../../src/native/event-lines.ts";
import { openTestStore, type TestStore } from "../support/jobs-context.ts";
import { heldCalls, within } from "./held-calls.ts";
import { urlOf } from "./openai/client.ts";
import { type ServerUnderTest, startServerUnderTest } from "./server-under-test.ts";

const llama = "us.meta.llama3-3-70b-instruct-v1%3A0";
const converse = `/model/${llama}/converse`;
const body = { messages: [{ role: "user", content: [{ text: "Why?" }] }], inferenceConfig: { maxTokens: 50 } };
const json = { "content-type": "application/json" };

let shared: TestStore;
let server: ServerUnderTest;
let url: string;
/** How far the clock is ahead, in milliseconds. */
let ahead = 0;
const clock = { now: () => systemClock.now() + ahead, wall: () => systemClock.wall() + ahead };
beforeAll(async () => {
  shared = await openTestStore();
  server = await startServerUnderTest({ limits: { maxRequestBytes: 20_000, maxPromptBytes: 10_000 } }, shared, {
    clock,
  });
  url = await urlOf(server.app);
});
afterAll(async () => {
  server.app.server.closeAllConnections();
  await server.close();
  await shared.close();
});

/** Expects an error in AWS's form, and that nothing was queued. */
async function expectRefusal(
  sent: Promise<{ status: number; headers: Record<string, unknown>; body: unknown }>,
  status: number,
  name: string,
  message: string | RegExp,
): Promise<void> {
  const before = await server.context.countJobs();
  const answer = await sent;
  expect(answer).toMatchObject({
    status,
    headers: { "x-amzn-errortype": name, "x-amzn-requestid": expect.any(String) },
    body: { message: typeof message === "string" ? message : expect.stringMatching(message) },
  });
  expect(Object.keys(answer.body as object)).toEqual(["message"]);
  expect(await server.context.countJobs()).toBe(before);
}

describe("refuses", () => {
  const served = "us.meta.llama3-3-70b-instruct-v1:0";
  const account = "arn:aws:bedrock:us-east-1:123456789012";
  test.each<[string, string, number, string, RegExp]>([
    ["a model that nothing serves", "amazon.titan-text", 404, "ResourceNotFoundException", /llama3-3-70b/],
    ["an id with a space", "meta llama", 400, "ValidationException", /^The provided model identifier is invalid/],
    ["a prompt", `${account}:prompt/ABCDEFGHIJ`, 400, "ValidationException", /prompt is not supported/],
    ["a provisioned model", `${account}:provisioned-model/x`, 400, "ValidationException", /provisioned-model is not/],
    ["an ARN of another service", "arn:aws:sagemaker:us-east-1:1:endpoint/x", 400, "ValidationException", /of Bedrock/],
    [
      "a geography without deployments",
      served.replace("us.", "apac."),
      404,
      "ResourceNotFoundException",
      /has deployments in us-east-1/,
    ],
    [
      "a Region without deployments",
      `arn:aws:bedrock:us-west-2::foundation-model/${served.slice(3)}`,
      404,
      "ResourceNotFoundException",
      /us-west-2/,
    ],
  ])("%s", (_what, modelId, status, name, message) =>
    expectRefusal(server.post(`/model/${encodeURIComponent(modelId)}/converse`, body), status, name, message),
  );

  test.each<[string, string | Buffer, Record<string, string>, number, string, RegExp]>([
    ["no JSON", "{", json, 400, "ValidationException", /^The body is not valid JSON/],
    ["a list", "[]", json, 400, "ValidationException", /^body must be a JSON object/],
    ["nothing", "", json, 400, "ValidationException", /empty body|not valid JSON/],
    ["other bytes", Buffer.of(0x7b, 0xff, 0x7d), json, 400, "ValidationException", /UTF-8/],
    [
      "a form",
      "a=1",
      { "content-type": "application/x-www-form-urlencoded" },
      415,
      "UnsupportedMediaTypeException",
      /JSON/,
    ],
    ["a compressed body", "{}", { ...json, "content-encoding": "gzip" }, 415, "UnsupportedMediaTypeException", /gzip/],
    ["too many bytes", `{"a":"${"x".repeat(20_000)}"}`, json, 413, "RequestEntityTooLargeException", /20000 bytes/],
    ["deep nesting", `{"a":${"[".repeat(4_000)}${"]".repeat(4_000)}}`, json, 400, "ValidationException", /nested/],
  ])("%s", (_what, text, headers, status, name, message) =>
    expectRefusal(server.post(converse, text, headers), status, name, message),
  );

  test.each<[string, Record<string, string>, RegExp]>([
    ["x-sluice-environment", { "x-sluice-environment": "TEST" }, /^environment must be one of/],
    ["x-sluice-priority", { "x-sluice-priority": "urgent" }, /^x-sluice-priority must be one of interactive/],
    ["x-sluice-max-wait", { "x-sluice-max-wait": "0" }, /^x-sluice-max-wait must be whole seconds/],
    ["x-sluice-keep", { "x-sluice-keep": "yes" }, /^x-sluice-keep must be true or false/],
  ])("a wrong header: %s", (_name, headers, message) =>
    expectRefusal(server.post(converse, body, { ...json, ...headers }), 400, "ValidationException", message),
  );

  test("an unknown query parameter", () =>
    expectRefusal(server.post(`${converse}?stream=1`, body), 400, "ValidationException", /"stream" is not a known/));

  test("an operation that does not exist", () =>
    expectRefusal(server.post(`/model/${llama}/generate`, body), 404, "UnknownOperationException", /no route/));

  test("another method", () => expectRefusal(server.get(converse), 404, "UnknownOperationException", /use POST/));

  test("a page of another site", () =>
    expectRefusal(
      server.post(converse, body, { ...json, origin: "https://evil.example" }),
      403,
      "AccessDeniedException",
      /evil\.example/,
    ));

  test.each<[string, unknown, RegExp]>([
    ["no input", {}, /^input must have either converse or invokeModel/],
    ["both kinds", { input: { converse: {}, invokeModel: {} } }, /^input must have either/],
    ["no body", { input: { invokeModel: {} } }, /^input\.invokeModel\.body must be text in base64/],
    ["a body without JSON", { input: { invokeModel: { body: "eA==" } } }, /^input\.invokeModel\.body: The body is not/],
  ])("to count %s", (_what, counted, message) =>
    expectRefusal(server.post(`/model/${llama}/count-tokens`, counted), 400, "ValidationException", message),
  );
});

describe("with keys", () => {
  const sigV4 = "AWS4-HMAC-SHA256 Credential=AKIAPLANTED/20261201/us-east-1/bedrock/aws4_request, Signature=planted";
  const realToken = "IQoJb3JpZ2luX2VjPLANTED";
  const count = `/model/${llama}/count-tokens`;
  const counted = { input: { converse: body } };
  let keyed: ServerUnderTest;
  let key: string;
  let reader: string;
  beforeAll(async () => {
    keyed = await startServerUnderTest();
    key = (await keyed.post("/v1/keys", { name: "k", admin: true })).body.key;
    reader = (await keyed.as(key).post("/v1/keys", { name: "r", read_only: true })).body.key;
  });
  afterAll(() => keyed.close());
  const send = (headers: Record<string, string>) => keyed.post(count, counted, { ...json, ...headers });

  test.each<[string, () => Record<string, string>]>([
    ["Authorization: Bearer", () => ({ authorization: `Bearer ${key}` })],
    ["AWS_SESSION_TOKEN, next to a signature", () => ({ authorization: sigV4, "x-amz-security-token": key })],
    ["AWS_SESSION_TOKEN alone", () => ({ "x-amz-security-token": key })],
  ])("a key is accepted in %s", async (_where, headers) => {
    expect(await send(headers())).toMatchObject({ status: 200, body: { inputTokens: expect.any(Number) } });
  });

  const remedy =
    "AWS's SDKs send the key if the environment variable AWS_SESSION_TOKEN is set to it, next to any access key.";
  test.each<[string, () => Record<string, string>, string]>([
    ["nothing", () => ({}), "This call requires an API key."],
    ["a signature, which proves nothing", () => ({ authorization: sigV4 }), "This call requires an API key."],
    [
      "a real session token",
      () => ({ authorization: sigV4, "x-amz-security-token": realToken }),
      "This call requires an API key.",
    ],
    ["a real bearer token", () => ({ authorization: `Bearer ${realToken}` }), "The API key is unknown."],
    ["a wrong key", () => ({ "x-amz-security-token": `${key.slice(0, -1)}-` }), "The API key is unknown."],
  ])("%s is refused, with the remedy", async (_what, headers, why) => {
    const { status, headers: answered, body: error, text } = await send(headers());
    expect([status, answered["x-amzn-errortype"]]).toEqual([403, "UnrecognizedClientException"]);
    expect(error.message).toMatch(why);
    expect(error.message.endsWith(remedy)).toBe(true);
    expect(text).not.toMatch(/planted/i);
  });

  test("a read-only key may not call", async () => {
    const { status, headers } = await send({ "x-amz-security-token": reader });
    expect([status, headers["x-amzn-errortype"]]).toEqual([403, "AccessDeniedException"]);
  });

  test("the header of AWS's SDKs is a key for this API only", async () => {
    expect((await keyed.get("/v1/jobs", { "x-amz-security-token": key })).status).toBe(401);
  });

  test("a key's max_wait_s is the longest wait of its calls", async () => {
    const { body: created } = await keyed.as(key).post("/v1/keys", { name: "patient", max_wait_s: 1 });
    expect(created.max_wait_s).toBe(1);
    const held = await keyed.post(converse, body, { ...json, "x-amz-security-token": created.key });
    expect(held.status).toBe(503);
  });

  test("neither signatures nor tokens are logged", () => {
    expect(keyed.context.logged.join("")).not.toMatch(/planted|sk-sluice-/i);
  });
});

// ---------------------------------------------------------------- calls

let invocations = 0;
const invocation = () => ({ ...json, "amz-sdk-invocation-id": `invocation-${++invocations}` });

const { accepted, acceptedJob, recordOf, hasCallers, answer, complete, watch } = heldCalls(() => server);
beforeEach(watch);

const raw = '{"output" : {"message":{"role":"assistant","content":[{"text":"Because."}]}}, "big":12345678901234567890}';

describe("a call", () => {
  test("gets the provider's bytes and headers, and the tokens that it reserves", async () => {
    const sent = server.post(converse, body, invocation());
    const jobId = await acceptedJob();
    const headers = { "content-type": "application/json", "x-amzn-bedrock-input-token-count": "3" };
    await answer(jobId, { body: raw, headers });
    const { job } = await recordOf(jobId);
    expect(await sent).toMatchObject({
      status: 200,
      text: raw,
      headers: {
        ...headers,
        "x-amzn-requestid": expect.any(String),
        "x-sluice-job-id": jobId,
        "x-sluice-reserved-tokens": String(job.tokens.input + 50),
      },
    });
    expect(job.request).toMatchObject({
      native: { operation: "converse", streamed: false, body: JSON.stringify(body) },
      parameters: { maxTokens: 50 },
    });
  });

  test("takes environment and priority from its headers", async () => {
    const headers = { ...invocation(), "x-sluice-environment": "PROD", "x-sluice-priority": "batch" };
    const sent = server.post(converse, body, headers);
    const jobId = await acceptedJob();
    expect((await recordOf(jobId)).job).toMatchObject({ environment: "PROD", priority: "batch" });
    await answer(jobId, { body: raw });
    await sent;
  });

  test("that is held too long is asked to return, and its job waits and may start", async () => {
    const headers = { ...invocation(), "x-sluice-max-wait": "1" };
    const held = await server.post(converse, body, headers);
    const jobId = await acceptedJob();
    expect(held).toMatchObject({
      status: 503,
      headers: {
        "x-amzn-errortype": "ServiceUnavailableException",
        "retry-after": "1",
        "x-sluice-job-id": jobId,
        "x-sluice-reserved-tokens": expect.any(String),
      },
      body: { message: "The job still waits or runs. Send the same request again, and it waits for the same job." },
    });
    expect((await recordOf(jobId)).state).toBe("queued");
    expect(await server.context.scheduler.explain(jobId)).not.toMatchObject({ waitingOn: { kind: "delay" } });

    const again = server.post(converse, body, headers);
    await hasCallers(jobId, 1);
    await answer(jobId, { body: raw });
    expect(await again).toMatchObject({ status: 200, text: raw, headers: { "x-sluice-job-id": jobId } });
    // Another attempt gets the finished answer.
    expect(await server.post(converse, body, headers)).toMatchObject({ status: 200, text: raw });
    expect(accepted).toEqual([]);
  });

  test("that is asked to return and does not is cancelled after the grace period, unless it is kept", async () => {
    const headers = { ...json, "x-sluice-max-wait": "1" };
    const calls = [invocation(), { ...invocation(), "x-sluice-keep": "true" }];
    const held = await Promise.all(calls.map((call) => server.post(converse, body, { ...headers, ...call })));
    expect(held.map(({ status }) => status)).toEqual([503, 503]);
    const ids = held.map((answer) => String(answer.headers["x-sluice-job-id"]));
    const states = () => Promise.all(ids.map(async (id) => (await recordOf(id)).state));
    ahead += 59_000;
    await server.context.callers.tidy();
    expect(await states()).toEqual(["queued", "queued"]);
    ahead += 2_000;
    await server.context.callers.tidy();
    expect(await states()).toEqual(["cancelled", "queued"]);
    expect((await recordOf(ids[0]!)).outcome?.error?.code).toBe("caller_disconnected");
  });

  test("ends before the deadline of the SDK's attempt", async () => {
    const at = new Date(clock.wall() + 4_000).toISOString().replaceAll(/[-:]|\.\d+/g, "");
    const began = clock.now();
    const { status } = await server.post(converse, body, {
      ...invocation(),
      "amz-sdk-request": `ttl=${at}; attempt=2; max=3`,
    });
    expect(status).toBe(503);
    expect(clock.now() - began).toBeLessThan(3_000);
    await acceptedJob();
  });

  test("with an id that was used for another request is refused", async () => {
    const headers = invocation();
    const sent = server.post(converse, body, headers);
    const jobId = await acceptedJob();
    for (const other of [converse, `/model/${llama}/invoke`, "/model/nova-lite/converse"]) {
      const changed = other === converse ? { ...body, system: [{ text: "Be brief." }] } : body;
      await expectRefusal(server.post(other, changed, headers), 400, "ConflictException", /amz-sdk-invocation-id/);
    }
    const guarded = { ...headers, "x-amzn-bedrock-guardrailidentifier": "abc" };
    await expectRefusal(server.post(converse, body, guarded), 400, "ConflictException", /amz-sdk-invocation-id/);
    await answer(jobId, { body: raw });
    expect((await sent).status).toBe(200);
  });

  test("whose job fails gets the failure, which the SDK does not repeat", async () => {
    const sent = server.post(converse, body, invocation());
    const jobId = await acceptedJob();
    await server.context.begin(jobId);
    const error = { code: "tries_exhausted", message: "The model failed 3 times." };
    await server.context.end(jobId, { status: "failed", error }, { result: "transient" });
    expect(await sent).toMatchObject({
      status: 424,
      headers: { "x-amzn-errortype": "ModelErrorException", "x-sluice-job-id": jobId },
      body: { message: error.message },
    });
  });
});

// ---------------------------------------------------------------- streams

/** A streamed call, and the messages that have arrived. */
function stream(headers: Record<string, string>, to = url) {
  const messages: StreamMessage[] = [];
  const controller = new AbortController();
  const { signal } = controller;
  const request = { method: "POST", headers, body: JSON.stringify(body), signal };
  const ended = fetch(`${to}${converse}-stream`, request).then(async (response) => {
    const reader = new EventStreamReader(() => {});
    for await (const chunk of response.body!) messages.push(...reader.read(chunk));
    reader.end();
    return response;
  });
  return { messages, ended, disconnect: () => controller.abort() };
}

const lines = [
  eventLine("messageStart", '{"role":"assistant"}'),
  eventLine("contentBlockDelta", '{"contentBlockIndex":0,"delta":{"text":"Bec\\u00e4use. 漢"}}'),
  eventLine("messageStop", '{"stopReason":"end_turn"}'),
];
const typesOf = (messages: StreamMessage[]) => messages.map((m) => (m.kind === "event" ? m.type : m.kind));

describe("a stream", () => {
  test("says after a second why it waits, and then has the provider's events", async () => {
    const { messages, ended } = stream(invocation());
    const jobId = await acceptedJob();
    await vi.waitFor(() => expect(messages.length).toBeGreaterThan(0), within);
    const [wait] = messages as [StreamMessage & { kind: "event" }];
    expect(wait.type).toBe("sluiceWaiting");
    expect(JSON.parse(wait.payload)).toMatchObject({ state: "queued", position: expect.any(Number) });
    await answer(jobId, { events: lines.join("") });
    const { status, headers } = await ended;
    expect([status, headers.get("content-type")]).toEqual([200, "application/vnd.amazon.eventstream"]);
    expect(headers.get("x-sluice-job-id")).toBe(jobId);
    expect(messages.slice(1)).toEqual(
      lines.map((line) => {
        const [type, payload] = JSON.parse(line);
        return { kind: "event", type, payload };
      }),
    );
  });

  test("that has nothing to send is kept alive, also while its job runs", async () => {
    const another = createHttpServer(server.context, { keepAliveMs: 20 });
    const { messages, ended } = stream(invocation(), await urlOf(another));
    const jobId = await acceptedJob();
    const states = () =>
      messages.flatMap((m) => (m.kind === "event" && m.type === "sluiceWaiting" ? [JSON.parse(m.payload).state] : []));
    await vi.waitFor(() => expect(states()).toContain("queued"), within);
    const attempt = await server.context.begin(jobId);
    await vi.waitFor(() => expect(states().at(-1)).toBe("in_progress"), within);
    const event = { jobId, environment: "UAT", attempt: attempt.n, index: 0, text: lines[0], pieces: 1 };
    server.context.events.publish({ type: "tokens", ...event } as never);
    await vi.waitFor(() => expect(typesOf(messages).slice(-2)).toEqual(["messageStart", "sluiceWaiting"]), within);
    await complete(jobId, { events: lines.join("") });
    await ended;
    expect(typesOf(messages).filter((type) => type !== "sluiceWaiting")).toHaveLength(3);
    await another.close();
  });

  test("that is repeated has the events so far, and then the others, wherever their lines were cut", async () => {
    const headers = invocation();
    const first = stream(headers);
    const jobId = await acceptedJob();
    const attempt = await server.context.begin(jobId);
    const publish = (index: number, text: string, pieces = 1) =>
      server.context.events.publish({
        type: "tokens",
        jobId,
        environment: "UAT",
        attempt: attempt.n,
        index,
        text,
        pieces,
      } as never);
    await hasCallers(jobId, 1);
    publish(0, lines[0]!);
    await vi.waitFor(() => expect(typesOf(first.messages)).toContain("messageStart"), within);
    first.disconnect();
    await expect(first.ended).rejects.toThrow();
    await hasCallers(jobId, 0);

    const second = stream(headers);
    await hasCallers(jobId, 1);
    // The whole text so far, as it is published again for late listeners.
    publish(0, lines[0]! + lines[1]!, 2);
    await complete(jobId, { events: lines.join("") });
    await second.ended;
    const events = typesOf(second.messages).filter((type) => type !== "sluiceWaiting");
    expect(events).toEqual(["messageStart", "contentBlockDelta", "messageStop"]);
    const replayed = stream(headers);
    await replayed.ended;
    expect(typesOf(replayed.messages)).toEqual(events);
    expect(accepted).toEqual([]);
  });

  test("whose answer starts again ends with an exception", async () => {
    const { messages, ended } = stream(invocation());
    const jobId = await acceptedJob();
    await hasCallers(jobId, 1);
    const attempt = await server.context.begin(jobId);
    const publish = (event: object) => server.context.events.publish({ jobId, environment: "UAT", ...event } as never);
    publish({ type: "tokens", attempt: attempt.n, index: 0, text: lines[0] });
    await vi.waitFor(() => expect(typesOf(messages)).toContain("messageStart"), within);
    publish({ type: "restart", attempt: attempt.n + 1 });
    await ended;
    const last = messages.at(-1)!;
    expect(last).toMatchObject({ kind: "exception", type: "modelStreamErrorException" });
    await server.context.end(jobId, { status: "cancelled" });
  });

  test("that fails before its first event gets an error response", async () => {
    await expectRefusal(
      server.post(`${converse}-stream`, body, { ...json, "x-sluice-priority": "urgent" }),
      400,
      "ValidationException",
      /x-sluice-priority/,
    );
  });
});
