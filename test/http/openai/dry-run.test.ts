// A dry run of chat completions and responses, as OpenAI's own client asks for it: an extra field of the body.
import type OpenAI from "openai";
import type { Static } from "typebox";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { createHttpServer } from "../../../src/http/server.ts";
import { newFileId, writeFile } from "../../../src/jobs/files/files.ts";
import type { dryRunSchema } from "../../../src/wire/dry-run-resource.ts";
import { type ServerUnderTest, startServerUnderTest } from "../server-under-test.ts";
import { clientOf, urlOf } from "./client.ts";

const model = "llama3-3-70b";
const quota = { unit: "tokens", per: "minute", limit: 2000 } as const;
const deployments = [{ region: "us-east-1", modelId: "us.meta.llama3-3-70b-instruct-v1:0", quotas: [quota] }];

let server: ServerUnderTest;
let client: OpenAI;
const accepted: string[] = [];
beforeAll(async () => {
  server = await startServerUnderTest({ models: { [model]: { maxOutputTokens: 500, deployments } } });
  server.context.events.publishAccepted = (jobs) => accepted.push(...jobs.map((job) => job.id));
  client = clientOf(await urlOf(server.app));
});
afterAll(async () => {
  server.app.server.closeAllConnections();
  await server.close();
});

type DryRun = Static<typeof dryRunSchema>;
const tried = (answer: unknown) => answer as DryRun;
const dry_run = true;
const within = { timeout: 15_000, interval: 5 };
const chat = { model, messages: [{ role: "user" as const, content: "Why is the sky blue?" }], max_tokens: 100 };
const asked = { model, input: "Why is the sky blue?", max_output_tokens: 100 };

test("the answer is that of /v1/jobs, and there is no job", async () => {
  const job = { prompt: "Why is the sky blue?", environment: "UAT", max_tokens: 100, priority: "interactive", dry_run };
  const expected: DryRun = (await server.post("/v1/jobs", job)).body;
  expect(expected).toMatchObject({ dry_run, priority: "interactive", quota: { limit: 2000 }, position: 1 });
  const started = (run: DryRun) => Math.abs(Date.parse(run.expected_start!) - Date.parse(expected.expected_start!));
  for (const answer of [
    await client.chat.completions.create({
      ...chat,
      // @ts-expect-error: OpenAI's types do not have it.
      dry_run: true,
    }),
    // As a whole, and not as events.
    (await server.post("/v1/chat/completions", { ...chat, stream: true, dry_run })).body,
    await client.chat.completions.create(chat, { query: { dry_run: "true" } }),
    await client.responses.create({ ...asked, dry_run } as typeof asked),
    await client.responses.create(asked, { query: { dry_run: "true" } }),
  ].map(tried)) {
    expect(answer).toMatchObject({ ...expected, expected_start: expect.any(String) });
    expect(started(answer)).toBeLessThan(60_000);
  }
  const background = { ...asked, background: true, dry_run };
  expect(tried(await client.responses.create(background))).toMatchObject({ dry_run, priority: "standard" });
  expect(accepted).toEqual([]);
  expect((await server.get("/v1/jobs")).body.data).toEqual([]);
});

test("an Idempotency-Key is not bound by it", async () => {
  const headers = { "content-type": "application/json", "idempotency-key": "k" };
  await server.post("/v1/responses", { ...asked, background: true, dry_run }, headers);
  const { body } = await server.post("/v1/responses", { ...asked, background: true }, headers);
  expect(body).toMatchObject({ object: "response", status: "queued" });
  expect(accepted.splice(0)).toHaveLength(1);
});

