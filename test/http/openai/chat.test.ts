// POST /v1/chat/completions as OpenAI's own client sees it; the test plays the worker.
import OpenAI from "openai";
import type { ChatCompletion, ChatCompletionCreateParamsNonStreaming } from "openai/resources";
import { describe, expect, vi } from "vitest";
import type { Outcome } from "../../../src/domain/job.ts";
import { chatCompletionOf } from "../../../src/wire/openai/chat-response.ts";
import { closeSockets, test } from "../../support/fixtures.ts";
import type { ServerUnderTest } from "../server-under-test.ts";
import { clientOf, leavingClientOf, urlOf } from "./client.ts";

// Checked by the compiler: it is what OpenAI's types say, but for the null that OpenAI itself sends.
chatCompletionOf satisfies (record: never) => Omit<ChatCompletion, "system_fingerprint">;

let server: ServerUnderTest;
let client: OpenAI;
/** Of a caller that cannot come back. */
let leaving: OpenAI;
let accepted: string[];
test.beforeAll(async ({ shareServer }) => {
  server = await shareServer();
  server.context.events.publishAccepted = (jobs) => accepted.push(...jobs.map((job) => job.id));
  client = clientOf(await urlOf(server.app));
  leaving = leavingClientOf(await urlOf(server.app));
});
test.afterAll(() => closeSockets(server));
test.beforeEach(() => {
  accepted = [];
});

const within = { timeout: 15_000, interval: 5 };
const ask: ChatCompletionCreateParamsNonStreaming = {
  model: "llama3-3-70b",
  messages: [{ role: "user", content: "Why is the sky blue?" }],
};

/** The job that the call under way has submitted. */
async function acceptedJob(): Promise<string> {
  await vi.waitFor(() => expect(accepted.length).toBeGreaterThan(0), within);
  return accepted.shift()!;
}

async function endNext(outcome: Omit<Outcome, "jobId" | "at">): Promise<string> {
  const jobId = await acceptedJob();
  await server.context.end(jobId, outcome);
  return jobId;
}

const stateOf = async (jobId: string) => (await server.context.store.get(jobId))?.state;

test("an answer", async () => {
  const { data: answer, response } = await Promise.all([
    client.chat.completions.create(ask).withResponse(),
    endNext({
      status: "completed",
      text: "Rayleigh.",
      finishReason: "length",
      usage: { input: 7, output: 2, cacheRead: 3 },
      model: "llama3-3-70b",
    }),
  ]).then(([answered]) => answered);
  const jobId = response.headers.get("x-sluice-job-id")!;
  const { job } = (await server.context.store.get(jobId))!;
  expect(job).toMatchObject({ priority: "interactive", environment: "UAT", tenant: "default" });
  expect(job.expiresAt).toBe(job.submittedAt + 600_000);
  expect((answer as { _request_id?: string })._request_id).toBe(response.headers.get("x-request-id"));
  expect({ ...answer }).toEqual({
    id: `chatcmpl-${jobId.replaceAll("-", "")}`,
    object: "chat.completion",
    created: Math.floor(job.submittedAt / 1000),
    model: "llama3-3-70b",
    system_fingerprint: null,
    choices: [
      {
        index: 0,
        message: { role: "assistant", content: "Rayleigh.", refusal: null },
        logprobs: null,
        finish_reason: "length",
      },
    ],
    usage: {
      prompt_tokens: 10,
      completion_tokens: 2,
      total_tokens: 12,
      prompt_tokens_details: { cached_tokens: 3 },
      completion_tokens_details: { reasoning_tokens: 0 },
    },
  });
});

