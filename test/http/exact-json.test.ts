// Numbers that JavaScript cannot represent: kept as text in schemas and tool input, refused with their place elsewhere.

import { afterAll, beforeAll, expect, test } from "vitest";
import { canonicalPart } from "../../src/domain/request.ts";
import { LineError, lineErrorOf, lineJob, requestLine } from "../../src/jobs/batches/batch-lines.ts";
import { lineFormats } from "../../src/wire/openai/line-formats.ts";
import { batchRequestAt } from "../batches/support.ts";
import { type ServerUnderTest, startServerUnderTest } from "./server-under-test.ts";

let server: ServerUnderTest;
beforeAll(async () => {
  const deployment = { provider: "openai", baseUrl: "http://127.0.0.1:1/v1", modelId: "any" } as const;
  server = await startServerUnderTest({ models: { any: { deployments: [deployment] } }, defaultModel: "any" });
});
afterAll(() => server.close());

/** Pretty-printed, with a number that only its text has, and others that JavaScript would print in another way. */
const schema = `{ "type": "object",
  "properties": {"2": {"maximum": 9223372036854775807}, "1": {"minimum": -9223372036854775808, "default": 1.0}} }`;
const input = '{"id": 2512292042121000001, "b": 1.0, "2": 1, "e": 1e400}';
const messages = '[{"role": "user", "content": "Why?"}]';

const apis = {
  "/v1/jobs": {
    body: (more: string) => `{"environment": "UAT", "messages": ${messages}${more}}`,
    tools: `"tools": [{"name": "f", "input_schema": ${schema}}]`,
    format: `"response_format": {"type": "json_schema", "name": "n", "schema": ${schema}}`,
  },
  "/v1/chat/completions": {
    body: (more: string) => `{"messages": ${messages}${more}}`,
    tools: `"tools": [{"type": "function", "function": {"name": "f", "parameters": ${schema}}}]`,
    format: `"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": ${schema}}}`,
  },
  "/v1/responses": {
    body: (more: string) => `{"background": true, "input": ${messages}${more}}`,
    tools: `"tools": [{"type": "function", "name": "f", "parameters": ${schema}}]`,
    format: `"text": {"format": {"type": "json_schema", "name": "n", "schema": ${schema}}}`,
  },
};

/** The job that a body asks for, on whichever path. A chat is not waited for. */
async function requestOf(url: string, body: string) {
  const ids: string[] = [];
  server.context.events.publishAccepted = (jobs) => ids.push(...jobs.map(({ id }) => id));
  const answer = server.post(url, body);
  await expect.poll(() => ids.length, { timeout: 15_000, interval: 5 }).toBe(1);
  await server.context.end(ids[0]!, { status: "completed", text: "" });
  expect((await answer).status).toBe(200);
  return canonicalPart((await server.context.store.get(ids[0]!))!.job.request);
}

test.each(Object.entries(apis))(
  "schemas sent to %s stay the text that they are",
  async (url, { body, tools, format }) => {
    const request = await requestOf(url, body(`, ${tools}, ${format}`));
    expect(request.tools).toEqual([{ name: "f", inputSchema: schema }]);
    expect(request.responseFormat).toEqual({ type: "json_schema", name: "n", schema });
  },
);

test("tool input sent to /v1/jobs stays the text that it is", async () => {
  const call = `{"type": "tool_call", "id": "c", "name": "f", "input": ${input}}`;
  const result = '{"type": "tool_result", "call_id": "c", "text": "x"}';
  const more = `{"role": "assistant", "content": [${call}]}, {"role": "user", "content": [${result}]}`;
  const request = await requestOf(
    "/v1/jobs",
    `{"environment": "UAT", "messages": [${messages.slice(1, -1)}, ${more}]}`,
  );
  expect(request.messages[1]!.content).toEqual([{ type: "tool_call", id: "c", name: "f", arguments: input }]);
});

test("a response shows the schemas that it was asked with, whole, as events and in a list of results", async () => {
  const { body, tools, format } = apis["/v1/responses"];
  const created = await server.post("/v1/responses", body(`, ${tools}, ${format}`));
  const shown = (text: string) => text.split(schema).length - 1;
  expect([created.status, shown(created.text)]).toEqual([200, 2]);
  const { id } = created.body;
  await server.context.end(created.headers["x-sluice-job-id"] as string, { status: "completed", text: "x" });
  expect(shown((await server.get(`/v1/responses/${id}`)).text)).toBe(2);
  // As one event is one line, line breaks are those of the text.
  const events = await server.get(`/v1/responses/${id}?stream=true`);
  expect(events.text.match(/9223372036854775807/g)!.length).toBeGreaterThanOrEqual(4);
  expect(events.text).not.toContain("9223372036854775808000");
});

