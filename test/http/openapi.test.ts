// The interface's own description is valid and complete.
import { readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { Validator } from "@seriousme/openapi-schema-validator";
import { Ajv2020 } from "ajv/dist/2020.js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ErrorCode, errorTable } from "../../src/domain/errors.ts";
import { createHttpServer } from "../../src/http/server.ts";
import { newFileId, writeFile } from "../../src/jobs/files/files.ts";
import { anthropicStatusOf, isAnthropicPath } from "../../src/wire/anthropic/anthropic-errors.ts";
import { bedrockStatusOf, isBedrockPath } from "../../src/wire/bedrock/bedrock-errors.ts";
import { isOpenAiPath, openAiStatusOf } from "../../src/wire/openai/openai-errors.ts";
import { type ServerUnderTest, startServerUnderTest } from "./server-under-test.ts";

interface Operation {
  operationId?: string;
  summary?: string;
  tags?: string[];
  security?: object[];
  responses: Record<string, { description: string; content: Record<string, { schema: { $ref?: string } }> }>;
}

let server: ServerUnderTest;
let document: { openapi: string; paths: Record<string, Record<string, Operation>>; components: { schemas: object } };
beforeAll(async () => {
  server = await startServerUnderTest({ limits: { maxRequestBytes: 4 * 1024 * 1024 } });
  document = (await server.get("/openapi.json")).body;
});
afterAll(() => server.close());

test("is valid OpenAPI 3.1", async () => {
  expect(document.openapi).toBe("3.1.0");
  expect(await new Validator().validate(document)).toEqual({ valid: true });
});

test("has every route", () => {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  expect(operations).toEqual([
    "POST /enqueue",
    "GET /status/{job_id}",
    "POST /v1/jobs",
    "GET /v1/jobs",
    "GET /v1/jobs/{job_id}",
    "PATCH /v1/jobs/{job_id}",
    "DELETE /v1/jobs/{job_id}",
    "POST /v1/jobs/{job_id}/cancel",
    "POST /v1/jobs/{job_id}/retry",
    "GET /v1/jobs/{job_id}/request",
    "POST /v1/jobs/cancel",
    "POST /v1/jobs/retry",
    "POST /v1/jobs/change",
    "GET /v1/jobs/{job_id}/events",
    "POST /v1/chat/completions",
    "POST /v1/responses",
    "GET /v1/responses/{response_id}",
    "DELETE /v1/responses/{response_id}",
    "POST /v1/responses/{response_id}/cancel",
    "POST /v1/embeddings",
    "POST /model/{modelId}/converse",
    "POST /model/{modelId}/converse-stream",
    "POST /model/{modelId}/invoke",
    "POST /model/{modelId}/invoke-with-response-stream",
    "POST /model/{modelId}/count-tokens",
    "POST /v1/messages",
    "POST /v1/messages/count_tokens",
    "GET /v1/models",
    "GET /v1/models/{model}",
    "POST /v1/files",
    "GET /v1/files",
    "GET /v1/files/{file_id}",
    "DELETE /v1/files/{file_id}",
    "GET /v1/files/{file_id}/content",
    "POST /v1/batches",
    "GET /v1/batches",
    "GET /v1/batches/{batch_id}",
    "DELETE /v1/batches/{batch_id}",
    "POST /v1/batches/{batch_id}/cancel",
    "POST /v1/batches/{batch_id}/retry",
    "GET /v1/batches/{batch_id}/results",
    "GET /v1/deployments",
    "POST /v1/quotas/{name}/reset",
    "POST /v1/deployments/{id}/reinstate",
    "POST /v1/pause",
    "POST /v1/resume",
    "GET /v1/pauses",
    "GET /v1/stats",
    "GET /v1/retention",
    "GET /v1/usage",
    "GET /v1/history",
    "GET /v1/quotas/advice",
    "POST /v1/keys",
    "GET /v1/keys",
    "GET /v1/keys/self",
    "POST /v1/keys/{key_id}/revoke",
    "GET /v1/audit",
    "GET /v1/webhooks/secret",
    "POST /v1/webhooks/secret/rotate",
    "GET /v1/webhooks/deliveries",
    "GET /v1/webhooks/deliveries/{delivery_id}",
    "POST /v1/webhooks/deliveries/{delivery_id}/redeliver",
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
  ]);
});

/** Returns the routes that a text names, each as `METHOD /path` in a code span. Leaves out queries and names of parameters. */
function routesIn(text: string): string[] {
  const spans = text.matchAll(/`((?:GET|POST|PUT|PATCH|DELETE) \/[^`?\s]*)(?:\?[^`]*)?`/g);
  return [...spans].map(([, route]) => route!.replaceAll(/\{\w+\}/g, "{}"));
}

describe("the pages name the routes that exist:", () => {
  const root = resolve(import.meta.dirname, "../..");
  const read = (page: string) => readFileSync(resolve(root, page), "utf8");
  let routes: string[];
  beforeAll(async () => {
    const reload = async () => ({ changed: [], needsRestart: [], missingModels: [] });
    const app = createHttpServer({ ...server.context, reload, scrape: async () => "" });
    const { paths } = (await app.inject({ url: "/openapi.json" })).json() as typeof document;
    await app.close();
    routes = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).flatMap((method) => routesIn(`\`${method.toUpperCase()} ${path}\``)),
    );
  });

  test("docs/api.md lists all of them once, and nothing else", () => {
    const [, table] = /^\| call \| what it does \|\n(.*?)\n\n/ms.exec(read("docs/api.md"))!;
    expect(routesIn(table!).sort()).toEqual([...routes].sort());
  });

  test("no page names another", () => {
    // The description itself is not described. The simulator has the routes of Bedrock.
    const known = [...routes, "GET /", "GET /docs", "GET /openapi.json"];
    const docs = readdirSync(resolve(root, "docs")).filter((name) => name.endsWith(".md") && name !== "simulator.md");
    const pages = [
      "README.md",
      "CONTRIBUTING.md",
      "CHANGELOG.md",
      "SECURITY.md",
      ...docs.map((name) => `docs/${name}`),
    ];
    const missing = pages.flatMap((page) =>
      routesIn(read(page))
        .filter((route) => !known.includes(route))
        .map((route) => `${page}: ${route}`),
    );
    expect(missing).toEqual([]);
  });
});