describe("how an answer that is none is told", () => {
  const cases: [outcome: Omit<Outcome, "jobId" | "at">, errorClass: unknown, status: number, code: string][] = [
    [
      { status: "failed", error: { code: "provider_rejected", message: "No." } },
      OpenAI.BadRequestError,
      400,
      "provider_rejected",
    ],
    [
      { status: "failed", error: { code: "tries_exhausted", message: "No." } },
      OpenAI.InternalServerError,
      502,
      "tries_exhausted",
    ],
    [
      { status: "failed", error: { code: "something_new", message: "No." } },
      OpenAI.InternalServerError,
      500,
      "internal",
    ],
    [
      { status: "expired", error: { code: "expired", message: "Too late." } },
      OpenAI.InternalServerError,
      504,
      "expired",
    ],
    [{ status: "cancelled" }, OpenAI.ConflictError, 409, "cancelled"],
  ];
  test.each(cases)("%j", async (outcome, errorClass, status, code) => {
    // With retries: the client must not submit the same job once more by itself.
    const insistent = clientOf(await urlOf(server.app), { maxRetries: 2 });
    const answer = insistent.chat.completions.create(ask).catch((error) => error);
    const jobId = await endNext(outcome);
    const error = (await answer) as InstanceType<typeof OpenAI.APIError>;
    expect(error).toBeInstanceOf(errorClass);
    expect(error).toMatchObject({ status, code, param: null });
    expect(error.headers!.get("x-sluice-job-id")).toBe(jobId);
    expect(accepted).toEqual([]);
  });
});

test("refusals have OpenAI's classes and name the parameter", async () => {
  const refusal = (fields: object) =>
    client.chat.completions.create({ ...ask, ...fields }).then(
      () => expect.unreachable("it should have been refused"),
      (error) => error,
    );
  const unknown = await refusal({ model: "gpt-4o" });
  expect(unknown).toBeInstanceOf(OpenAI.NotFoundError);
  expect(unknown).toMatchObject({ code: "model_not_found", param: "model", type: "invalid_request_error" });
  const twice = await refusal({ n: 2 });
  expect(twice).toBeInstanceOf(OpenAI.BadRequestError);
  expect(twice).toMatchObject({ code: "invalid_request", param: "n" });
  expect(twice.requestID).toMatch(/^[0-9a-f]{8}-/);
  expect(await refusal({ max_tokens: 5000 })).toMatchObject({ status: 400, param: "max_tokens" });
  expect(await refusal({ environment: "DEV" })).toMatchObject({ status: 400, param: "environment" });
  expect(await refusal({ messages: [{ role: "user", content: "word ".repeat(60_000) }] })).toMatchObject({
    status: 400,
  });
  expect(accepted).toEqual([]);
});

test("who goes away cancels the job", async () => {
  const controller = new AbortController();
  const answer = leaving.chat.completions.create(ask, { signal: controller.signal }).catch((error) => error);
  const jobId = await acceptedJob();
  controller.abort();
  expect(await answer).toBeInstanceOf(OpenAI.APIUserAbortError);
  await vi.waitFor(async () => expect(await stateOf(jobId)).toBe("cancelled"), within);
});

test("so does a time-out of the client", async () => {
  const answer = leaving.chat.completions.create(ask, { timeout: 300 }).catch((error) => error);
  const jobId = await acceptedJob();
  expect(await answer).toBeInstanceOf(OpenAI.APIConnectionTimeoutError);
  await vi.waitFor(async () => expect(await stateOf(jobId)).toBe("cancelled"), within);
  await client.models.list();
  expect(server.context.logged.join("")).not.toContain("the job goes on");
});

test("who asked to keep the job, or can come back for it, does not", async () => {
  for (const headers of [{ "x-sluice-keep": "true" }, { "idempotency-key": "once" }]) {
    const controller = new AbortController();
    const answer = client.chat.completions.create(ask, { signal: controller.signal, headers }).catch((error) => error);
    const jobId = await acceptedJob();
    const { job } = (await server.context.store.get(jobId))!;
    expect(job.expiresAt).toBeUndefined();
    const left = new Promise((resolve) => server.context.events.subscribe(jobId, resolve));
    controller.abort();
    await answer;
    await server.context.end(jobId, { status: "completed", text: "Kept." });
    await left;
    expect(await stateOf(jobId)).toBe("completed");
  }
  const again = await client.chat.completions.create(ask, { headers: { "idempotency-key": "once" } });
  expect(again.choices[0]!.message.content).toBe("Kept.");
});

test("an answer of one environment is not given to who asks another one under the same key", async () => {
  const once = (environment: string) => ({
    headers: { "idempotency-key": "apart", "x-sluice-environment": environment },
  });
  const answer = client.chat.completions.create(ask, once("UAT"));
  await endNext({ status: "completed", text: "Of UAT." });
  await answer;
  await expect(client.chat.completions.create(ask, { ...once("PROD"), maxRetries: 0 })).rejects.toMatchObject({
    status: 409,
    code: "idempotency_conflict",
  });
  expect((await client.chat.completions.create(ask, once("UAT"))).choices[0]!.message.content).toBe("Of UAT.");
});

