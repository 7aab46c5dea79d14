// Native jobs over HTTP, without a worker: estimates, retries, erasure, and what is refused with its field.
import { afterAll, beforeAll, expect, test } from "vitest";
import type { NativeRequest } from "../../src/domain/native-request.ts";
import { type ServerUnderTest, startServerUnderTest } from "./server-under-test.ts";

const modelId = "us.anthropic.claude-haiku-4-5-20251001-v1:0";
let server: ServerUnderTest;
beforeAll(async () => {
  server = await startServerUnderTest({
    models: { haiku: { deployments: [{ region: "us-east-1", modelId }] } },
    defaultModel: "haiku",
  });
});
afterAll(() => server.close());

const body = '{ "max_tokens": 1.0e2, "messages": [{"role": "user", "content": "Hello?"}], "n": 9007199254740993 }';
const request = (more = "", inner = "") =>
  `{"environment": "UAT"${more}, "native": {"operation": "invoke"${inner}, "body": ${body}}}`;

async function submitted(text: string) {
  const answer = await server.post("/v1/jobs", text);
  expect(answer.status, answer.text).toBe(200);
  return answer.body;
}

test("a dry run counts the body's texts and its limit", async () => {
  const { tokens, cost_usd: cost } = await submitted(request(', "dry_run": true'));
  expect(tokens).toMatchObject({ max_output: 100 });
  expect(tokens.input).toBeGreaterThan(8);
  expect(tokens.input).toBeLessThan(30);
  expect(cost.max).toBeGreaterThan(0);
});

test("a retry has the same body, model and headers", async () => {
  const headers = ', "headers": {"X-Amzn-Bedrock-Trace": "ENABLED"}, "stream": true';
  const { job_id: jobId, max_tokens } = await submitted(request("", headers));
  expect(max_tokens).toBe(100);
  await server.context.end(jobId, { status: "failed", error: { code: "provider_rejected", message: "no" } });
  const { body: retried } = await server.post(`/v1/jobs/${jobId}/retry`, {});
  const [first, second] = await Promise.all([jobId, retried.job_id].map((id) => server.context.store.get(id)));
  expect(second!.job.request).toEqual(first!.job.request);
  expect(second!.job).toMatchObject({ baseModel: first!.job.baseModel, retryOf: jobId });
  expect((second!.job.request as NativeRequest).native).toEqual({
    operation: "invoke",
    streamed: true,
    body,
    headers: { "x-amzn-bedrock-trace": "ENABLED" },
  });
});

test("once erased, neither body nor answer is left, and no retry is possible", async () => {
  const { job_id: jobId } = await submitted(request());
  const native = { body: '{"secret": 1}', headers: { "content-type": "application/json" } };
  await server.context.end(jobId, { status: "completed", text: "secret", native });
  expect((await server.get(`/v1/jobs/${jobId}`)).body).toMatchObject({ text: "secret", native });
  await server.context.store.eraseTexts("UAT", jobId);
  const { body: job, text } = await server.get(`/v1/jobs/${jobId}`);
  expect(job).toMatchObject({ erased: true, text: "", native: { operation: "invoke", body: null, headers: null } });
  expect(text).not.toContain("secret");
  const asked = await server.get(`/v1/jobs/${jobId}/request`);
  expect(asked.body).toMatchObject({ erased: true, native: null, max_tokens: 100 });
});

test.each([
  ["a list as body", '"native": {"operation": "invoke", "body": [1]}', "invalid_request", "native.body"],
  ["a text as body", '"native": {"operation": "invoke", "body": "{}"}', "invalid_request", "native.body"],
  ["no body", '"native": {"operation": "invoke"}', "invalid_request", "native.body"],
  [
    "another operation",
    '"native": {"operation": "converse-stream", "body": {}}',
    "invalid_request",
    "native.operation",
  ],
  [
    "an unknown field",
    '"native": {"operation": "invoke", "body": {}, "model": "m"}',
    "invalid_request",
    "native.model",
  ],
  [
    "native twice",
    `"native": {"operation": "invoke", "body": {"a": 1}}, "native": {"operation": "invoke", "body": 2}`,
    "invalid_request",
    "native.body",
  ],
  [
    "fallbacks",
    `"native": {"operation": "invoke", "body": {}}, "fallback_models": ["haiku"]`,
    "invalid_request",
    "fallback_models",
  ],
  [
    "half of a surrogate pair",
    `"native": {"operation": "invoke", "body": {"a": "\\ud800"}}`,
    "invalid_request",
    "native.body.a",
  ],
  [
    "a body that is nested too deeply",
    `"native": {"operation": "invoke", "body": {"a": ${"[".repeat(90)}${"]".repeat(90)}}}`,
    "invalid_request",
    "body",
  ],
  [
    "an inexact number outside of the body",
    `"native": {"operation": "invoke", "body": {}}, "expires_in": 9007199254740993`,
    "invalid_request",
    "expires_in",
  ],
])("%s is refused", async (_, fields, code, field) => {
  const { status, body: refused } = await server.post("/v1/jobs", `{"environment": "UAT", ${fields}}`);
  expect([status, refused.error.code, refused.error.field]).toEqual([400, code, field]);
});
