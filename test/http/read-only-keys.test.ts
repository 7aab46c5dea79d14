// A read-only key reads what its tenant may read, and changes nothing.
import type { InjectOptions } from "fastify";
import { describe, expect, vi } from "vitest";
import { isAnthropicPath } from "../../src/wire/anthropic/anthropic-errors.ts";
import { isBedrockPath } from "../../src/wire/bedrock/bedrock-errors.ts";
import { test } from "../support/fixtures.ts";
import type { ServerUnderTest } from "./server-under-test.ts";

let server: ServerUnderTest;
let admin: string;
/** Read-only keys: of an admin, of the tenant `t`. */
let auditor: string;
let reader: string;
/** An ended job of the tenant `t` with a webhook. */
let jobId: string;
const hook = "https://hooks.example.com/planted-path?token=planted-token";

test.beforeAll(async ({ shareServer }) => {
  server = await shareServer();
  admin = (await server.post("/v1/keys", { name: "admin", admin: true })).body.key;
  const create = async (fields: object) => (await server.as(admin).post("/v1/keys", { name: "k", ...fields })).body;
  auditor = (await create({ name: "auditor", admin: true, read_only: true })).key;
  reader = (await create({ name: "reader", tenant: "t", read_only: true })).key;
  const writer = server.as((await create({ name: "writer", tenant: "t" })).key);
  const job = { prompt: "Why?", environment: "UAT", webhook_url: hook };
  jobId = (await writer.post("/v1/jobs", job)).body.job_id;
  expect((await writer.post(`/v1/jobs/${jobId}/cancel`)).status).toBe(200);
  expect((await writer.post("/v1/pause", { tenant: "t" })).status).toBe(200);
});

interface Operation {
  method: NonNullable<InjectOptions["method"]>;
  path: string;
  responses: Record<string, { description: string }>;
}

async function operations(): Promise<Operation[]> {
  const { paths } = (await server.get("/openapi.json")).body as { paths: Record<string, Record<string, Operation>> };
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { responses }]) => ({
      method: method.toUpperCase() as Operation["method"],
      path,
      responses,
    })),
  );
}

function send(key: string, method: Operation["method"], url: string, payload?: object) {
  const headers = { authorization: `Bearer ${key}` };
  return server.app.inject({ method, url, headers, ...(payload && { payload }) });
}

