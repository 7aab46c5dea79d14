// GET /v1/jobs/{id}/request: what a caller submitted comes back in the form that a submit takes.
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ServerUnderTest, startServerUnderTest } from "./server-under-test.ts";

let server: ServerUnderTest;
beforeAll(async () => {
  const deployment = { provider: "openai", baseUrl: "http://127.0.0.1:1/v1", modelId: "any" } as const;
  server = await startServerUnderTest({ models: { any: { deployments: [deployment] } }, defaultModel: "any" });
});
afterAll(() => server.close());

const schema = '{"type": "object", "properties": {"2": {"maximum": 9223372036854775807}, "1": {}}}';
const markup = '<script>alert("\u2028")</script>\u0000"';

async function submit(body: object | string): Promise<string> {
  const answer = await server.post("/v1/jobs", body);
  expect(answer.status, answer.text).toBe(200);
  return answer.body.job_id;
}
const requestOf = (jobId: string) => server.get(`/v1/jobs/${jobId}/request`);

test("a prompt", async () => {
  const id = await submit({ prompt: markup, system: "Be brief.", environment: "UAT", max_tokens: 7 });
  const { status, body, headers } = await requestOf(id.toUpperCase());
  expect([status, headers["content-type"]]).toEqual([200, "application/json; charset=utf-8"]);
  expect(body).toEqual({
    job_id: id,
    erased: false,
    ...{ environment: "UAT", model: "any", priority: "standard", system: "Be brief.", max_tokens: 7 },
    messages: [{ role: "user", content: [{ type: "text", text: markup }] }],
    native: null,
    embeddings: null,
    ...{
      tools: null,
      tool_choice: null,
      response_format: null,
      temperature: null,
      top_p: null,
      top_k: null,
      stop: null,
    },
    ...{ seed: null, frequency_penalty: null, presence_penalty: null, reasoning_effort: null, service_tier: null },
    ...{ guardrail: null, regions: null, fallback_models: [] },
  });
});

test("every option and block, which another submit takes unchanged, with exact numbers", async () => {
  const conversation = [
    {
      role: "system",
      content: [
        { type: "text", text: "One." },
        { type: "cache_point", ttl: "1h" },
      ],
    },
    { role: "user", content: "Why?" },
    { role: "assistant", content: [{ type: "tool_call", id: "c", name: "f", arguments: '{"a": 1.0}' }] },
    {
      role: "user",
      content: [{ type: "tool_result", call_id: "c", text: "no", is_error: true }, { type: "cache_point" }],
    },
  ];
  const options = {
    temperature: 0.5,
    top_p: 0.25,
    stop: ["END"],
    seed: 9,
    priority: "batch",
    tool_choice: { name: "f" },
  };
  const fields = JSON.stringify({ environment: "UAT", messages: conversation, ...options }).slice(1, -1);
  const format = `"response_format": {"type": "json_schema", "name": "n", "schema": ${schema}, "strict": true}`;
  const id = await submit(`{${fields}, "tools": [{"name": "f", "input_schema": ${schema}}], ${format}}`);
  const shown = await requestOf(id);
  expect(shown.body).toMatchObject({ system: "One.", ...options });
  expect(shown.text.split(schema)).toHaveLength(3);
  // Repeats the request with the fields that a submit takes.
  const text = shown.text.replace(/"job_id":"[^"]*","erased":false,/, "").replace(/"[a-z_]+":null,?/g, "");
  const again = await submit(text.replace(/,}$/, "}"));
  const stored = async (jobId: string) => (await server.context.store.get(jobId))!.job.request;
  expect(await stored(again)).toEqual(await stored(id));
});

test("the request of a chat, with a tool result in parts", async () => {
  const job = await submit({ prompt: "x", environment: "UAT" });
  const { job: stored } = (await server.context.store.get(job))!;
  const id = `${job.slice(0, -4)}0000`;
  const content = [{ type: "tool_result" as const, callId: "c", text: ["a", "b"] }];
  const request = { ...stored.request, messages: [{ role: "user" as const, content, isList: true as const }] };
  await server.context.store.insertMany([{ ...stored, id, request }]);
  expect((await requestOf(id)).body.messages).toEqual([
    { role: "user", content: [{ type: "tool_result", call_id: "c", text: "ab" }] },
  ]);
});

test("a large prompt is whole; an erased one says so", async () => {
  const prompt = "x".repeat(500_000);
  const id = await submit({ prompt, environment: "UAT", stop: ["secret"], max_tokens: 3 });
  expect((await requestOf(id)).body.messages[0].content[0].text).toBe(prompt);
  await server.context.end(id, { status: "completed", text: "y" });
  await server.context.store.eraseTexts("UAT", id);
  expect((await requestOf(id)).body).toMatchObject({ erased: true, messages: [], stop: null, max_tokens: 3 });
});

test("a job that is not there, or of another tenant, is not found", async () => {
  const id = await submit({ prompt: "x", environment: "UAT" });
  expect(await requestOf("01a207b1-d804-714a-9b28-0f7074ddb0e8")).toMatchObject({ status: 404 });
  expect(await requestOf("x")).toMatchObject({ status: 400, body: { error: { field: "job_id" } } });
  const admin = (await server.post("/v1/keys", { name: "admin", admin: true })).body.key;
  const other = (await server.as(admin).post("/v1/keys", { name: "other" })).body.key;
  expect((await server.as(admin).get(`/v1/jobs/${id}/request`)).status).toBe(200);
  expect(await server.as(other).get(`/v1/jobs/${id}/request`)).toMatchObject({
    status: 404,
    body: { error: { code: "job_not_found" } },
  });
});
