// Every kind of bad input gets its code, names its field, and leaves nothing behind.
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { errorTable } from "../../src/domain/errors.ts";
import { type Answer, type ServerUnderTest, startServerUnderTest } from "./server-under-test.ts";

let server: ServerUnderTest;
beforeAll(async () => {
  server = await startServerUnderTest({ limits: { maxRequestBytes: 200_000, maxPromptBytes: 100_000 } });
});
afterAll(() => server.close());

type Expected = [code: keyof typeof errorTable, field?: string, message?: string];

function expectError(answer: Answer, [code, field, message]: Expected) {
  expect(answer.body?.error, answer.text).toMatchObject({ code, ...(field !== undefined && { field }) });
  expect(answer.status).toBe(errorTable[code].status);
  expect(answer.body.error.field).toBe(field);
  if (message) expect(answer.body.error.message).toBe(message);
  expect(Object.keys(answer.body.error)).toEqual(
    ["code", "message", "field", "job_id", "advice", "request_id"].filter((key) => key in answer.body.error),
  );
  expect(answer.body.error.advice).toBe(errorTable[code].advice);
  expect(answer.body.error.request_id).toMatch(/^[0-9a-f]{8}-[0-9a-z]+$/);
  expect(answer.text.length).toBeLessThan(2000);
  expect(answer.text).not.toMatch(/node_modules|\.ts:|at async/);
}

const good = { prompt: "Hello?", environment: "UAT" };
const half = "\ud800";

