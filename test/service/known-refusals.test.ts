// What a provider is known to refuse, asked of the whole service: refused at submit in every API and in the check of a
// batch, or sent in a form that the provider takes. The simulator answers, and refuses what Bedrock refuses.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type Service, startService } from "../../src/service/start-service.ts";
import { testSettings } from "../support/jobs-context.ts";

const on = (modelId: string) => ({ deployments: [{ region: "us-east-1", modelId }] });
const models = {
  llama: on("us.meta.llama3-3-70b-instruct-v1:0"),
  "llama3-1": on("us.meta.llama3-1-8b-instruct-v1:0"),
  llama4: on("us.meta.llama4-scout-17b-instruct-v1:0"),
  nova: on("us.amazon.nova-2-lite-v1:0"),
  haiku45: on("global.anthropic.claude-haiku-4-5-20251001-v1:0"),
  sonnet46: on("global.anthropic.claude-sonnet-4-6"),
  opus5: on("global.anthropic.claude-opus-5"),
};

let dataDir: string;
let service: Service;
let url: string;
beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "sluice-refusals-"));
  const settings = testSettings({ models, defaultModel: "nova" });
  service = await startService({ ...settings, port: 0, logLevel: "silent", simulator: true, dataDir });
  url = service.url!;
});
afterAll(async () => {
  await service.stop();
  await rm(dataDir, { recursive: true, force: true });
});

// biome-ignore lint/suspicious/noExplicitAny: tests compare it with what they expect
type Body = any;

