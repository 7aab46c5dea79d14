// Anthropic's Messages API before and around a call: keys, refusals, waits and returns. The test plays the worker, and
// moves the clock.
import { once } from "node:events";
import { connect } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import type { FileSettings } from "../../src/config/config-schema.ts";
import { systemClock } from "../../src/domain/clock.ts";
import { eventLine } from "../../src/native/event-lines.ts";
import { openTestStore, type TestStore } from "../support/jobs-context.ts";
import { heldCalls, within } from "./held-calls.ts";
import { urlOf } from "./openai/client.ts";
import { type Answer, type ServerUnderTest, startServerUnderTest } from "./server-under-test.ts";

const region = "us-east-1";
const models: FileSettings["models"] = {
  sonnet: {
    deployments: [
      {
        region,
        modelId: "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        quotas: [{ unit: "tokens", per: "minute", limit: 100_000 }],
      },
    ],
  },
  llama: { deployments: [{ region, modelId: "us.meta.llama3-3-70b-instruct-v1:0" }] },
};
const messages = "/v1/messages";
const body = { model: "sonnet", max_tokens: 50, messages: [{ role: "user", content: "Why?" }] };
const json = { "content-type": "application/json", "anthropic-version": "2023-06-01" };

let shared: TestStore;
let server: ServerUnderTest;
let url: string;
/** How far the clock is ahead, in milliseconds. */
const ahead = 0;
const clock = { now: () => systemClock.now() + ahead, wall: () => systemClock.wall() + ahead };
beforeAll(async () => {
  shared = await openTestStore();
  const limits = { maxRequestBytes: 20_000, maxPromptBytes: 10_000 };
  server = await startServerUnderTest({ models, defaultModel: "sonnet", limits }, shared, { clock, keepAliveMs: 40 });
  url = await urlOf(server.app);
});
afterAll(async () => {
  server.app.server.closeAllConnections();
  await server.close();
  await shared.close();
});

/** Expects an error in Anthropic's form, and that nothing was queued. */
async function expectRefusal(sent: Promise<Answer>, status: number, type: string, message: RegExp): Promise<void> {
  const before = await server.context.countJobs();
  const answer = await sent;
  expect(answer).toMatchObject({ status, headers: { "content-type": "application/json; charset=utf-8" } });
  expect(answer.body).toEqual({
    type: "error",
    error: { type, message: expect.stringMatching(message) },
    request_id: answer.headers["request-id"],
  });
  expect(await server.context.countJobs()).toBe(before);
}

