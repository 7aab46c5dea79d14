// What a call does not have is refused with its name, on every route that there is: nothing is ignored silently.
import type { InjectOptions } from "fastify";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isAnthropicPath } from "../../src/wire/anthropic/anthropic-errors.ts";
import { isBedrockPath } from "../../src/wire/bedrock/bedrock-errors.ts";
import { isOpenAiPath } from "../../src/wire/openai/openai-errors.ts";
import { type ServerUnderTest, startServerUnderTest } from "./server-under-test.ts";

type Method = "GET" | "POST" | "PATCH" | "DELETE";

let server: ServerUnderTest;
let operations: [method: Method, path: string][];
beforeAll(async () => {
  server = await startServerUnderTest();
  const { paths } = (await server.get("/openapi.json")).body as { paths: Record<string, object> };
  operations = Object.entries(paths)
    // Probes and scrapes may carry anything, and Bedrock decides what the bodies of two APIs have.
    .filter(([path]) => !/^\/(healthz|readyz|metrics)$/.test(path) && !isBedrockPath(path) && !isAnthropicPath(path))
    .flatMap(([path, methods]) =>
      Object.keys(methods).map((method): [Method, string] => [method.toUpperCase() as Method, path]),
    );
});
afterAll(() => server.close());

const unknownJob = "00000000-0000-7000-8000-000000000000";
const urlOf = (path: string) => path.replace("{job_id}", unknownJob).replaceAll(/\{\w+\}/g, "x");

async function refusal(options: InjectOptions): Promise<{ status: number; field: string; message: string }> {
  const answer = await server.app.inject(options);
  const { field, param, message } = answer.json().error ?? {};
  return { status: answer.statusCode, field: isOpenAiPath(String(options.url)) ? param : field, message };
}

/** So that nothing but the unknown is wrong with the call. */
const bodies: Record<string, object> = {
  "POST /enqueue": { prompt: "x", environment: "UAT" },
  "POST /v1/jobs": { prompt: "x", environment: "UAT" },
  "PATCH /v1/jobs/{job_id}": { priority: "batch" },
  "POST /v1/jobs/cancel": { model: "nova-lite" },
  "POST /v1/jobs/retry": { model: "nova-lite" },
  "POST /v1/jobs/change": { model: "nova-lite", set: { priority: "batch" } },
  "POST /v1/chat/completions": { messages: [{ role: "user", content: "x" }] },
  "POST /v1/responses": { input: "x" },
  "POST /v1/embeddings": { input: "x", model: "x" },
  "POST /v1/batches": { input_file_id: "x", endpoint: "/v1/chat/completions", completion_window: "24h" },
  "POST /v1/pause": { model: "nova-lite" },
  "POST /v1/resume": { model: "nova-lite" },
  "POST /v1/keys": { name: "x" },
};

test("an unknown query parameter", async () => {
  for (const [method, path] of operations) {
    const payload = bodies[`${method} ${path}`];
    const answer = await refusal({ method, url: `${urlOf(path)}?nonsense=1`, ...(payload && { payload }) });
    expect(answer, `${method} ${path}`).toMatchObject({ status: 400, field: "nonsense" });
    expect(answer.message).toMatch(/^"nonsense" is not a known query parameter; known query parameters: /);
  }
  expect(operations.length).toBeGreaterThan(40);
});

test("a scrape with the parameters of its configuration", async () => {
  expect((await server.get("/metrics?x=1&x=2")).status).toBe(200);
});

test("an unknown field of the body", async () => {
  for (const [method, path] of operations) {
    // A form, whose fields are looked at as they arrive.
    if (method === "GET" || (method === "POST" && path === "/v1/files")) continue;
    const payload = { ...bodies[`${method} ${path}`], nonsense: 1 };
    const answer = await refusal({ method, url: urlOf(path), payload });
    expect(answer, `${method} ${path}`).toMatchObject({ status: 400, field: "nonsense" });
    expect(answer.message).toContain('"nonsense"');
  }
});

describe("a retry has no dry run", () => {
  test("of a job: it says so, and makes none", async () => {
    const { context, post, enqueue } = server;
    const id = await enqueue();
    await context.end(id, { status: "failed", error: { code: "internal", message: "x" } });
    for (const [url, body] of [
      [`/v1/jobs/${id}/retry`, { dry_run: true }],
      [`/v1/jobs/${id}/retry?dry_run=true`, undefined],
    ] as const) {
      const { status, body: answer } = await post(url, body);
      expect({ status, ...answer.error }).toMatchObject({ status: 400, code: "invalid_request", field: "dry_run" });
      expect(answer.error.message).toMatch(/known (fields|query parameters): none\. This call has no dry run\.$/);
    }
    expect((await server.get("/v1/jobs")).body.data).toHaveLength(1);
    // Clients that send something for nothing are served.
    for (const body of [{}, "null", undefined]) expect((await post(`/v1/jobs/${id}/retry`, body)).status).toBe(200);
  });

  test("of a batch", async () => {
    for (const [url, body] of [
      ["/v1/batches/x/retry", { dry_run: true }],
      ["/v1/batches/x/retry?dry_run=true", undefined],
    ] as const) {
      const { status, body: answer } = await server.post(url, body);
      expect({ status, ...answer.error }).toMatchObject({ status: 400, param: "dry_run" });
    }
  });
});

test("what may be null and is another value gets to hear what else it may be", async () => {
  const answer = await server.app.inject({
    ...{ method: "PATCH", url: `/v1/jobs/${unknownJob}`, payload: { not_before: true } },
  });
  expect(answer.json().error.message).toBe(
    'not_before must be a time such as "2030-01-31T12:00:00Z" or a number between 0 and 1209600 or null; got true.',
  );
});

test("OpenAI's clients may say what a response is to include", async () => {
  const url =
    "/v1/responses/resp_x?include[]=reasoning.encrypted_content&include[]=x&include=x&include_obfuscation=false";
  expect((await server.get(url)).status).toBe(404);
});