/** Bad for both doors. */
const badSubmits: [name: string, body: unknown, ...Expected][] = [
  ["null", null, "invalid_json", undefined, "The body must be a JSON object; got null."],
  ["a list", [], "invalid_json", undefined, "The body must be a JSON object; got a list."],
  ["a number", 5, "invalid_json", undefined, "The body must be a JSON object; got 5."],
  ["text", JSON.stringify("x"), "invalid_json", undefined, 'The body must be a JSON object; got "x".'],
  ["nothing", "", "invalid_json", undefined, "The body must be a JSON object; got an empty body."],
  ["half an object", '{"prompt":', "invalid_json"],
  [
    "bytes that are no UTF-8",
    Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d]),
    "invalid_json",
    undefined,
    "The body is not valid UTF-8.",
  ],
  ["__proto__", '{"__proto__":{},"prompt":"x","environment":"UAT"}', "invalid_json"],
  ["constructor.prototype", '{"constructor":{"prototype":{}},"prompt":"x"}', "invalid_json"],
  ["no environment", { prompt: "x" }, "invalid_request", "environment", "environment is required."],
  [
    "empty prompt",
    { ...good, prompt: "" },
    "invalid_request",
    "prompt",
    "prompt must not be empty or only whitespace.",
  ],
  ["blank prompt", { ...good, prompt: " \n\t\u00a0\u2003" }, "invalid_request", "prompt"],
  ["prompt of a wrong type", { ...good, prompt: 5 }, "invalid_request", "prompt", "prompt must be a string; got 5."],
  ["prompt that is no Unicode", JSON.stringify({ ...good, prompt: `a${half}b` }), "invalid_request", "prompt"],
  ["system that is no Unicode", JSON.stringify({ ...good, system: half }), "invalid_request", "system"],
  [
    "unknown environment",
    { ...good, environment: "DEV" },
    "unknown_environment",
    "environment",
    'environment must be one of UAT, PROD; got "DEV".',
  ],
  ["environment in lower case", { ...good, environment: "uat" }, "unknown_environment", "environment"],
  ["environment of the prototype", { ...good, environment: "toString" }, "unknown_environment", "environment"],
  [
    "unknown model",
    { ...good, model: "gpt" },
    "unknown_model",
    "model",
    'model must be one of llama3-3-70b, nova-lite; got "gpt".',
  ],
  ["model of the prototype", { ...good, model: "constructor" }, "unknown_model", "model"],
  ["a long name", { ...good, model: "x".repeat(9999) }, "unknown_model", "model"],
  ["unknown field", { ...good, promt: 1 }, "invalid_request", "promt"],
  ["unknown long field", { ...good, ["x".repeat(9999)]: 1 }, "invalid_request", "x".repeat(100)],
  [
    "max_tokens as text",
    { ...good, max_tokens: "abc" },
    "invalid_request",
    "max_tokens",
    'max_tokens must be an integer of at least 1; got "abc".',
  ],
  ["max_tokens as a number in text", { ...good, max_tokens: "5" }, "invalid_request", "max_tokens"],
  ["max_tokens of 0", { ...good, max_tokens: 0 }, "invalid_request", "max_tokens"],
  ["max_tokens of a half", { ...good, max_tokens: 1.5 }, "invalid_request", "max_tokens"],
  ["max_tokens of 1e999", '{"prompt":"x","environment":"UAT","max_tokens":1e999}', "invalid_request", "max_tokens"],
  [
    "max_tokens above the model's limit",
    { ...good, max_tokens: 2049 },
    "invalid_request",
    "max_tokens",
    "max_tokens must be an integer between 1 and 2048; got 2049.",
  ],
  [
    "temperature",
    { ...good, temperature: 2.1 },
    "invalid_request",
    "temperature",
    "temperature must be a number between 0 and 2; got 2.1.",
  ],
  ["top_p", { ...good, top_p: -0.1 }, "invalid_request", "top_p"],
  [
    "priority",
    { ...good, priority: "high" },
    "invalid_request",
    "priority",
    'priority must be one of interactive, standard, batch; got "high".',
  ],
  ["expires_in of 0", { ...good, expires_in: 0 }, "invalid_request", "expires_in"],
  ["expires_in of a century", { ...good, expires_in: 3e9 }, "invalid_request", "expires_in"],
  ["metadata as a list", { ...good, metadata: [] }, "invalid_request", "metadata"],
  [
    "metadata with a number",
    { ...good, metadata: { a: 1 } },
    "invalid_request",
    "metadata.a",
    "metadata.a must be a string of at most 512 characters; got 1.",
  ],
  [
    "metadata with a long key",
    { ...good, metadata: { ok: "", ["k".repeat(65)]: "" } },
    "invalid_request",
    "metadata",
    `A key of metadata must be a string of 1 to 64 characters; got "${"k".repeat(60)}...".`,
  ],
  [
    "metadata with too many keys",
    { ...good, metadata: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [i, ""])) },
    "invalid_request",
    "metadata",
    "metadata must be an object of at most 16 entries, each with a string of 1 to 64 characters as key and a string of at most 512 characters as value; got an object of 17 entries.",
  ],
  [
    "a prompt over the limit",
    { ...good, prompt: "ü".repeat(50_001) },
    "too_large",
    "prompt",
    "prompt and system are 100002 bytes of UTF-8; at most 100000 are allowed (limits.maxPromptBytes).",
  ],
  [
    "prompt and system over the limit",
    { ...good, prompt: "a".repeat(60_000), system: "b".repeat(60_000) },
    "too_large",
    "prompt",
  ],
  [
    "a body over the limit",
    { ...good, prompt: "a".repeat(200_000) },
    "too_large",
    "body",
    "The body is larger than 200000 bytes (limits.maxRequestBytes).",
  ],
  ["a cost that no quota admits", { ...good, prompt: "word ".repeat(19_900) }, "exceeds_quota"],
  ["more than the context", { ...good, prompt: "1 ".repeat(30_000), max_tokens: 2048 }, "context_exceeded"],
  [
    "text nested without end",
    `{"prompt":${"[".repeat(90_000)}${"]".repeat(90_000)},"environment":"UAT"}`,
    "invalid_request",
    "prompt",
    "prompt must be a string; got a list.",
  ],
];

