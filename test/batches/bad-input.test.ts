// What is wrong with a file, a form or a request is named, and no job is made.
import type OpenAI from "openai";
import type { Batch } from "openai/resources";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createBatch, endpoint, lineOf, startTestService, type TestService, untilStatus, upload } from "./support.ts";

let service: TestService;
let client: OpenAI;
beforeAll(async () => {
  service = await startTestService("embedded", {
    file: { limits: { maxRequestBytes: 20_000, maxPromptBytes: 10_000, maxFileBytes: 100_000, maxBatchLines: 50 } },
  });
  ({ client } = service);
});
afterAll(() => service?.close());

const good = lineOf("good");
let names = 0;
const name = () => `line ${++names}`;
const withBody = (body: object) => lineOf(name(), "Hello?", body);
const withLine = (fields: object) => JSON.stringify({ ...JSON.parse(lineOf(name())), ...fields });
const parameter = (code: string, param: string, message: string) => ({
  code,
  param,
  message: expect.stringContaining(message),
});

const mistakes: [what: string, line: string | Buffer, error: object][] = [
  ["no JSON", "{", { code: "invalid_json_line", param: null }],
  ["no object", "[1]", { code: "invalid_json_line" }],
  ["a number", "7", { code: "invalid_json_line" }],
  [
    "no custom_id",
    withLine({ custom_id: undefined }),
    parameter("missing_required_parameter", "custom_id", "required"),
  ],
  ["no method", withLine({ method: undefined }), parameter("missing_required_parameter", "method", "required")],
  ["no url", withLine({ url: undefined }), parameter("missing_required_parameter", "url", "required")],
  ["no body", withLine({ body: undefined }), parameter("missing_required_parameter", "body", "required")],
  ["an unknown field", withLine({ extra: 1 }), parameter("invalid_request", "extra", "is not a field")],
  ["a custom_id that is a number", withLine({ custom_id: 7 }), parameter("invalid_custom_id", "custom_id", "string")],
  ["a custom_id that is empty", withLine({ custom_id: "" }), parameter("invalid_custom_id", "custom_id", "1 to 512")],
  ["a custom_id that is long", lineOf("x".repeat(513)), parameter("invalid_custom_id", "custom_id", "1 to 512")],
  ["a custom_id twice", lineOf("good"), parameter("duplicate_custom_id", "custom_id", "Line 1 has the same")],
  ["another method", withLine({ method: "GET" }), parameter("invalid_method", "method", "POST")],
  ["another url", withLine({ url: "/v1/moderations" }), parameter("mismatched_url", "url", endpoint)],
  ["a body that is a text", withLine({ body: "x" }), { code: "invalid_json" }],
  ["an unknown model", withBody({ model: "gpt-9" }), parameter("unknown_model", "body.model", "gpt-9")],
  ["messages that are none", withBody({ messages: [] }), { code: "invalid_request", param: "body.messages" }],
  ["an unknown parameter", withBody({ temprature: 1 }), { code: "invalid_request", param: "body.temprature" }],
  ["a parameter out of range", withBody({ temperature: 9 }), { code: "invalid_request", param: "body.temperature" }],
  ["too many tokens", withBody({ max_tokens: 99_999 }), { code: "invalid_request", param: "body.max_tokens" }],
  ["a stream", withBody({ stream: true }), parameter("invalid_request", "body.stream", "batch")],
  ["nothing to be kept", withBody({ store: false }), parameter("invalid_request", "body.store", "batch")],
  ["another environment", withBody({ environment: "PROD" }), parameter("invalid_request", "body.environment", "UAT")],
  ["a deadline of its own", withBody({ expires_in: 60 }), parameter("invalid_request", "body.expires_in", "window")],
  ["a prompt that is too long", lineOf(name(), "x".repeat(10_001)), { code: "too_large", param: "body.messages" }],
  ["a line that is too long", lineOf(name(), "x".repeat(20_001)), { code: "line_too_long", param: null }],
  ["half a surrogate pair", lineOf(name(), "\ud800"), { code: "invalid_request", param: "body.messages[0].content" }],
  ["half a surrogate pair in its name", lineOf("\udc00", "x"), { code: "invalid_request", param: "custom_id" }],
  ["bytes that are no UTF-8", Buffer.of(0x7b, 0xff, 0x7d), { code: "invalid_utf8" }],
];

