// An optional field that is null is absent: on every route that takes a body, for every optional field of its schema.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { canonicalPart } from "../../src/domain/request.ts";
import { isAnthropicPath } from "../../src/wire/anthropic/anthropic-errors.ts";
import { isBedrockPath } from "../../src/wire/bedrock/bedrock-errors.ts";
import { nullDropper } from "../../src/wire/null-fields.ts";
import { isOpenAiPath } from "../../src/wire/openai/openai-errors.ts";
import { type Answer, type ServerUnderTest, startServerUnderTest } from "./server-under-test.ts";

interface Schema {
  type?: string | string[];
  const?: unknown;
  anyOf?: Schema[];
  items?: Schema;
  properties?: Record<string, Schema>;
  required?: string[];
}

let server: ServerUnderTest;
let headers: Record<string, string>;
let admin: ReturnType<ServerUnderTest["as"]>;
let schemas: Map<string, Schema>;
beforeAll(async () => {
  const quotas = [{ unit: "requests" as const, per: "minute" as const, limit: 1000 }];
  const open = { provider: "openai" as const, baseUrl: "http://127.0.0.1:9/v1", modelId: "m", quotas };
  server = await startServerUnderTest({ defaultModel: "open", models: { open: { deployments: [open] } } });
  // Creating keys is one of the calls, and takes a key once there is one.
  const { key } = (await server.post("/v1/keys", { name: "admin", admin: true })).body;
  headers = { authorization: `Bearer ${key}` };
  admin = server.as(key);
  const { paths } = (await server.get("/openapi.json")).body as {
    paths: Record<string, Record<string, { requestBody?: { content: Record<string, { schema: Schema }> } }>>;
  };
  schemas = new Map(
    Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods).flatMap(([method, { requestBody }]): [string, Schema][] => {
        const schema = requestBody?.content["application/json"]?.schema;
        // Bedrock decides what the bodies of these may have.
        return schema && !isBedrockPath(path) && !isAnthropicPath(path)
          ? [[`${method.toUpperCase()} ${path}`, schema]]
          : [];
      }),
    ),
  );
});
afterAll(() => server.close());

const tool = { name: "look", input_schema: { type: "object", default: null } };
const call = { id: "1", type: "function", function: { name: "look", arguments: '{"a":null}' } };
const jsonSchema = { name: "n", schema: { type: "object", default: null } };

/** Bodies with an object of every kind that has optional fields. Every call is a dry run where there is one. */
const bodies: Record<string, Record<string, unknown>[]> = {
  "POST /enqueue": [{ prompt: "x", environment: "UAT" }],
  "POST /v1/jobs": [
    { prompt: "x", environment: "UAT", response_format: { type: "json_schema", ...jsonSchema } },
    {
      environment: "UAT",
      tools: [tool],
      messages: [
        { role: "user", content: [{ type: "text", text: "x" }, { type: "cache_point" }] },
        { role: "assistant", content: [{ type: "tool_call", id: "1", name: "look", input: {} }] },
        { role: "user", content: [{ type: "tool_result", call_id: "1", text: "y" }] },
      ],
    },
  ],
  "PATCH /v1/jobs/{job_id}": [{ priority: "batch" }, { not_before: 0 }],
  "POST /v1/jobs/cancel": [{ model: "open" }, { environment: "UAT" }],
  "POST /v1/jobs/retry": [{ model: "open" }, { environment: "UAT" }],
  "POST /v1/jobs/change": [{ environment: "UAT", set: { priority: "batch" } }],
  "POST /v1/chat/completions": [
    { messages: [{ role: "user", content: "x" }], stream: true, stream_options: {} },
    {
      messages: [
        { role: "user", content: [{ type: "text", text: "x" }] },
        { role: "assistant", content: "y", tool_calls: [call] },
        { role: "tool", tool_call_id: "1", content: "z" },
      ],
      tools: [{ type: "function", function: { name: "look" } }],
      response_format: { type: "json_schema", json_schema: jsonSchema },
    },
  ],
  "POST /v1/responses": [
    { input: "x", reasoning: {}, text: { format: { type: "json_schema", ...jsonSchema } } },
    {
      input: [
        { role: "user", content: [{ type: "input_text", text: "x" }] },
        { type: "function_call", call_id: "1", name: "look", arguments: "{}" },
        { type: "function_call_output", call_id: "1", output: "z" },
      ],
      tools: [{ type: "function", name: "look" }],
    },
  ],
  "POST /v1/embeddings": [{ input: "x", model: "open" }],
  "POST /v1/batches": [{ input_file_id: "x", endpoint: "/v1/chat/completions", completion_window: "24h" }],
  "POST /v1/pause": [{ model: "open" }, { tenant: "t" }],
  "POST /v1/resume": [{ model: "open" }, { tenant: "t" }],
  "POST /v1/keys": [{ name: "x" }],
};
const tried = new Set([
  "POST /enqueue",
  "POST /v1/jobs",
  "POST /v1/chat/completions",
  "POST /v1/responses",
  "POST /v1/embeddings",
]);