/** Only /v1/jobs has these fields. */
const badJobs: [name: string, body: unknown, ...Expected][] = [
  [
    "neither prompt nor messages",
    { environment: "UAT" },
    "invalid_request",
    "prompt",
    "prompt, messages or native is required.",
  ],
  ["prompt null", { ...good, prompt: null }, "invalid_request", "prompt", "prompt, messages or native is required."],
  ["both prompt and messages", { ...good, messages: [{ role: "user", content: "x" }] }, "invalid_request", "messages"],
  ["no messages", { environment: "UAT", messages: [] }, "invalid_request", "messages"],
  ["messages of a wrong type", { environment: "UAT", messages: "x" }, "invalid_request", "messages"],
  [
    "a message without content",
    { environment: "UAT", messages: [{ role: "user" }] },
    "invalid_request",
    "messages[0].content",
    "messages[0].content is required.",
  ],
  [
    "an unknown role",
    { environment: "UAT", messages: [{ role: "tool", content: "x" }] },
    "invalid_request",
    "messages[0].role",
    'messages[0].role must be one of user, assistant, system; got "tool".',
  ],
  [
    "an unknown field in a message",
    { environment: "UAT", messages: [{ role: "user", content: "x", name: "y" }] },
    "invalid_request",
    "messages[0].name",
  ],
  [
    "content of a wrong type",
    { environment: "UAT", messages: [{ role: "user", content: [{ type: "image" }] }] },
    "invalid_request",
    "messages[0].content",
    "messages[0].content must be a string or a list of 1 to 1000 items, each an object of type text (with text), tool_call (with id and name), tool_result (with call_id and text), cache_point, image (with media_type and data), document (with media_type and data) or reasoning; got a list.",
  ],
  ["blank messages", { environment: "UAT", messages: [{ role: "user", content: " " }] }, "invalid_request", "messages"],
  [
    "only a blank system message",
    { environment: "UAT", messages: [{ role: "system", content: " " }] },
    "invalid_request",
    "messages",
  ],
  [
    "the assistant first",
    { environment: "UAT", messages: [{ role: "assistant", content: "x" }] },
    "invalid_request",
    "messages",
  ],
  [
    "a temperature that Bedrock does not take",
    { ...good, temperature: 1.1 },
    "invalid_request",
    "temperature",
    "temperature must be between 0 and 1 for the model llama3-3-70b; got 1.1.",
  ],
  [
    "a tool without a name",
    { ...good, tools: [{ input_schema: {} }] },
    "invalid_request",
    "tools[0].name",
    "tools[0].name is required.",
  ],
  [
    "a tool's name with a space",
    { ...good, tools: [{ name: "a b", input_schema: {} }] },
    "invalid_request",
    "tools[0].name",
  ],
  [
    "a tool's schema that is none",
    { ...good, tools: [{ name: "a", input_schema: true }] },
    "invalid_request",
    "tools[0].input_schema",
    "tools[0].input_schema must be an object; got true.",
  ],
  [
    "two tools of one name",
    { ...good, tools: Array(2).fill({ name: "a", input_schema: {} }) },
    "invalid_request",
    "tools",
  ],
  [
    "a choice of no tool",
    { ...good, tools: [{ name: "a", input_schema: {} }], tool_choice: "always" },
    "invalid_request",
    "tool_choice",
    'tool_choice must be one of auto, required, none or an object with name; got "always".',
  ],
  ["a choice without tools", { ...good, tool_choice: "auto" }, "invalid_request", "tool_choice"],
  [
    "a format that is none",
    { ...good, response_format: { type: "xml" } },
    "invalid_request",
    "response_format",
    "response_format must be an object of type json_schema (with name and schema) or json_object; got an object.",
  ],
  [
    "a format that the model has not",
    { ...good, response_format: { type: "json_object" } },
    "invalid_request",
    "response_format",
  ],
  ["a tier that is none", { ...good, service_tier: "best" }, "invalid_request", "service_tier"],
  ["a guardrail without a version", { ...good, guardrail: { id: "g" } }, "invalid_request", "guardrail.version"],
  [
    "a guardrail's version that is none",
    { ...good, guardrail: { id: "g", version: "0" } },
    "invalid_request",
    "guardrail.version",
  ],
  ["a parameter that the model has not", { ...good, top_k: 5 }, "invalid_request", "top_k"],
  ["top_k", { ...good, top_k: 0 }, "invalid_request", "top_k", "top_k must be an integer between 1 and 10000; got 0."],
  ["a seed with a fraction", { ...good, seed: 0.5 }, "invalid_request", "seed"],
  ["a penalty", { ...good, presence_penalty: 3 }, "invalid_request", "presence_penalty"],
  ["an effort", { ...good, reasoning_effort: "all" }, "invalid_request", "reasoning_effort"],
  [
    "a tool's result in a system message",
    {
      environment: "UAT",
      messages: [{ role: "system", content: [{ type: "tool_result", call_id: "1", text: "x" }] }],
    },
    "invalid_request",
    "messages[0].content",
  ],
  [
    "a tool's result without a call",
    { environment: "UAT", messages: [{ role: "user", content: [{ type: "tool_result", call_id: "1", text: "x" }] }] },
    "invalid_request",
    "messages",
  ],
  [
    "a schema that is nested without end",
    `{"prompt":"x","environment":"UAT","tools":[{"name":"a","input_schema":${'{"a":'.repeat(2000)}1${"}".repeat(2000)}}]}`,
    "invalid_request",
    "tools",
    "tools must not be nested deeper than 64 levels.",
  ],
  ["too many stops", { ...good, stop: Array(17).fill("x") }, "invalid_request", "stop"],
  [
    "an empty stop",
    { ...good, stop: [""] },
    "invalid_request",
    "stop[0]",
    'stop[0] must be a string of 1 to 256 characters; got "".',
  ],
  ["a stop that is no Unicode", JSON.stringify({ ...good, stop: [half] }), "invalid_request", "stop[0]"],
  [
    "a region that serves nothing",
    { ...good, regions: ["eu-west-1"] },
    "invalid_request",
    "regions",
    "regions: no deployment of llama3-3-70b serves eu-west-1; available: us-east-1.",
  ],
  ["an unknown fallback", { ...good, fallback_models: ["gpt"] }, "unknown_model", "fallback_models"],
  ["on_unknown", { ...good, on_unknown: "ask" }, "invalid_request", "on_unknown"],
  ["not_before that is no time", { ...good, not_before: "tomorrow" }, "invalid_request", "not_before"],
  [
    "not_before on a day that does not exist",
    { ...good, not_before: "2030-02-31T25:00:00Z" },
    "invalid_request",
    "not_before",
  ],
  ["not_before in the past by seconds", { ...good, not_before: -1 }, "invalid_request", "not_before"],
  ["not_before in a century", { ...good, not_before: "2130-01-01T00:00:00Z" }, "invalid_request", "not_before"],
  ["not_before after the deadline", { ...good, not_before: 60, expires_in: 60 }, "invalid_request", "not_before"],
];