async function call(path: string, body: object): Promise<{ status: number; body: Body }> {
  const answer = await fetch(url + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return { status: answer.status, body: await answer.json() };
}

const hello = [{ role: "user", content: "Hello?" }];

function chat(body: object) {
  return call("/v1/chat/completions", { messages: hello, max_tokens: 200, ...body });
}

/** Submits a job and waits until it has ended. */
async function job(body: object): Promise<Body> {
  const submitted = await call("/v1/jobs", { prompt: "Hello?", environment: "UAT", max_tokens: 200, ...body });
  if (submitted.status >= 300) return submitted.body;
  const answer = await fetch(`${url}/v1/jobs/${submitted.body.job_id}?wait=10`);
  return answer.json();
}

/** What the check of a batch says of its lines. */
async function batchErrors(bodies: object[]): Promise<Body[]> {
  const lines = bodies.map((fields, i) => {
    const body = { model: "nova", messages: hello, max_tokens: 20, ...fields };
    return JSON.stringify({ custom_id: `line-${i}`, method: "POST", url: "/v1/chat/completions", body });
  });
  const form = new FormData();
  form.append("purpose", "batch");
  form.append("file", new Blob([lines.join("\n")]), "lines.jsonl");
  const file = (await (await fetch(`${url}/v1/files`, { method: "POST", body: form })).json()) as Body;
  const made = await call("/v1/batches", {
    input_file_id: file.id,
    endpoint: "/v1/chat/completions",
    completion_window: "24h",
  });
  const read = async () => (await fetch(`${url}/v1/batches/${made.body.id}`)).json() as Promise<Body>;
  await vi.waitFor(async () => expect((await read()).status).toBe("failed"), { timeout: 10_000, interval: 20 });
  const { errors, request_counts } = await read();
  expect(request_counts).toMatchObject({ completed: 0 });
  return errors.data;
}

/** What single calls were refused for, to be asked of a batch at the end. */
const refused: { body: object; field: string; message: RegExp }[] = [];

/** The same request is refused with the field by chat and by jobs, and later in a batch. */
async function expectRefused(
  chatBody: object,
  jobBody: object,
  { field, message, jobField = field }: { field: string; message: RegExp; jobField?: string },
): Promise<void> {
  const answer = await chat(chatBody);
  expect(answer).toMatchObject({
    status: 400,
    body: { error: { param: field, message: expect.stringMatching(message) } },
  });
  expect(await job(jobBody)).toMatchObject({ error: { field: jobField, message: expect.stringMatching(message) } });
  refused.push({ body: chatBody, field, message });
}

const tool = (parameters: object) => ({ type: "function", function: { name: "look_up", parameters } });
const jobTool = (input_schema: object) => ({ name: "look_up", input_schema });

const openSchemas = [
  {},
  { $schema: "https://json-schema.org/draft/2020-12/schema" },
  { oneOf: [{ type: "object", properties: { a: { type: "string" } }, required: ["a"] }] },
  { properties: { a: { type: "string" } } },
  { type: ["object"] },
  { type: ["object", "null"], properties: {} },
  { anyOf: [{ required: ["a"] }, { required: ["b"] }], properties: { a: {}, b: {} } },
  { $ref: "#/$defs/A", $defs: { A: { type: "object" } } },
];

test.each(["nova", "haiku45", "llama"])("C1: tool schemas without a type at the root are taken: %s", async (model) => {
  for (const schema of openSchemas) {
    expect(await chat({ model, tools: [tool(schema)] })).toMatchObject({ status: 200 });
  }
  expect(await job({ model, tools: [jobTool({ $schema: "x" })] })).toMatchObject({ status: "completed" });
  const flat = { type: "function", name: "look_up", parameters: { oneOf: [{ type: "object" }] } };
  expect(await call("/v1/responses", { model, input: "Hello?", tools: [flat] })).toMatchObject({ status: 200 });
});

test.each([["array"], ["string"], [["string", "null"]], [null]])(
  "C2: a tool schema whose root has the type %j is refused",
  async (type) => {
    const schema = { type };
    await expectRefused(
      { model: "nova", tools: [tool({}), { ...tool(schema), function: { name: "b", parameters: schema } }] },
      { model: "nova", tools: [jobTool({}), { name: "b", input_schema: schema }] },
      { field: "tools[1].function.parameters", jobField: "tools[1].input_schema", message: /of the type object/ },
    );
    const flat = { type: "function", name: "look_up", parameters: schema };
    expect(await call("/v1/responses", { model: "nova", input: "Hello?", tools: [flat] })).toMatchObject({
      status: 400,
      body: { error: { param: "tools[0].parameters" } },
    });
  },
);

test.each<[string, object, string]>([
  ["nova", { type: "object", properties: [] }, ".properties"],
  ["llama", { type: "object", properties: null }, ".properties"],
  ["nova", { type: "object", required: null }, ".required"],
  ["haiku45", { type: "object", required: "a" }, ".required"],
  ["opus5", { properties: { a: { anyOf: [{ required: [1] }] } } }, ".properties.a.anyOf[0].required"],
  ["nova", { properties: { a: "string" } }, ".properties.a"],
  ["haiku45", { type: "object", properties: { a: { type: "strng" } } }, ".properties.a.type"],
  ["sonnet46", { properties: { a: { type: "array", items: [{}] } } }, ".properties.a.items"],
  ["haiku45", { properties: { a: { exclusiveMinimum: true } } }, ".properties.a.exclusiveMinimum"],
])("a tool schema that is none is refused with its place: %s, %j", async (model, schema, place) => {
  await expectRefused(
    { model, tools: [tool(schema)] },
    { model, tools: [jobTool(schema)] },
    {
      field: `tools[0].function.parameters${place}`,
      jobField: `tools[0].input_schema${place}`,
      message: / is refused by the model /,
    },
  );
});

test("the same of an answer's schema; what only Claude refuses is taken by others", async () => {
  const schema = { type: "object", properties: { a: { type: "strng" } } };
  await expectRefused(
    { model: "haiku45", ...chatFormat(schema) },
    { model: "haiku45", ...jobFormat(schema) },
    {
      field: "response_format.json_schema.schema.properties.a.type",
      jobField: "response_format.schema.properties.a.type",
      message: /draft 2020-12; got "strng"/,
    },
  );
  expect(await job({ model: "nova", tools: [jobTool(schema)] })).toMatchObject({ status: "completed" });
});

test.each(["haiku45", "sonnet46"])("C3: temperature with top_p is refused on %s", async (model) => {
  const both = { model, temperature: 0.7, top_p: 0.9 };
  await expectRefused(both, both, { field: "top_p", message: /must not be set with temperature/ });
  const enqueued = await call("/enqueue", { prompt: "Hello?", environment: "UAT", ...both });
  expect(enqueued).toMatchObject({ status: 400, body: { error: { field: "top_p" } } });
  expect(await call("/v1/responses", { input: "Hello?", ...both })).toMatchObject({
    status: 400,
    body: { error: { param: "top_p" } },
  });
});

test.each(["haiku45", "sonnet46"])("C4: a top_p of 1 is left out beside a temperature on %s", async (model) => {
  expect(await chat({ model, temperature: 0.7, top_p: 1 })).toMatchObject({ status: 200 });
  expect(await job({ model, temperature: 0, top_p: 1 })).toMatchObject({ status: "completed" });
  expect(await chat({ model, top_p: 0.5 })).toMatchObject({ status: 200 });
});

test.each<[unknown, string]>([
  [["\n"], "stop[0]"],
  [["\n\n", "END"], "stop[0]"],
  [" ", "stop[0]"],
  [["END", "\t\u00a0\u2003"], "stop[1]"],
])("C5: stop texts without a visible character are refused on Claude: %j", async (stop, field) => {
  const message = /a non-whitespace character/;
  for (const model of ["haiku45", "opus5"]) {
    await expectRefused({ model, stop }, { model, stop: [stop].flat() }, { field, message });
  }
  expect(await chat({ model: "nova", stop })).toMatchObject({ status: 200 });
  expect(await chat({ model: "haiku45", stop: ["\nEND"] })).toMatchObject({ status: 200 });
});

const prefilled = (text: string) => [...hello, { role: "assistant", content: text }];

test.each(["sonnet46", "opus5", "llama", "llama3-1", "llama4"])(
  "C6: a conversation that ends with the assistant is refused on %s",
  async (model) => {
    const messages = prefilled("{");
    await expectRefused(
      { model, messages },
      { model, messages, prompt: undefined },
      {
        field: "messages",
        message: /must end with a user message: .* Use a model that can: nova, haiku45\./,
      },
    );
    expect(await call("/v1/responses", { model, input: messages })).toMatchObject({
      status: 400,
      body: { error: { param: "input" } },
    });
  },
);

test("C7: white space at the end of a conversation that ends with the assistant is trimmed on Claude 4.5", async () => {
  const messages = prefilled('{"answer": \n\t ');
  expect(await chat({ model: "haiku45", messages })).toMatchObject({ status: 200 });
  expect(await job({ model: "haiku45", messages, prompt: undefined })).toMatchObject({ status: "completed" });
  expect(await chat({ model: "nova", messages })).toMatchObject({ status: 200 });
});

test.each(["llama", "llama3-1", "llama4", "opus5"])("C13: a forced tool choice is refused on %s", async (model) => {
  const choices: [unknown, unknown][] = [
    ["required", "required"],
    [{ type: "function", function: { name: "look_up" } }, { name: "look_up" }],
  ];
  for (const [choice, jobChoice] of choices) {
    await expectRefused(
      { model, tools: [tool({})], tool_choice: choice },
      { model, tools: [jobTool({})], tool_choice: jobChoice },
      { field: "tool_choice", message: /must be auto or none: .* Use a model that can: nova, haiku45, sonnet46\./ },
    );
  }
  for (const tool_choice of ["auto", "none"]) {
    expect(await chat({ model, tools: [tool({})], tool_choice })).toMatchObject({ status: 200 });
  }
});

const chatFormat = (schema: object) => ({
  response_format: { type: "json_schema", json_schema: { name: "answer", schema } },
});
const jobFormat = (schema: object) => ({ response_format: { type: "json_schema", name: "answer", schema } });

test("C10: output schemas with open objects are taken on Claude, closed", async () => {
  const item = { type: "object", properties: { x: { type: "string" } } };
  const schema = {
    type: "object",
    properties: { list: { type: "array", items: item }, either: { anyOf: [item, { type: "null" }] } },
    $defs: { Item: item },
  };
  for (const model of ["haiku45", "sonnet46"]) {
    expect(await chat({ model, ...chatFormat(schema) })).toMatchObject({ status: 200 });
  }
  expect(await job({ model: "haiku45", ...jobFormat(schema) })).toMatchObject({ status: "completed" });
  const format = { type: "json_schema", name: "answer", schema };
  expect(await call("/v1/responses", { model: "haiku45", input: "Hello?", text: { format } })).toMatchObject({
    status: 200,
  });
});

test.each<[object, string]>([
  [{ type: "string", maxLength: 5 }, "properties.a.maxLength"],
  [{ type: "integer", minimum: 0 }, "properties.a.minimum"],
  [{ type: "array", items: { type: "string" }, maxItems: 3 }, "properties.a.maxItems"],
  [{ type: "object", additionalProperties: { type: "string" } }, "properties.a.additionalProperties"],
])("C11: an output schema with %j is refused on Claude", async (part, place) => {
  const schema = { type: "object", properties: { a: part } };
  await expectRefused(
    { model: "haiku45", ...chatFormat(schema) },
    { model: "haiku45", ...jobFormat(schema) },
    {
      field: `response_format.json_schema.schema.${place}`,
      jobField: `response_format.schema.${place}`,
      message: /is refused by the model haiku45: it must/,
    },
  );
  const format = { type: "json_schema", name: "answer", schema };
  expect(await call("/v1/responses", { model: "haiku45", input: "Hello?", text: { format } })).toMatchObject({
    status: 400,
    body: { error: { param: `text.format.schema.${place}` } },
  });
});

test("a fallback and every deployment count: what one of them refuses is refused", async () => {
  const refused = await chat({ model: "nova", fallback_models: ["sonnet46"], temperature: 0.7, top_p: 0.9 });
  expect(refused.body.error.message).toMatch(/^top_p must not be set with temperature: the fallback sonnet46/);
});

test("top_k beyond what the model takes is refused with its limit", async () => {
  const message = /at most 128 for the model nova; got 200/;
  await expectRefused({ model: "nova", top_k: 200 }, { model: "nova", top_k: 200 }, { field: "top_k", message });
  expect(await chat({ model: "nova", top_k: 128 })).toMatchObject({ status: 200 });
});

test("C2, C3, C5, C6, C11, C13: the check of a batch finds all of these with their lines", async () => {
  const found = await batchErrors([{}, ...refused.map(({ body }) => body)]);
  expect(found).toMatchObject(
    refused.map(({ field, message }, i) => ({
      line: i + 2,
      param: `body.${field}`,
      message: expect.stringMatching(message),
    })),
  );
  expect(refused.length).toBeGreaterThan(25);
});