/** OpenAI's optional fields of objects that the schemas leave open, by what the object has. */
const open: [has: string, fields: string[]][] = [
  ["function", ["index", "strict"]],
  ["parameters", ["description", "strict"]],
  ["schema", ["description", "strict"]],
  ["role", ["name", "refusal", "audio", "function_call", "annotations", "id", "status", "type"]],
  ["text", ["annotations", "logprobs", "prompt_cache_breakpoint"]],
  ["call_id", ["id", "status"]],
];

/** Copies of the body, each with one optional field more that is null. */
function* withNulls(schema: Schema | undefined, body: unknown, path = ""): Generator<[path: string, copy: unknown]> {
  if (Array.isArray(body)) {
    const items = schemaFor(schema, body)?.items;
    for (const [i, item] of body.entries()) {
      for (const [where, copy] of withNulls(items, item, `${path}[${i}]`)) yield [where, body.with(i, copy)];
    }
  } else if (typeof body === "object" && body !== null) {
    const own = schemaFor(schema, body);
    const { properties = {}, required = [] } = own ?? {};
    const names = Object.keys(properties).filter((name) => !required.includes(name) && !namesNull(properties[name]!));
    if (!own?.properties) names.push(...open.flatMap(([has, fields]) => (has in body ? fields : [])));
    for (const name of names) {
      if (!(name in body)) yield [`${path}.${name}`, { ...body, [name]: null }];
    }
    for (const [name, value] of Object.entries(body)) {
      // JSON of the caller's own.
      if (["schema", "input_schema", "input", "metadata"].includes(name) && !Array.isArray(value)) continue;
      for (const [where, copy] of withNulls(properties[name], value, `${path}.${name}`)) {
        yield [where, { ...body, [name]: copy }];
      }
    }
  }
}

function schemaFor(schema: Schema | undefined, value: object): Schema | undefined {
  const tag = (value as { type?: unknown }).type;
  return [schema, ...(schema?.anyOf ?? [])].find((candidate) => {
    const type = candidate?.properties?.type?.const;
    return Array.isArray(value) ? candidate?.items : candidate?.properties && (type === undefined || type === tag);
  });
}

function namesNull({ type, anyOf = [] }: Schema): boolean {
  return [type].flat().includes("null") || anyOf.some(namesNull);
}

async function send(operation: string, payload: object): Promise<Pick<Answer, "status" | "body">> {
  const [method, path] = operation.split(" ") as ["POST" | "PATCH", string];
  const job = path.includes("{job_id}") ? (await admin.post("/enqueue", bodies["POST /enqueue"]![0])).body.job_id : "";
  const url = path.replace("{job_id}", job) + (tried.has(operation) ? "?dry_run=true" : "");
  const answer = await server.app.inject({ method, url, payload, headers });
  return { status: answer.statusCode, body: answer.json() };
}

test("there is a body for every route that takes one", () => {
  expect(Object.keys(bodies).sort()).toEqual([...schemas.keys()].sort());
});

test.each(Object.keys(bodies))("D3: null for any optional field of %s is as if it were absent", async (operation) => {
  const schema = schemas.get(operation)!;
  let count = 0;
  for (const body of bodies[operation]!) {
    const without = await send(operation, body);
    expect([200, 404], JSON.stringify(without.body)).toContain(without.status);
    for (const [path, copy] of withNulls(schema, body)) {
      const { status, body: answer } = await send(operation, copy as object);
      expect(status, `${operation} ${path}: ${JSON.stringify(answer)}`).toBe(without.status);
      count++;
    }
  }
  expect(count).toBeGreaterThan(operation.startsWith("PATCH") ? 0 : 2);
});