test("every mistake of a file is told with its line, and the file fails as a whole", async () => {
  // Behind a good line and a blank one, which counts; before another good one.
  const lines = mistakes.map(([, line]) => Buffer.concat([Buffer.from(line as string), Buffer.from("\n")]));
  const content = Buffer.concat([Buffer.from(`${good}\n\n`), ...lines, Buffer.from(lineOf("other"))]);
  const { id } = await createBatch(service, content);
  const failed = await untilStatus(service, id, "failed", "in_progress", "completed");
  expect(failed.errors?.data).toHaveLength(mistakes.length);
  for (const [i, [what, , error]] of mistakes.entries()) {
    expect(failed.errors!.data![i], what).toEqual(expect.objectContaining({ line: i + 3, ...error }));
  }
  expect(failed).toMatchObject({ status: "failed", request_counts: { total: 0, completed: 0, failed: 0 } });
  expect(failed.failed_at).toBeGreaterThan(0);
});

test("of many mistakes the first hundred are told; nothing at all is one, and too many lines", async () => {
  const failedWith = async (content: string): Promise<NonNullable<Batch["errors"]>["data"]> =>
    (await untilStatus(service, (await createBatch(service, content)).id, "failed")).errors?.data;
  expect(await failedWith("")).toEqual([expect.objectContaining({ code: "empty_file", line: null })]);
  expect(await failedWith("\n \r\n")).toEqual([expect.objectContaining({ code: "empty_file" })]);
  expect(await failedWith("{\n".repeat(40))).toHaveLength(40);
  const many = Array.from({ length: 51 }, (_, i) => lineOf(`${i}`)).join("\n");
  expect(await failedWith(many)).toEqual([
    expect.objectContaining({ code: "too_many_lines", line: 51, message: expect.stringContaining("maxBatchLines") }),
  ]);
});

test("CRLF, a byte order mark and blank lines are no mistakes", async () => {
  const { id } = await createBatch(service, `\ufeff${lineOf("a")}\r\n\r\n${lineOf("b")}\r\n`);
  const done = await untilStatus(service, id, "completed", "failed");
  expect(done).toMatchObject({ status: "completed", request_counts: { total: 2, completed: 2 } });
});

test("no job was made for any of these files", async () => {
  const { data } = (await (await fetch(`${service.url}/v1/jobs?limit=1000`)).json()) as { data: unknown[] };
  expect(data).toHaveLength(2);
});