describe("POST /enqueue", () => {
  test.each([
    ...badSubmits,
    [
      "prompt null",
      { ...good, prompt: null },
      "invalid_request",
      "prompt",
      "prompt must be a string; got null.",
    ] as const,
    ["no prompt", { environment: "UAT" }, "invalid_request", "prompt", "prompt is required."] as const,
    ["a field of /v1/jobs", { ...good, stop: ["x"] }, "invalid_request", "stop"] as const,
  ])("%s", async (_name, body, ...expected) => {
    const before = await server.context.countJobs();
    const answer = await server.post("/enqueue", body);
    expectError(answer, expected as Expected);
    expect(Object.keys(answer.body)).toEqual(["success", "error"]);
    expect(answer.body.success).toBe(false);
    expect(await server.context.countJobs()).toBe(before);
  });
});

describe("POST /v1/jobs", () => {
  test.each([...badSubmits, ...badJobs])("%s", async (_name, body, ...expected) => {
    const before = await server.context.countJobs();
    const answer = await server.post("/v1/jobs", body);
    expectError(answer, expected as Expected);
    expect(Object.keys(answer.body)).toEqual(["error"]);
    expect(await server.context.countJobs()).toBe(before);
  });
});

test("a refusal for a quota names the quota and the two numbers", async () => {
  const answer = await server.post("/v1/jobs", { ...good, prompt: "word ".repeat(19_900), max_tokens: 500 });
  expectError(answer, ["exceeds_quota"]);
  expect(answer.body.error.message).toMatch(
    /^The job would reserve (2\d{4}) tokens \(input \d+ \+ max_tokens 500\); the quota \S+ of bedrock\/us-east-1\/\S+ admits at most 20000 per minute\.$/,
  );
});

const unknownId = "00000000-0000-7000-8000-000000000000";