test.each([
  ["/v1/chat/completions", { ...chat, model: "gpt" }, 404, "model"],
  ["/v1/chat/completions", { ...chat, max_tokens: 5000 }, 400, "max_tokens"],
  ["/v1/chat/completions", { ...chat, environment: "DEV" }, 400, "environment"],
  ["/v1/chat/completions", { ...chat, messages: [{ role: "user", content: "word ".repeat(10_000) }] }, 422, null],
  ["/v1/responses", { ...asked, store: false, background: true }, 400, "store"],
  ["/v1/responses", { ...asked, input: "" }, 400, "input"],
])("refuses what a submit refuses: %s %j", async (url, body, status, param) => {
  const dry = await server.post(url, { ...body, dry_run });
  expect([dry.status, dry.body.error.param]).toEqual([status, param]);
  expect(dry.body).toEqual((await server.post(url, body)).body);
});

test.each([
  ["/v1/chat/completions", chat],
  ["/v1/responses", { ...asked, background: true }],
  ["/v1/batches", { input_file_id: "file-x", endpoint: "/v1/responses", completion_window: "24h" }],
])("what is neither true nor false is refused, and runs nothing: %s", async (url, body) => {
  for (const answer of [
    await server.post(url, { ...body, dry_run: "true" }),
    await server.post(`${url}?dry_run=perhaps`, body),
    await server.post(`${url}?dry_run`, body),
  ]) {
    expect([answer.status, answer.body.error.param]).toEqual([400, "dry_run"]);
  }
  expect(accepted).toEqual([]);
});

test("false and null are ordinary submits", async () => {
  for (const field of [false, null]) {
    const { body } = await server.post("/v1/responses?dry_run=false", { ...asked, background: true, dry_run: field });
    expect(body.status).toBe("queued");
  }
  expect(accepted).toHaveLength(2);
});

test("the file of a batch is read no longer than the caller waits, or the service runs", async () => {
  const { context, app } = server;
  const { id } = await writeFile(
    context,
    { id: newFileId(), environment: "UAT" },
    (async function* () {
      yield Buffer.from("x");
    })(),
    () => ({ tenant: "default", filename: "f", purpose: "batch" }),
  );
  let reading = 0;
  vi.spyOn(context.store.blobs, "read").mockImplementation(async () => {
    reading++;
    return (async function* () {
      try {
        for (;;) yield Buffer.from("\n");
      } finally {
        reading--;
      }
    })();
  });
  const wanted = { input_file_id: id, endpoint: "/v1/responses", completion_window: "24h", dry_run } as const;
  const leaving = new AbortController();
  const left = client.batches.create(wanted, { signal: leaving.signal }).catch((error) => error);
  await vi.waitFor(() => expect(reading).toBe(1), within);
  leaving.abort();
  await left;
  await vi.waitFor(() => expect(reading).toBe(0), within);

  const another = createHttpServer(context);
  const cut = clientOf(await urlOf(another)).batches.create(wanted);
  const refused = expect(cut).rejects.toMatchObject({ status: 503, code: "unavailable" });
  await vi.waitFor(() => expect(reading).toBe(1), within);
  await another.close();
  await refused;
  expect(reading).toBe(0);
  expect(app.server.listening).toBe(true);
  vi.restoreAllMocks();
});

test("rights and limits of the key hold", async () => {
  const created = async (fields: object, key?: string) => {
    const headers = { "content-type": "application/json", ...(key && { authorization: `Bearer ${key}` }) };
    return (await server.post("/v1/keys", { tenant: "t", ...fields }, headers)).body.key as string;
  };
  const admin = await created({ name: "admin", admin: true });
  const little = { name: "little", environments: ["UAT"], priority_max: "standard", daily_tokens: 10 };
  const key = await created(little, admin);
  const of = async (body: object) =>
    (await server.as(key).post("/v1/chat/completions", { ...chat, dry_run, ...body })).body;
  expect((await of({})).error.code).toBe("limit_exceeded");
  expect((await of({ environment: "PROD" })).error.code).toBe("forbidden");
  expect((await of({ priority: "interactive" })).error.code).toBe("forbidden");
  const allowed = await server.as(admin).post("/v1/chat/completions", { ...chat, dry_run });
  expect(allowed.body).toMatchObject({ dry_run, tenant: "t" });
  expect((await server.post("/v1/chat/completions", { ...chat, dry_run })).status).toBe(401);
});