describe("refuses", () => {
  test.each<[string, string | Buffer, Record<string, string>, number, string, RegExp]>([
    ["no JSON", "{", json, 400, "invalid_request_error", /^The body is not valid JSON/],
    ["a list", "[]", json, 400, "invalid_request_error", /^body must be a JSON object/],
    ["nothing", "", json, 400, "invalid_request_error", /empty body|not valid JSON/],
    ["other bytes", Buffer.of(0x7b, 0xff, 0x7d), json, 400, "invalid_request_error", /UTF-8/],
    [
      "a form",
      "a=1",
      { "content-type": "application/x-www-form-urlencoded" },
      415,
      "invalid_request_error",
      /must be JSON/,
    ],
    ["a compressed body", "{}", { ...json, "content-encoding": "gzip" }, 415, "invalid_request_error", /gzip/],
    ["too many bytes", `{"a":"${"x".repeat(20_000)}"}`, json, 413, "request_too_large", /20000 bytes/],
    ["deep nesting", `{"a":${"[".repeat(4_000)}${"]".repeat(4_000)}}`, json, 400, "invalid_request_error", /nested/],
  ])("%s", async (_what, text, headers, status, type, message) => {
    await expectRefusal(server.post(messages, text, headers), status, type, message);
    await expectRefusal(server.post(`${messages}/count_tokens`, text, headers), status, type, message);
  });

  test.each<[string, object, number, string, RegExp]>([
    ["no model", { model: undefined }, 400, "invalid_request_error", /^model must be a string .* got nothing\.$/],
    ["text as stream", { stream: "yes" }, 400, "invalid_request_error", /^stream must be true or false; got "yes"\.$/],
    ["a model that is no text", { model: 5 }, 400, "invalid_request_error", /^model must be a string .* got 5\.$/],
    [
      "an unknown model",
      { model: "claude-opus-4-1" },
      404,
      "not_found_error",
      /^model must be one of sonnet, claude-s/,
    ],
    ["a model that is not Claude", { model: "llama" }, 400, "invalid_request_error", /^"llama" is not a Claude model/],
    ["a stream that is no boolean", { stream: "yes" }, 400, "invalid_request_error", /^stream must be true or false/],
    ["a prompt that no quota admits", { max_tokens: 1e9 }, 400, "invalid_request_error", /context|max_tokens|quota/],
  ])("%s", (_what, changed, status, type, message) =>
    expectRefusal(server.post(messages, { ...body, ...changed }, json), status, type, message),
  );

  test.each<[string, string, Record<string, string>, RegExp]>([
    ["x-sluice-environment", messages, { "x-sluice-environment": "TEST" }, /^environment must be one of/],
    ["x-sluice-keep", messages, { "x-sluice-keep": "yes" }, /^x-sluice-keep must be true or false/],
    ["anthropic-beta", messages, { "anthropic-beta": "x".repeat(9_000) }, /^The header anthropic-beta must be/],
    ["a query parameter", `${messages}?stream=true`, {}, /"stream" is not a known/],
  ])("a wrong %s", (_name, path, headers, message) =>
    expectRefusal(server.post(path, body, { ...json, ...headers }), 400, "invalid_request_error", message),
  );

  test("a path that does not exist yet", () =>
    expectRefusal(server.post(`${messages}/batches`, { requests: [] }, json), 404, "not_found_error", /no route/));

  test("another method", () => expectRefusal(server.get(messages), 405, "invalid_request_error", /use POST/));

  test("a page of another site", () =>
    expectRefusal(
      server.post(messages, body, { ...json, origin: "https://evil.example" }),
      403,
      "permission_error",
      /evil\.example/,
    ));

  test("a client that disconnects in the middle of its body: nothing is queued", async () => {
    const before = await server.context.countJobs();
    const socket = connect(Number(new URL(url).port), "127.0.0.1");
    await once(socket, "connect");
    const aborted = new Promise<void>((done) => {
      server.app.server.once("request", (request) => request.once("close", () => done()));
    });
    socket.write(`POST ${messages} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n`);
    socket.write('content-length: 500\r\n\r\n{"model":"sonnet","messages":[');
    await vi.waitFor(() => expect(socket.bytesWritten).toBeGreaterThan(100));
    socket.destroy();
    await aborted;
    expect(await server.context.countJobs()).toBe(before);
  });
});

describe("with keys", () => {
  let keyed: ServerUnderTest;
  let key: string;
  beforeAll(async () => {
    keyed = await startServerUnderTest({ models, defaultModel: "sonnet" });
    key = (await keyed.post("/v1/keys", { name: "k", admin: true })).body.key;
  });
  afterAll(() => keyed.close());
  const count = (headers: Record<string, string>) =>
    keyed.post(`${messages}/count_tokens`, body, { ...json, ...headers });

  test.each<[string, () => Record<string, string>]>([
    ["x-api-key", () => ({ "x-api-key": key })],
    ["Authorization: Bearer", () => ({ authorization: `Bearer ${key}` })],
    ["x-api-key, next to another token", () => ({ "x-api-key": key, authorization: "Bearer planted" })],
    [
      "Authorization, next to a key of Anthropic's",
      () => ({ "x-api-key": "sk-ant-p", authorization: `Bearer ${key}` }),
    ],
  ])("a key is accepted in %s", async (_where, headers) => {
    expect(await count(headers())).toMatchObject({ status: 200, body: { input_tokens: expect.any(Number) } });
  });

  test.each<[string, () => Record<string, string>, string]>([
    ["nothing", () => ({}), "This call requires an API key."],
    ["a key of Anthropic's", () => ({ "x-api-key": "sk-ant-planted" }), "The API key is unknown."],
    ["a wrong key", () => ({ "x-api-key": `${key.slice(0, -1)}-` }), "The API key is unknown."],
  ])("%s is refused, with the remedy", async (_what, headers, why) => {
    const { status, body: error, text } = await count(headers());
    expect([status, error.error.type]).toEqual([401, "authentication_error"]);
    expect(error.error.message).toMatch(why);
    expect(error.error.message).toContain("ANTHROPIC_API_KEY");
    expect(text).not.toMatch(/planted/);
  });

  test("Anthropic's header is a key for this API only", async () => {
    expect((await keyed.get("/v1/jobs", { "x-api-key": key })).status).toBe(401);
    expect((await keyed.get("/v1/models", { "x-api-key": key })).status).toBe(401);
    expect((await keyed.get("/v1/models", { ...json, "x-api-key": key })).status).toBe(200);
  });
});