describe("other requests", () => {
  const cases: [method: "GET" | "POST" | "PUT", url: string, ...Expected][] = [
    ["GET", "/status/abc", "invalid_request", "job_id", 'job_id must be a UUID; got "abc".'],
    ["GET", `/status/${unknownId}x`, "invalid_request", "job_id"],
    ["GET", `/status/${"a".repeat(9_000)}`, "invalid_request", "job_id"],
    ["GET", `/status/${unknownId}`, "job_not_found", undefined, `There is no job ${unknownId}.`],
    ["GET", "/v1/jobs/abc", "invalid_request", "job_id"],
    ["GET", `/v1/jobs/${unknownId}`, "job_not_found"],
    ["GET", `/v1/jobs/${unknownId}?wait=1`, "job_not_found"],
    [
      "GET",
      `/v1/jobs/${unknownId}?wait=-1`,
      "invalid_request",
      "wait",
      "wait must be an integer between 0 and 60; got -1.",
    ],
    ["GET", `/v1/jobs/${unknownId}?wait=61`, "invalid_request", "wait"],
    ["GET", `/v1/jobs/${unknownId}?wait=soon`, "invalid_request", "wait"],
    ["GET", `/v1/jobs/${unknownId}?wiat=1`, "invalid_request", "wiat"],
    ["POST", "/v1/jobs/abc/cancel", "invalid_request", "job_id"],
    ["POST", `/v1/jobs/${unknownId}/cancel`, "job_not_found"],
    ["POST", "/v1/jobs/abc/retry", "invalid_request", "job_id"],
    ["POST", `/v1/jobs/${unknownId}/retry`, "job_not_found"],
    ["GET", "/v1/jobs?limit=0", "invalid_request", "limit", "limit must be an integer between 1 and 1000; got 0."],
    ["GET", "/v1/jobs?limit=1001", "invalid_request", "limit"],
    ["GET", "/v1/jobs?limit=ten", "invalid_request", "limit"],
    ["GET", "/v1/jobs?limit=1&limit=2", "invalid_request", "limit"],
    ["GET", "/v1/jobs?status=done", "invalid_request", "status"],
    ["GET", "/v1/jobs?priority=high", "invalid_request", "priority"],
    ["GET", "/v1/jobs?environment=DEV", "unknown_environment", "environment"],
    ["GET", "/v1/jobs?submitted_after=yesterday", "invalid_request", "submitted_after"],
    ["GET", "/v1/jobs?submitted_after=2026-02-30T00:00:00Z", "invalid_request", "submitted_after"],
    ["GET", "/v1/jobs?cursor=nonsense", "invalid_request", "cursor"],
    ["GET", "/v1/jobs?colour=red", "invalid_request", "colour"],
    [
      "GET",
      `/status/${unknownId}?wait=30`,
      "invalid_request",
      "wait",
      '"wait" is not a known query parameter; known query parameters: none.',
    ],
    ["POST", `/v1/jobs/${unknownId}/cancel?force=1`, "invalid_request", "force"],
    ["GET", "/v1/deployments?model=x", "invalid_request", "model"],
    ["GET", "/nothing", "not_found"],
    ["GET", "/docs/nothing", "not_found"],
    ["POST", "/nothing", "not_found"],
    ["GET", "/status/", "invalid_request", "job_id"],
    ["GET", "/status/%zz", "invalid_request"],
    ["GET", "/enqueue", "method_not_allowed", undefined, "GET is not allowed; use POST."],
    ["PUT", "/enqueue", "method_not_allowed"],
    ["POST", `/status/${unknownId}`, "method_not_allowed"],
    [
      "PUT",
      `/v1/jobs/${unknownId}`,
      "method_not_allowed",
      undefined,
      "PUT is not allowed; use GET, HEAD, PATCH or DELETE.",
    ],
    ["GET", `/v1/jobs/${unknownId}/cancel`, "method_not_allowed"],
    ["POST", "/healthz", "method_not_allowed"],
  ];
  test.each(cases)("%s %s", async (method, url, ...expected) => {
    const answer = await server.app.inject({ method, url });
    const body = answer.json();
    expectError({ status: answer.statusCode, headers: answer.headers, text: answer.body, body }, expected);
    if (expected[0] === "method_not_allowed") expect(answer.headers.allow).toMatch(/GET|POST/);
  });

  test("a body that is not JSON", async () => {
    for (const type of [
      "text/plain",
      "application/x-www-form-urlencoded",
      "multipart/form-data; boundary=x",
      "application/jsonx",
    ]) {
      const answer = await server.post("/enqueue", JSON.stringify(good), { "content-type": type });
      expectError(answer, ["unsupported_media_type"]);
    }
    expectError(await server.post("/enqueue"), ["invalid_json"]);
  });

  test("a list that is too short or too long is told what it may have, and what it has", async () => {
    const url = "/v1/chat/completions";
    const allowed = "messages must be a list of 1 to 2000 items, each an object with role; got";
    const said = async (messages: unknown) => (await server.post(url, { messages })).body.error.message as string;
    expect(await said([])).toContain(`${allowed} an empty list.`);
    expect(await said(new Array(2001).fill({ role: "user", content: "x" }))).toContain(`${allowed} a list of 2001.`);
    expect(await said({})).toContain(`${allowed} an object.`);
  });

  test("a body that is compressed", async () => {
    const headers = { "content-type": "application/json", "content-encoding": "gzip" };
    expectError(await server.post("/enqueue", gzipSync(JSON.stringify(good)), headers), [
      "unsupported_media_type",
      "Content-Encoding",
      'Content-Encoding "gzip" is not supported. Send the body uncompressed.',
    ]);
    const answer = await server.post("/enqueue", good, { ...headers, "content-encoding": "identity" });
    expect(answer.status).toBe(200);
  });

  test("probes may carry any query", async () => {
    for (const url of ["/healthz?x=1", "/readyz?x=1"]) expect((await server.get(url)).status).toBe(200);
  });

  test("what is wrong with a path comes before what is wrong with its body", async () => {
    expectError(await server.post("/nothing", "{"), ["not_found"]);
    expectError(await server.post("/nothing", "x", { "content-type": "text/plain" }), ["not_found"]);
    expectError(await server.post("/healthz", "x", { "content-type": "text/plain" }), ["method_not_allowed"]);
  });
});