test.each([
  ["/v1/jobs", ', "seed": 9007199254740993', "seed"],
  ["/v1/jobs", ', "temperature": 1e-400', "temperature"],
  ["/v1/jobs", ', "metadata": {"a": 18446744073709551615}', "metadata.a"],
  ["/enqueue", "", "max_tokens"],
  ["/v1/chat/completions", ', "seed": 12345678901234567890', "seed"],
  ["/v1/chat/completions", ', "prediction": [{"n": 1e999}]', "prediction[0].n"],
  [
    "/v1/chat/completions",
    ', "tools": [{"type": "function", "function": {"name": "f", "x": 1e999}}]',
    "tools[0].function.x",
  ],
  ["/v1/responses", ', "max_output_tokens": 9007199254740993', "max_output_tokens"],
  ["/v1/batches", "", "metadata.n"],
])("to %s, %s is refused", async (url, more, field) => {
  const bodies: Record<string, string> = {
    "/enqueue": '{"prompt": "x", "environment": "UAT", "max_tokens": 1e999}',
    "/v1/batches": '{"metadata": {"n": 9007199254740993}}',
  };
  const { status, body } = await server.post(url, bodies[url] ?? apis[url as keyof typeof apis].body(more));
  const { error } = body;
  expect([status, error.field ?? error.param ?? body.field]).toEqual([400, field]);
  expect(error.message ?? error).toMatch(/ must be a number that a double represents exactly; got \S+\.$/);
});

test("numbers in strings, and numbers of many digits that are exact, are no reason to refuse", async () => {
  const prompt = JSON.stringify('12345678901234567890 "x": 1e999, \\');
  const more = ', "temperature": 0.69999999999999996, "top_p": 1e-2, "seed": 9007199254740991';
  const { parameters } = await requestOf("/v1/jobs", `{"environment": "UAT", "prompt": ${prompt}${more}}`);
  expect(parameters).toMatchObject({ temperature: 0.7, topP: 0.01, seed: 9007199254740991 });
});

test("a schema given twice, or nested without end, is refused", async () => {
  const { body } = apis["/v1/jobs"];
  const twice = await server.post(
    "/v1/jobs",
    body(`, "tools": [{"name": "f", "input_schema": ${schema}}], "tools": [{}]`),
  );
  expect([twice.status, twice.body.error.field]).toEqual([400, "tools[0].input_schema"]);
  const deep = `${'{"a":'.repeat(100_000)}1e999${"}".repeat(100_000)}`;
  const nested = await server.post("/v1/jobs", body(`, "tools": [{"name": "f", "input_schema": ${deep}}]`));
  expect([nested.status, nested.body.error.message]).toEqual([400, expect.stringMatching(/nested deeper than/)]);
});

test("one Idempotency-Key, two numbers that JavaScript takes for one: a conflict", async () => {
  const { body, tools } = apis["/v1/jobs"];
  const headers = { "content-type": "application/json", "idempotency-key": "exact" };
  const first = await server.post("/v1/jobs", body(`, ${tools}`), headers);
  expect((await server.post("/v1/jobs", body(`, ${tools}`), headers)).body.job_id).toBe(first.body.job_id);
  const other = await server.post("/v1/jobs", body(`, ${tools.replace("775807", "775806")}`), headers);
  expect([other.status, other.body.error.code]).toEqual([409, "idempotency_conflict"]);
});

test("a retry and a dry run take the same text", async () => {
  const { body, tools } = apis["/v1/jobs"];
  const { body: job } = await server.post("/v1/jobs", body(`, ${tools}`));
  await server.context.end(job.job_id, { status: "failed", error: { code: "provider_rejected", message: "No." } });
  const { body: again } = await server.post(`/v1/jobs/${job.job_id}/retry`);
  expect(canonicalPart((await server.context.store.get(again.job_id))!.job.request).tools![0]!.inputSchema).toBe(
    schema,
  );
  const tried = await server.post("/v1/jobs?dry_run=true", body(`, ${tools}`));
  expect([tried.status, tried.body.dry_run]).toEqual([200, true]);
});

test("lines of a batch: schemas stay text, other numbers are refused with their place", async () => {
  const formats = lineFormats(server.context.settings);
  const request = batchRequestAt(Date.now());
  const jobOf = (endpoint: string, body: string) => {
    const text = `{"custom_id": "a", "method": "POST", "url": "${endpoint}", "body": ${body}}`;
    const line = requestLine({ number: 1, text }, endpoint, 1e6);
    return lineJob(server.context, { ...request, endpoint }, formats.of(endpoint)!, line);
  };
  for (const endpoint of ["/v1/chat/completions", "/v1/responses"] as const) {
    const { tools, format } = apis[endpoint];
    const body = (more: string) => apis[endpoint].body(more).replace('"background": true, ', "");
    const job = await jobOf(endpoint, body(`, ${tools}, ${format}`));
    expect(canonicalPart(job.request).tools).toEqual([{ name: "f", inputSchema: schema }]);
    expect(canonicalPart(job.request).responseFormat).toMatchObject({ schema });
    const refused = await Promise.resolve()
      .then(() => jobOf(endpoint, body(', "top_k": 1e999')))
      .catch((error) => error);
    expect(refused).not.toBeInstanceOf(LineError);
    expect(lineErrorOf(refused, 1)).toMatchObject({ code: "invalid_request", line: 1, param: "body.top_k" });
  }
});