describe("store: false", () => {
  const secret = { ...ask, store: false };
  const erased = { job: { ephemeral: true, request: { messages: [] } } };
  const recordOf = (jobId: string) => server.context.store.get(jobId);

  test("leaves neither prompt nor answer behind, and says so to who comes back", async () => {
    const once = { headers: { "idempotency-key": "secret" } };
    const answer = client.chat.completions.create(secret, once);
    const jobId = await endNext({ status: "completed", text: "Rayleigh." });
    expect((await answer).choices[0]!.message.content).toBe("Rayleigh.");
    expect(await recordOf(jobId)).toMatchObject({ ...erased, outcome: { text: "" } });
    await expect(client.chat.completions.create(secret, once)).rejects.toMatchObject({ status: 409, code: "conflict" });
  });

  test("so it is after a stream", async () => {
    const [stream, jobId] = await Promise.all([
      client.chat.completions.create({ ...secret, stream: true }),
      endNext({ status: "completed", text: "Rayleigh." }),
    ]);
    let text = "";
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
    expect(text).toBe("Rayleigh.");
    await vi.waitFor(async () => expect(await recordOf(jobId)).toMatchObject(erased), within);
  });

  test("and when the caller has gone", async () => {
    const controller = new AbortController();
    const answer = leaving.chat.completions.create(secret, { signal: controller.signal }).catch((error) => error);
    const jobId = await acceptedJob();
    controller.abort();
    await answer;
    await vi.waitFor(
      async () => expect(await recordOf(jobId)).toMatchObject({ ...erased, state: "cancelled" }),
      within,
    );
  });
});

test("the environment comes from the body, the header, or is the first one", async () => {
  const environmentOf = async (fields: object, headers: Record<string, string> = {}) => {
    const answer = client.chat.completions.create({ ...ask, ...fields }, { headers });
    const jobId = await endNext({ status: "completed", text: "x" });
    await answer;
    return (await server.context.store.get(jobId))!.job.environment;
  };
  expect(await environmentOf({})).toBe("UAT");
  expect(await environmentOf({}, { "x-sluice-environment": "PROD" })).toBe("PROD");
  expect(await environmentOf({ environment: "UAT" }, { "x-sluice-environment": "PROD" })).toBe("UAT");
  const error = await client.chat.completions
    .create(ask, { headers: { "x-sluice-environment": "DEV" } })
    .catch((e) => e);
  expect(error).toMatchObject({ status: 400, code: "unknown_environment" });
});

test("models", async () => {
  const { data } = await client.models.list();
  expect(data.map((model) => model.id)).toEqual(["llama3-3-70b", "nova-lite"]);
  const model = await client.models.retrieve("nova-lite");
  expect({ ...model }).toEqual({ id: "nova-lite", object: "model", created: expect.any(Number), owned_by: "bedrock" });
  await expect(client.models.retrieve("constructor")).rejects.toBeInstanceOf(OpenAI.NotFoundError);
});

test("everything else under OpenAI's paths errs in OpenAI's shape", async () => {
  const shape = { message: expect.any(String), type: "invalid_request_error", param: null, code: expect.any(String) };
  expect((await server.get("/v1/chat/nothing")).body).toEqual({ error: { ...shape, code: "not_found" } });
  expect((await server.get("/v1/chat/completions")).body).toEqual({ error: { ...shape, code: "method_not_allowed" } });
  const invalid = await server.post("/v1/chat/completions", "{");
  expect([invalid.status, invalid.body]).toEqual([400, { error: { ...shape, code: "invalid_json" } }]);
  const text = await server.post("/v1/chat/completions", "x", { "content-type": "text/plain" });
  expect([text.status, text.body]).toEqual([415, { error: { ...shape, code: "unsupported_media_type" } }]);
  expect((await server.get("/v1/jobs/nothing")).body.error).toHaveProperty("advice");
});

// The last one, because the others share the server.
test("a server that stops lets the call go, and with it the job", async () => {
  const answer = leaving.chat.completions.create(ask).catch((error) => error);
  const jobId = await acceptedJob();
  await server.app.close();
  expect(await answer).toMatchObject({ status: 503, code: "unavailable" });
  expect(await stateOf(jobId)).toBe("cancelled");
});