test("every operation says what it does, and describes its errors in the one shape", () => {
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const operation of Object.values(methods)) {
      expect(operation).toMatchObject({
        operationId: expect.any(String),
        summary: expect.any(String),
        tags: [expect.any(String)],
      });
      for (const [status, { description, content }] of Object.entries(operation.responses)) {
        if (status === "200" || status === "204") continue;
        const schema = schemaOf(path);
        expect(content["application/json"]?.schema, `${path} ${status}`).toEqual({
          $ref: `#/components/schemas/${schema}`,
        });
        const codes = [...description.matchAll(/`([a-z_]+)`: /g)].map((m) => m[1] as keyof typeof errorTable);
        expect(codes.length).toBeGreaterThan(0);
        for (const code of codes) expect(statusIn(path, code)).toBe(Number(status));
      }
      if (path !== "/healthz") expect(operation.responses).toHaveProperty("500");
      // A parameter that is not known, at least; probes may carry anything.
      if (!/^\/(health|ready)z$/.test(path)) {
        expect(operation.responses["400"]?.description, path).toContain("`invalid_request`: ");
      }
    }
  }
  expect(Object.keys(document.components.schemas)).toEqual([
    "Error",
    "EnqueueError",
    "OpenAIError",
    "BedrockError",
    "AnthropicError",
    "Job",
    "JobSummary",
    "JobRequest",
    "DryRun",
    "File",
    "Batch",
    "BatchDryRun",
    "Key",
    "AuditEntry",
    "WebhookDelivery",
  ]);
});

function schemaOf(path: string): string {
  if (path === "/enqueue") return "EnqueueError";
  if (isBedrockPath(path)) return "BedrockError";
  if (isAnthropicPath(path)) return "AnthropicError";
  return isOpenAiPath(path) ? "OpenAIError" : "Error";
}

function statusIn(path: string, code: ErrorCode): number {
  if (isBedrockPath(path)) return bedrockStatusOf(code);
  if (isAnthropicPath(path)) return anthropicStatusOf(code);
  return isOpenAiPath(path) ? openAiStatusOf(code) : errorTable[code].status;
}