describe("models", () => {
  const version = { "anthropic-version": "2023-06-01" };

  test("are in Anthropic's form if the client says so, and in OpenAI's otherwise", async () => {
    const { body: list, headers } = await server.get("/v1/models?limit=5", version);
    expect(list).toMatchObject({ data: [{ type: "model", id: "sonnet" }], has_more: false, first_id: "sonnet" });
    expect(headers["request-id"]).toEqual(expect.any(String));
    expect((await server.get("/v1/models")).body).toMatchObject({ object: "list", data: [{ id: "sonnet" }, {}] });
    expect((await server.get("/v1/models?limit=5")).body.error.message).toMatch(
      /^limit is allowed only with the header/,
    );
  });

  test("are found by any name", async () => {
    for (const id of ["sonnet", "claude-sonnet-4-5", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"]) {
      const { body: found } = await server.get(`/v1/models/${encodeURIComponent(id)}`, version);
      expect(found).toMatchObject({ type: "model", id, display_name: "Claude Sonnet 4.5" });
    }
    await expectRefusal(server.get("/v1/models/a/b", version), 404, "not_found_error", /^model must be one of/);
    await expectRefusal(server.get("/v1/models?limit=0", version), 400, "invalid_request_error", /^limit must be/);
  });
});

// ---------------------------------------------------------------- calls

const { accepted, acceptedJob, recordOf, hasCallers, answer, watch } = heldCalls(() => server);
beforeEach(watch);

const raw = '{"type" : "message","content":[{"type":"text","text":"Because."}], "big":12345678901234567890}';

describe("a message", () => {
  test("is sent with the documented edit, and gets the provider's bytes", async () => {
    const text =
      ' {"model":"claude-sonnet-4-5" , "n": 12345678901234567890, "stream":false,"max_tokens":50,"messages":[]}';
    const headers = { ...json, "anthropic-beta": "a-1, b-2", "x-amzn-bedrock-trace": "ENABLED" };
    const sent = server.post(`${messages}?beta=true`, text, headers);
    const jobId = await acceptedJob();
    await answer(jobId, { body: raw, headers: { "content-type": "application/json", "x-amzn-bedrock-a": "1" } });
    const { status, text: answered, headers: got } = await sent;
    expect([status, answered, got["content-type"]]).toEqual([200, raw, "application/json"]);
    expect(got).toMatchObject({ "x-sluice-job-id": jobId, "request-id": expect.any(String) });
    const { job } = await recordOf(jobId);
    expect(job.request).toEqual({
      native: {
        operation: "invoke",
        streamed: false,
        body: ' {"anthropic_beta":["a-1","b-2"],"anthropic_version":"bedrock-2023-05-31", "n": 12345678901234567890,"max_tokens":50,"messages":[]}',
        headers: { "x-amzn-bedrock-trace": "ENABLED" },
      },
      parameters: { maxTokens: 50 },
    });
    expect(job).toMatchObject({ model: "sonnet", baseModel: "anthropic.claude-sonnet-4-5-20250929-v1:0" });
  });

  test("keeps a version of its own", async () => {
    const sent = server.post(messages, { anthropic_version: "bedrock-2030-01-01", ...body }, json);
    const jobId = await acceptedJob();
    await answer(jobId, { body: raw });
    await sent;
    const { request } = (await recordOf(jobId)).job;
    expect(request).toMatchObject({
      native: { body: expect.stringMatching(/^\{"anthropic_version":"bedrock-2030-01-01",/) },
    });
  });

  test("whose job fails gets the failure, which the SDK does not repeat", async () => {
    const sent = server.post(messages, body, json);
    const jobId = await acceptedJob();
    await server.context.begin(jobId);
    const error = { code: "provider_rejected", message: "max_tokens: Field required" };
    await server.context.end(jobId, { status: "failed", error }, { result: "permanent", error });
    expect(await sent).toMatchObject({
      status: 400,
      headers: { "x-should-retry": "false", "x-sluice-job-id": jobId },
      body: { type: "error", error: { type: "invalid_request_error", message: "max_tokens: Field required" } },
    });
  });
});

const chunk = (event: object) => eventLine("chunk", JSON.stringify({ bytes: btoa(JSON.stringify(event)), p: "abc" }));
const events = [
  { type: "message_start", message: { id: "msg_1", usage: { input_tokens: 3 } } },
  { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "Because." } },
  { type: "message_stop", "amazon-bedrock-invocationMetrics": { inputTokenCount: 3 } },
];

describe("a stream", () => {
  const open = (controller = new AbortController(), headers = {}) =>
    fetch(`${url}${messages}`, {
      method: "POST",
      headers: { ...json, ...headers },
      body: JSON.stringify({ ...body, stream: true }),
      signal: controller.signal,
    });

  test("waits with pings and comments, and then has the model's events", async () => {
    const opened = open();
    const jobId = await acceptedJob();
    const response = await opened;
    expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
    expect(response.headers.get("x-sluice-job-id")).toBe(jobId);
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    const readUntil = async (part: string) => {
      while (!text.includes(part)) {
        const { value, done } = await reader.read();
        if (done) throw new Error(`the stream ended after: ${text}`);
        text += value;
      }
    };
    await readUntil(": queued at position ");
    await readUntil(": keep-alive");
    await readUntil('event: ping\ndata: {"type":"ping"}\n\n');
    await answer(jobId, { events: events.map(chunk).join("") });
    await readUntil("message_stop");
    const after = text
      .slice(text.indexOf("event: message_start"))
      .replaceAll(/(: .*\n)?event: ping\ndata: .*\n\n/g, "");
    const expected = events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join("");
    expect(expected.startsWith(after.trimEnd())).toBe(true);
    expect(after).toContain("amazon-bedrock-invocationMetrics");
    await reader.cancel();
  });

  test("that fails after its first ping ends with an error event", async () => {
    const opened = open();
    const jobId = await acceptedJob();
    const response = await opened;
    await server.context.begin(jobId);
    const error = { code: "tries_exhausted", message: "All attempts failed." };
    await server.context.end(jobId, { status: "failed", error }, { result: "transient", error });
    const [, data] = /event: error\ndata: (.*)\n\n$/.exec(await response.text())!;
    expect(JSON.parse(data!)).toEqual({
      type: "error",
      error: { type: "api_error", message: "All attempts failed." },
      request_id: response.headers.get("request-id"),
    });
  });
});

describe("a client that gave up and sends its request again", () => {
  let body: object;
  let requests = 0;
  beforeEach(() => {
    body = { model: "sonnet", max_tokens: 50, messages: [{ role: "user", content: `Why ${++requests}?` }] };
  });
  const retry = (count: number) => ({ ...json, "x-stainless-retry-count": String(count) });

  /** Returns the jobs that wait for their caller to come back. */
  async function awaitedJobs(): Promise<string[]> {
    const range = { from: "awaited/", to: "awaited/~", limit: 100 };
    const { items } = await server.context.store.records.list({ collection: "controls" }, range);
    return items.map(({ value }) => (value as { jobId: string }).jobId);
  }

  /** Sends a request, waits until it waits for a job, and disconnects. Returns the job. */
  async function cutCall(headers: Record<string, string>, sent = body, jobOf = acceptedJob): Promise<string> {
    const controller = new AbortController();
    const { signal } = controller;
    const call = fetch(`${url}${messages}`, { method: "POST", headers, body: JSON.stringify(sent), signal });
    const jobId = await jobOf();
    await hasCallers(jobId, 1);
    controller.abort();
    await expect(call).rejects.toThrow();
    await vi.waitFor(async () => expect(await awaitedJobs()).toContain(jobId), within);
    return jobId;
  }

  test("waits for the job that it left, whatever happened to it meanwhile", async () => {
    const jobId = await cutCall(retry(0));
    await cutCall(retry(1), body, async () => jobId);
    await answer(jobId, { body: raw });
    expect(await server.post(messages, body, retry(2))).toMatchObject({
      status: 200,
      text: raw,
      headers: { "x-sluice-job-id": jobId },
    });
    expect(accepted).toEqual([]);
  });

  test("comes back before it is recorded that it left", async () => {
    const { callers, store } = server.context;
    let open = () => {};
    const gate = new Promise<void>((done) => {
      open = done;
    });
    const insert = store.records.insert.bind(store.records);
    const slow = vi.spyOn(store.records, "insert").mockImplementation(async (...record) => {
      await gate;
      return insert(...record);
    });
    const controller = new AbortController();
    const sent = { method: "POST", headers: retry(0), body: JSON.stringify(body), signal: controller.signal };
    const call = fetch(`${url}${messages}`, sent);
    const jobId = await acceptedJob();
    await hasCallers(jobId, 1);
    controller.abort();
    await expect(call).rejects.toThrow();
    await vi.waitFor(() => expect(slow).toHaveBeenCalled(), within);
    const waited = vi.spyOn(callers, "settled");
    const again = server.post(messages, body, retry(1));
    await vi.waitFor(() => expect(waited).toHaveBeenCalledOnce(), within);
    // Meanwhile the service has time for another request, but does not look for the job.
    const listed = vi.spyOn(store.records, "list");
    await server.post(`${messages}/count_tokens`, body, json);
    expect(listed).not.toHaveBeenCalled();
    open();
    await hasCallers(jobId, 1);
    await answer(jobId, { body: raw });
    expect((await again).headers["x-sluice-job-id"]).toBe(jobId);
    expect(accepted).toEqual([]);
    vi.restoreAllMocks();
  });

  test("gets the answer of a job that ended while it left", async () => {
    const { store } = server.context;
    const get = store.get;
    const controller = new AbortController();
    const sent = { method: "POST", headers: retry(0), body: JSON.stringify(body), signal: controller.signal };
    const call = fetch(`${url}${messages}`, sent);
    const jobId = await acceptedJob();
    await hasCallers(jobId, 1);
    // The job ends before the service has read it for the last time.
    store.get = async (...id) => {
      store.get = get;
      await answer(jobId, { body: raw });
      return get(...id);
    };
    controller.abort();
    await expect(call).rejects.toThrow();
    await vi.waitFor(async () => expect(await awaitedJobs()).toContain(jobId), within);
    expect(await server.post(messages, body, retry(1))).toMatchObject({
      text: raw,
      headers: { "x-sluice-job-id": jobId },
    });
    expect(accepted).toEqual([]);
  });

  test("has another job if it changed its request", async () => {
    const jobId = await cutCall(retry(0));
    for (const changed of [
      { ...body, max_tokens: 51 },
      { ...body, stream: true },
    ]) {
      expect(await cutCall(retry(1), changed)).not.toBe(jobId);
    }
  });

  test("has another job if it is a new call with the same text", async () => {
    const jobId = await cutCall(retry(0));
    expect(await cutCall(retry(0))).not.toBe(jobId);
  });

  test("two equal calls at a time are two jobs, and each retry gets one of them", async () => {
    const jobs = [await cutCall(retry(0)), await cutCall(retry(0))];
    expect(new Set(jobs).size).toBe(2);
    for (const jobId of jobs) await answer(jobId, { body: raw });
    const answers = await Promise.all([1, 1].map((n) => server.post(messages, body, retry(n))));
    expect(answers.map(({ headers }) => headers["x-sluice-job-id"]).sort()).toEqual(jobs.sort());
  });
});
