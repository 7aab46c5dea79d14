// /v1/webhooks and webhook_url: what is refused, and who sees what.
import { afterAll, beforeAll, expect, test } from "vitest";
import { keylessCaller } from "../../src/jobs/caller.ts";
import { createKey } from "../../src/jobs/keys/keys.ts";
import { type ServerUnderTest, startServerUnderTest } from "./server-under-test.ts";

let server: ServerUnderTest;
beforeAll(async () => {
  server = await startServerUnderTest();
});
afterAll(() => server.close());

const hook = "https://example.com/hook";

test.each([
  [5, "webhook_url must be a string of 1 to 4096 characters; got 5."],
  ["", 'webhook_url must be a string of 1 to 4096 characters; got "".'],
  ["example.com", 'webhook_url must be a URL such as https://example.com/hook; got "example.com".'],
  ["http://example.com", /must start with https/],
  ["https://me:secret@example.com", "webhook_url must not contain a user name or a password."],
  ["https://127.0.0.1/", /must be a public address/],
  ["https://[::ffff:a9fe:a9fe]/", /must be a public address/],
  ["https://2852039166/", /must be a public address/],
  [`https://example.com/${"x".repeat(2100)}`, /must have at most 2048 characters/],
])("webhook_url %.50j is refused and leaves nothing behind", async (webhook_url, message) => {
  const before = await server.context.countJobs();
  for (const path of ["/enqueue", "/v1/jobs"]) {
    const { status, body } = await server.post(path, { prompt: "Hello?", environment: "UAT", webhook_url });
    expect(status).toBe(400);
    expect(body.error).toMatchObject({ code: "invalid_request", field: "webhook_url" });
    expect(body.error.message).toMatch(message);
  }
  const asked = [
    ["/v1/chat/completions", { messages: [{ role: "user", content: "Hello?" }] }],
    ["/v1/responses", { input: "Hello?", background: true }],
  ] as const;
  for (const [path, fields] of asked) {
    const { status, body } = await server.post(path, { ...fields, webhook_url });
    expect(status).toBe(400);
    expect(body.error).toMatchObject({ code: "invalid_request", param: "webhook_url" });
    expect(body.error.message).toMatch(message);
  }
  expect(await server.context.countJobs()).toBe(before);
  expect((await server.get("/v1/webhooks/deliveries")).body.data).toEqual([]);
  const batch = { input_file_id: "file-x", endpoint: "/v1/chat/completions", completion_window: "24h", webhook_url };
  const { body } = await server.post("/v1/batches", batch);
  expect(body.error).toMatchObject({ param: "webhook_url", message: expect.stringMatching(message) });
});

test.each([
  ["?job=5", "job", 'job must be a UUID; got "5".'],
  ["?batch=x", "batch", 'batch must be the id of a batch; got "x".'],
  ["?status=done", "status", /must be one of waiting, pending, delivered, failed/],
  ["?limit=0", "limit", /between 1 and 100/],
  ["?limit=101", "limit", /between 1 and 100/],
  ["?cursor=x", "cursor", 'cursor must be next_cursor of the page before; got "x".'],
  ["?cursor=delivery/0000000000000001/../x", "cursor", /next_cursor/],
  ["?color=red", "color", /not a known query parameter/],
])("GET /v1/webhooks/deliveries%s", async (query, field, message) => {
  const { status, body } = await server.get(`/v1/webhooks/deliveries${query}`);
  expect(status).toBe(400);
  expect(body.error).toMatchObject({ code: "invalid_request", field });
  expect(body.error.message).toMatch(message);
});

test.each([
  "x",
  "msg_",
  "msg_x",
  `msg_${"a".repeat(1000)}`,
  "msg_019ab2c4-5d6e-7f80-9123-456789abcdef",
  "%00",
  "msg_../x",
])("there is no delivery %.40s", async (id) => {
  for (const answer of [
    await server.get(`/v1/webhooks/deliveries/${encodeURIComponent(id)}`),
    await server.post(`/v1/webhooks/deliveries/${encodeURIComponent(id)}/redeliver`),
  ]) {
    expect(answer.status).toBe(404);
    expect(answer.body.error.code).toBe("delivery_not_found");
  }
});

test("a tenant has a secret of its own, and sees and repeats only its own deliveries", async () => {
  const keyOf = async (name: string, more = {}) => {
    const { key } = await createKey(server.context, { name, ...more }, keylessCaller);
    await server.context.keys.refresh();
    return server.as(key.text);
  };
  const admin = await keyOf("admin", { admin: true });
  const [a, b, prodOnly] = [
    await keyOf("a"),
    await keyOf("b"),
    await keyOf("a2", { tenant: "a", environments: ["PROD"] }),
  ];
  const { body: job } = await a.post("/v1/jobs", { prompt: "Hello?", environment: "UAT", webhook_url: hook });
  const path = `/v1/webhooks/deliveries/msg_${job.job_id}`;

  expect((await a.get(path)).body).toMatchObject({ tenant: "a", url: hook, status: "waiting" });
  expect((await admin.get(path)).status).toBe(200);
  for (const other of [b, prodOnly]) {
    expect((await other.get(path)).body.error.code).toBe("delivery_not_found");
    expect((await other.post(`${path}/redeliver`)).body.error.code).toBe("delivery_not_found");
    for (const query of ["", `?job=${job.job_id}`, "?status=waiting"]) {
      expect((await other.get(`/v1/webhooks/deliveries${query}`)).body).toEqual({ data: [], next_cursor: null });
    }
  }
  for (const query of ["", `?job=${job.job_id.toUpperCase()}`, "?status=waiting"]) {
    expect((await a.get(`/v1/webhooks/deliveries${query}`)).body.data).toMatchObject([{ job_id: job.job_id }]);
  }
  expect((await a.get("/v1/webhooks/deliveries?status=failed")).body.data).toEqual([]);

  const secretOf = async (key: typeof a) => (await key.get("/v1/webhooks/secret")).body.secret;
  expect(await secretOf(a)).toBe(await secretOf(prodOnly));
  expect(await secretOf(a)).not.toBe(await secretOf(b));
  const rotated = (await a.post("/v1/webhooks/secret/rotate")).body;
  expect(await secretOf(a)).toBe(rotated.secret);
  expect(Date.parse(rotated.previous_signs_until) - Date.parse(rotated.created_at)).toBe(24 * 3_600_000);
  expect((await server.get("/v1/webhooks/secret")).status).toBe(401);
  expect(server.context.logged.join("")).not.toContain("whsec_");
});