/** Everything that a call could change and a list shows, except when each key was last used. */
async function contents(): Promise<string> {
  const paths = ["/v1/jobs?limit=1000", "/v1/keys", "/v1/pauses", "/v1/files", "/v1/batches"];
  const all = await Promise.all(paths.map((path) => server.as(admin).get(path)));
  return all.map(({ text }) => text.replaceAll(/"last_used_at":("[^"]*"|null)/g, "")).join("\n");
}

describe("every call that is no GET", () => {
  test.for(["auditor", "reader"] as const)("is refused to the key of the %s, with the remedy", async (name) => {
    const key = name === "auditor" ? auditor : reader;
    const before = await contents();
    const others = (await operations()).filter(({ method }) => method !== "GET");
    expect(others.length).toBeGreaterThan(20);
    for (const { method, path, responses } of others) {
      const url = path.replace("{job_id}", jobId).replaceAll(/\{\w+\}/g, "x");
      for (const payload of [{}, { tenant: "t" }, { prompt: "Why?", environment: "UAT" }]) {
        const { statusCode, body } = await send(key, method, url, payload);
        expect(statusCode, `${method} ${path}`).toBe(403);
        const message = `The API key is read-only, so it may not send ${method}. Use a key that was created without read_only.`;
        const named = isAnthropicPath(path) ? { type: "permission_error" } : { code: "forbidden" };
        const expected = isBedrockPath(path) ? { message } : { error: { ...named, message } };
        expect(JSON.parse(body)).toMatchObject(expected);
      }
      expect(responses["403"]!.description, `${method} ${path}`).toContain("`forbidden`: ");
    }
    expect(await contents()).toBe(before);
  });

  test.each(["PUT", "POST", "DELETE", "PATCH", "OPTIONS"] as const)("also %s on other paths", async (method) => {
    for (const path of ["/v1/config/reload", "/v1/stats", "/docs", "/nothing"]) {
      expect((await send(auditor, method, path)).statusCode, path).toBe(403);
    }
  });

  test("also a dry run", async () => {
    const job = { prompt: "Why?", environment: "UAT", dry_run: true };
    expect((await send(reader, "POST", "/v1/jobs", job)).statusCode).toBe(403);
    expect((await send(reader, "POST", "/enqueue?dry_run=true", job)).json()).toMatchObject({ success: false });
  });
});

describe("every GET", () => {
  test("answers as it answers a key that may write, but for secrets", async () => {
    const delivery = `msg_${jobId}`;
    const secret = (await server.as(admin).get("/v1/webhooks/secret")).body.secret;
    const gets = (await operations()).filter(({ method }) => method === "GET");
    for (const { path } of gets) {
      const url = path
        .replace("{job_id}", jobId)
        .replace("{response_id}", `resp_${jobId.replaceAll("-", "")}`)
        .replace("{delivery_id}", delivery)
        .replace("{model}", "nova-lite")
        .replaceAll(/\{\w+\}/g, "x");
      const { statusCode, body } = await send(auditor, "GET", url);
      expect(statusCode, path).toBe(path === "/v1/webhooks/secret" ? 403 : (await server.as(admin).get(url)).status);
      for (const hidden of [secret, admin.slice(-50), "planted-token", "planted-path"]) {
        expect(body, path).not.toContain(hidden);
      }
    }
    expect(gets.length).toBeGreaterThan(15);
  });

  test("shows the jobs of the tenant, as text and as a stream", async () => {
    const listed = await server.as(reader).get("/v1/jobs");
    expect(listed.body.data).toMatchObject([{ job_id: jobId, tenant: "t" }]);
    expect((await server.as(reader).get(`/v1/jobs/${jobId}/events`)).text).toContain('"status":"cancelled"');
    expect((await server.as(reader).get("/v1/stats")).status).toBe(403);
  });

  test("shows of a webhook's address its origin alone", async () => {
    const [shown] = (await server.as(reader).get("/v1/webhooks/deliveries")).body.data;
    expect(shown).toMatchObject({ job_id: jobId, url: "https://hooks.example.com" });
    expect((await server.as(admin).get(`/v1/webhooks/deliveries/${shown.id}`)).body.url).toBe(hook);
  });

  test("does not read a secret, and creates none", async () => {
    const message =
      "The API key is read-only, so it may not read secrets. Use a key that was created without read_only.";
    const answer = await server.as(reader).get("/v1/webhooks/secret");
    expect(answer).toMatchObject({ status: 403, body: { error: { code: "forbidden", message } } });
  });

  test("erases nothing of a tenant with zero retention", async ({ startServer }) => {
    const strict = await startServer({ retention: { tenants: { t: { texts: "none" } } } });
    const writer = { name: "w", tenant: "t" };
    const { key } = (await strict.as(admin).post("/v1/keys", writer)).body;
    const answered = (await strict.as(key).post("/v1/jobs", { prompt: "Why?", environment: "UAT" })).body.job_id;
    await strict.context.begin(answered);
    await strict.context.end(answered, { status: "completed", text: "So.", attempt: 1 }, { result: "completed" });
    const read = (by: string) => strict.as(by).get(`/v1/jobs/${answered}`);
    for (const by of [reader, auditor, reader]) expect((await read(by)).body.text).toBe("So.");
    expect((await read(key)).body.text).toBe("So.");
    await vi.waitFor(async () => expect((await read(reader)).body.text).not.toBe("So."));
  });

  test("does not count as the return of a caller that disconnected", async () => {
    const { callers, store } = server.context;
    const connect = vi.spyOn(callers, "connect").mockResolvedValue();
    const record = (await store.get(jobId))!;
    const job = { ...record.job, waitingCaller: callers.mark("key") };
    await callers.whileRead(job, { tenant: "t", admin: false, readOnly: true }, async () => record);
    expect(connect).not.toHaveBeenCalled();
    await callers.whileRead(job, { tenant: "t", admin: false }, async () => record);
    expect(connect).toHaveBeenCalledOnce();
  });
});

test("the resource says whether a key is read-only", async () => {
  const { data } = (await server.as(auditor).get("/v1/keys")).body;
  const shown = data.map(({ name, admin, read_only }: Record<string, unknown>) => [name, admin, read_only]);
  expect(shown).toEqual([
    ["admin", true, false],
    ["auditor", true, true],
    ["reader", false, true],
    ["writer", false, false],
    ["w", false, false],
  ]);
});