async function post(path: string, body: unknown): Promise<{ status: number; error: Record<string, unknown> }> {
  const form = body instanceof FormData;
  const response = await fetch(`${service.url}${path}`, {
    method: "POST",
    ...(form ? { body } : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
  });
  const answer = (await response.json()) as { error: Record<string, unknown> };
  return { status: response.status, error: answer.error };
}

function form(...fields: [string, string | Blob][]): FormData {
  const result = new FormData();
  for (const [name, value] of fields) {
    if (typeof value === "string") result.append(name, value);
    else result.append(name, value, "x.jsonl");
  }
  return result;
}

const file: [string, Blob] = ["file", new Blob([good])];
const forms: [what: string, form: FormData | object, status: number, param: string | null][] = [
  ["no file", form(["purpose", "batch"]), 400, "file"],
  ["no purpose", form(file), 400, "purpose"],
  ["another purpose", form(file, ["purpose", "fine-tune"]), 400, "purpose"],
  ["a purpose that only we may give", form(file, ["purpose", "batch_output"]), 400, "purpose"],
  ["a long purpose", form(["purpose", "x".repeat(2_000)], file), 400, "purpose"],
  ["two files", form(file, file, ["purpose", "batch"]), 400, "file"],
  ["a file of another name", form(["data", new Blob([good])], ["purpose", "batch"]), 400, "data"],
  ["a field that is not known", form(file, ["purpose", "batch"], ["expires[seconds]", "1"]), 400, "expires[seconds]"],
  [
    "an expiry that is too soon",
    form(file, ["purpose", "batch"], ["expires_after[anchor]", "created_at"], ["expires_after[seconds]", "1"]),
    400,
    "expires_after[seconds]",
  ],
  [
    "an expiry without its anchor",
    form(file, ["purpose", "batch"], ["expires_after[seconds]", "3600"]),
    400,
    "expires_after[anchor]",
  ],
  ["a file that is too large", form(["file", new Blob(["x".repeat(100_001)])], ["purpose", "batch"]), 413, "file"],
  ["no form", { purpose: "batch" }, 415, null],
];

test.each(forms)("a form with %s", async (_what, body, status, param) => {
  const before = (await client.files.list()).data.length;
  const answer = await post("/v1/files", body);
  expect(answer).toMatchObject({ status, error: { param, type: "invalid_request_error" } });
  expect((await client.files.list()).data.length).toBe(before);
});

test("a form that is compressed, or only says that it is", async () => {
  const before = (await client.files.list()).data.length;
  const response = await fetch(`${service.url}/v1/files`, {
    method: "POST",
    headers: { "content-encoding": "gzip" },
    body: form(file, ["purpose", "batch"]),
  });
  expect(response.status).toBe(415);
  expect(await response.json()).toMatchObject({
    error: {
      code: "unsupported_media_type",
      param: "Content-Encoding",
      message: expect.stringContaining('Content-Encoding "gzip" is not supported. Send the body uncompressed.'),
    },
  });
  expect((await client.files.list()).data.length).toBe(before);
});

test("forms that are broken", async () => {
  const send = async (contentType: string, body: string) =>
    (await fetch(`${service.url}/v1/files`, { method: "POST", headers: { "content-type": contentType }, body })).status;
  expect(await send("multipart/form-data", "x")).toBe(400);
  expect(await send("multipart/form-data; boundary=b", "")).toBe(400);
  expect(await send("multipart/form-data; boundary=b", "--b\r\nno header\r\n")).toBe(400);
  const cut = '--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nsome';
  expect(await send("multipart/form-data; boundary=b", cut)).toBe(400);
  expect(await send("text/plain", "x")).toBe(415);
});

test("requests that are not as they must be", async () => {
  const input_file_id = await upload(service, good);
  const body = { input_file_id, endpoint, completion_window: "24h" };
  const refusals: [object, number, string | null][] = [
    [{ ...body, endpoint: "/v1/moderations" }, 400, "endpoint"],
    [{ ...body, endpoint: "constructor" }, 400, "endpoint"],
    ...["", "1", "24", "30m", "0h", "15d", "337h", "24 h", "-1h", "1e3h"].map(
      (completion_window): [object, number, string] => [{ ...body, completion_window }, 400, "completion_window"],
    ),
    [{ ...body, input_file_id: "file-nope" }, 404, null],
    [{ ...body, input_file_id: `file-${"0".repeat(32)}` }, 404, null],
    [{ ...body, input_file_id: 7 }, 400, "input_file_id"],
    [{ ...body, input_file_id: undefined }, 400, "input_file_id"],
    [{ ...body, metadata: { a: 1 } }, 400, "metadata.a"],
    [{ ...body, extra: 1 }, 400, "extra"],
    [{ ...body, dry_run: "yes" }, 400, "dry_run"],
  ];
  for (const [sent, status, param] of refusals) {
    const answer = await post("/v1/batches", sent);
    expect(answer, JSON.stringify(sent)).toMatchObject({ status, error: { param, message: expect.any(String) } });
  }
  for (const completion_window of ["1h", "14d", "336h"]) {
    expect((await post("/v1/batches", { ...body, completion_window })).status).toBe(200);
  }
  for (const path of ["batch_x", "batch_000000000000000000000000"]) {
    expect((await fetch(`${service.url}/v1/batches/${path}`)).status).toBe(404);
    expect((await post(`/v1/batches/${path}/cancel`, {})).status).toBe(404);
    expect((await post(`/v1/batches/${path}/retry`, {})).status).toBe(404);
    expect((await fetch(`${service.url}/v1/batches/${path}/results`)).status).toBe(404);
  }
  for (const query of ["limit=0", "limit=101", "limit=x", "after=batch_x", "before=1"]) {
    expect((await fetch(`${service.url}/v1/batches?${query}`)).status, query).toBeGreaterThanOrEqual(400);
  }
});