describe("D3", () => {
  test("all optional fields may be null at once", async () => {
    for (const [operation, [body]] of Object.entries(bodies)) {
      const { properties = {}, required = [] } = schemas.get(operation)!;
      const nulls = Object.fromEntries(
        Object.keys(properties)
          .filter((name) => !required.includes(name) && !namesNull(properties[name]!))
          .map((name) => [name, null]),
      );
      expect((await send(operation, { ...nulls, ...body })).status, operation).toBe(
        (await send(operation, body!)).status,
      );
    }
  });

  test("a null where a value is required is named", async () => {
    const { status, body } = await admin.post("/enqueue", { prompt: null, environment: "UAT" });
    expect({ status, ...body.error }).toMatchObject({ status: 400, message: "prompt must be a string; got null." });
  });

  test("an unknown field that is null is refused by name, but under OpenAI's paths it is absent", async () => {
    for (const [operation, [body]] of Object.entries(bodies)) {
      const { status } = await send(operation, { ...body, nonsense: null });
      const expected = isOpenAiPath(operation.split(" ")[1]!) ? (await send(operation, body!)).status : 400;
      expect(status, operation).toBe(expected);
    }
  });

  test("nulls in the caller's own JSON stay, and so does null as a value", async () => {
    const id = (await admin.post("/v1/jobs", { prompt: "x", environment: "UAT", tools: [tool] })).body.job_id;
    const stored = await server.context.store.get(id);
    expect(canonicalPart(stored!.job.request).tools![0]!.inputSchema).toEqual(tool.input_schema);
    const later = await admin.post("/v1/jobs", { prompt: "x", environment: "UAT", not_before: 60 });
    const url = `/v1/jobs/${later.body.job_id}`;
    const changed = await server.app.inject({
      method: "PATCH",
      url,
      headers,
      payload: { not_before: null, priority: null },
    });
    expect(changed.json()).toMatchObject({ not_before: null, priority: "standard" });
    const nothing = await server.app.inject({ method: "PATCH", url, headers, payload: { priority: null } });
    expect(nothing.json().error.message).toBe("priority or not_before is required.");
  });

  test("a response can be sent back as the next request, whole or in parts", async () => {
    const created = await admin.post("/v1/responses", {
      ...{ input: "x", background: true, instructions: "Be kind.", max_output_tokens: 5 },
      ...{ text: { format: { type: "json_schema", ...jsonSchema } } },
      tools: [{ type: "function", name: "look", parameters: { type: "object" } }],
    });
    expect(created.status, created.text).toBe(200);
    const id = created.headers["x-sluice-job-id"] as string;
    await server.context.end(id, {
      status: "completed",
      toolCalls: [{ id: "c", name: "look", arguments: "{}" }],
      finishReason: "tool_calls",
    });
    const { body: response } = await admin.get(`/v1/responses/${created.body.id}`);
    expect(response).toMatchObject({ status: "completed", reasoning: { effort: null } });
    const output = { type: "function_call_output", call_id: "c", output: "y" };
    const { output_text, ...whole } = { ...response, output_text: "" };
    for (const body of [
      { ...whole, output_text, input: "And then?" },
      { ...whole, input: [{ role: "user", content: "x" }, ...response.output, output] },
    ]) {
      const again = await admin.post("/v1/responses?dry_run=true", body);
      expect(again.status, again.text).toBe(200);
    }
  });

  test("a body without nulls is handed on as it is", () => {
    const drop = nullDropper(schemas.get("POST /v1/jobs")! as never, { unknownToo: false });
    for (const body of bodies["POST /v1/jobs"]!) expect(drop(body)).toBe(body);
    for (const value of [null, 1, "x", [], undefined]) expect(drop(value)).toBe(value);
    expect(drop({ tools: [null, 1], guardrail: 3, messages: { a: null } })).toEqual({
      ...{ tools: [null, 1], guardrail: 3, messages: { a: null } },
    });
  });
});