test("F10: what a route answers to a body that it cannot read is described", async () => {
  const large = " ".repeat(5 * 1024 * 1024);
  let operations = 0;
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, { responses }] of Object.entries(methods)) {
      const url = path
        .replace("{job_id}", "00000000-0000-7000-8000-000000000000")
        .replace("{modelId}", "nova-lite")
        .replaceAll(/\{\w+\}/g, "x");
      const send = async (type: string, payload: string, headers = {}) => {
        const options = { method: method.toUpperCase() as "POST", url, payload };
        return (await server.app.inject({ ...options, headers: { "content-type": type, ...headers } })).statusCode;
      };
      if (method === "get") {
        expect(Object.keys(responses), path).not.toContain("413");
        continue;
      }
      operations++;
      const statuses = [
        await send("text/plain", "x"),
        await send("application/json", "{}", { "content-encoding": "gzip" }),
        await send("application/json", "{"),
        path === "/v1/files" ? 413 : await send("application/json", large),
      ];
      expect(statuses, `${method} ${path}`).toEqual([415, 415, 400, 413]);
      expect(Object.keys(responses), `${method} ${path}`).toEqual(expect.arrayContaining(["400", "413", "415"]));
    }
  }
  expect(operations).toBeGreaterThan(20);
});

test("F10: probes need no key, and all else does", async () => {
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const { security, responses } of Object.values(methods)) {
      const isOpen = /^\/(health|ready)z$/.test(path);
      expect(security, path).toEqual(isOpen ? [] : undefined);
      // A caller without a key gets a 403 in AWS's form.
      expect("401" in responses, path).toBe(!isOpen && !isBedrockPath(path));
    }
  }
});

test("F10: the events of a stream are described as what they are", () => {
  const schemas = Object.values(document.paths).flatMap((methods) =>
    Object.values(methods).flatMap(({ responses }) => responses["200"]?.content?.["text/event-stream"]?.schema ?? []),
  );
  expect(schemas).toHaveLength(5);
  for (const schema of schemas) expect(schema).not.toMatchObject({ type: "string" });
});

test("the answers of a dry run are as they are described, and so are those of the call itself", async () => {
  const ajv = new Ajv2020({ strict: false, formats: { uuid: true, "date-time": true } });
  ajv.addSchema({ ...document, $id: "document" });
  const described = (path: string) => {
    const place = `/paths/${path.replaceAll("/", "~1")}/post/responses/200/content/application~1json/schema`;
    return ajv.compile({ $ref: `document#${place}` });
  };
  const { context, post } = server;
  const line = { custom_id: "a", method: "POST", url: "/v1/chat/completions" };
  const text = JSON.stringify({ ...line, body: { messages: [{ role: "user", content: "x" }] } });
  const { id } = await writeFile(
    context,
    { id: newFileId(), environment: "UAT" },
    (async function* () {
      yield Buffer.from(text);
    })(),
    () => ({ tenant: "default", filename: "x", purpose: "batch" }),
  );
  const prompt = { prompt: "Hello?", environment: "UAT" };
  for (const [path, body] of [
    ["/v1/jobs", prompt],
    ["/enqueue", prompt],
    ["/v1/batches", { input_file_id: id, endpoint: line.url, completion_window: "24h" }],
  ] as const) {
    const fits = described(path);
    for (const dry_run of [true, false]) {
      const answer = await post(path, { ...body, dry_run });
      expect(answer.status, answer.text).toBe(200);
      expect(answer.body.dry_run).toBe(dry_run ? true : undefined);
      expect(fits(answer.body), JSON.stringify(fits.errors)).toBe(true);
    }
    expect(fits({ error: {} })).toBe(false);
  }
});

test("what comes as a stream, or without content, is described", () => {
  const typesOf = (method: string, path: string) =>
    Object.keys(document.paths[path]![method]!.responses["200"]!.content);
  const both = ["application/json", "text/event-stream"];
  expect(typesOf("post", "/v1/chat/completions")).toEqual(both);
  expect(typesOf("post", "/v1/responses")).toEqual(both);
  expect(typesOf("get", "/v1/responses/{response_id}")).toEqual(both);
  expect(document.paths["/v1/jobs/{job_id}/events"]!.get!.responses["204"]).toEqual({
    description: "No event follows the one of Last-Event-ID.",
  });
});

test("the page for people is served with all that it needs", async () => {
  const page = await server.get("/docs");
  expect(page.status).toBe(200);
  expect(page.headers["content-security-policy"]).toContain("default-src 'self'");
  const needed = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map((m) => m[1]!);
  expect(needed.length).toBeGreaterThan(3);
  for (const path of needed) expect((await server.get(path)).status, path).toBe(200);
  // It carries this service's name and icon, and not those of the library.
  expect(page.text).toContain("<title>Sluice API</title>");
  expect(needed.filter((path) => path.endsWith("icon.svg"))).toHaveLength(1);
  expect(needed.some((path) => path.includes("favicon"))).toBe(false);
  expect((await server.get("/docs/static/swagger-initializer.js")).text).toContain('"layout":"BaseLayout"');
});
