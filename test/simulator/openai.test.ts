// The simulator's OpenAI API, tested with OpenAI's own client.
import OpenAI, { APIConnectionError, APIError } from "openai";
import { describe, expect, test } from "vitest";
import type { SimulatorOptions } from "../../src/simulator/options.ts";
import { type Simulator, startSimulator } from "../../src/simulator/simulator.ts";
import { collect, manualClock, simulate, until } from "./support.ts";

const model = "openai.gpt-oss-20b-1:0";

async function start(options: SimulatorOptions = {}): Promise<{ simulator: Simulator; client: OpenAI }> {
  const { simulator } = await simulate(options);
  return { simulator, client: new OpenAI({ baseURL: `${simulator.url}/v1`, apiKey: "any", maxRetries: 0 }) };
}

const ask = (content: string, more: object = {}) => ({
  model,
  messages: [{ role: "user" as const, content }],
  max_completion_tokens: 500,
  ...more,
});

/** Returns the error that a call ends with, as the client creates it. */
async function failure(promise: Promise<unknown>): Promise<APIError> {
  return promise.then(
    () => {
      throw new Error("It did not fail.");
    },
    (error: APIError) => error,
  );
}

function post(simulator: Simulator, body: string) {
  return fetch(`${simulator.url}/v1/chat/completions`, { method: "POST", body });
}

describe("answers", () => {
  test("unstreamed", async () => {
    const { simulator, client } = await start({ answerTokens: 30 });
    const { data, request_id } = await client.chat.completions.create(ask("Why is the sky blue?")).withResponse();
    expect(data).toMatchObject({
      object: "chat.completion",
      model,
      choices: [{ index: 0, finish_reason: "stop", message: { role: "assistant", refusal: null } }],
      usage: { prompt_tokens: 5, completion_tokens: 30, total_tokens: 35 },
    });
    expect(data.choices[0]?.message.content).toContain("synthetic answer");
    expect(request_id).toBe(simulator.calls[0]?.requestId);
    expect(simulator.calls).toMatchObject([
      {
        operation: "ChatCompletions",
        modelId: model,
        outcome: "answered",
        status: 200,
        inputTokens: 5,
        outputTokens: 30,
      },
    ]);
  });

  test("a stream has the same text, and usage at its end only if requested", async () => {
    const { client } = await start();
    const whole = await client.chat.completions.create(ask("Hello"));
    const options = { stream: true as const, stream_options: { include_usage: true } };
    const chunks = await collect(await client.chat.completions.create({ ...ask("Hello"), ...options }));
    expect(chunks.map((c) => c.choices[0]?.delta.content ?? "").join("")).toBe(whole.choices[0]?.message.content);
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: whole.usage });
    expect(chunks.at(-2)?.choices[0]?.finish_reason).toBe("stop");
    expect(chunks.slice(0, -1).every((c) => c.usage === null)).toBe(true);

    const without = await collect(await client.chat.completions.create({ ...ask("Hello"), stream: true }));
    expect(without.some((c) => "usage" in c)).toBe(false);
  });

  test("max_tokens and stop end the answer", async () => {
    const { client } = await start();
    const cut = await client.chat.completions.create({ ...ask("Hello"), max_completion_tokens: null, max_tokens: 7 });
    expect(cut).toMatchObject({ choices: [{ finish_reason: "length" }], usage: { completion_tokens: 7 } });
    const stopped = await client.chat.completions.create(ask("Hello", { stop: "No model" }));
    expect(stopped.choices[0]).toMatchObject({ finish_reason: "stop" });
    expect(stopped.choices[0]?.message.content).not.toContain("No model");
  });

  test("everything that a conversation may contain is read", async () => {
    const { simulator, client } = await start();
    await client.chat.completions.create({
      ...ask("x"),
      messages: [
        { role: "system", content: "Be brief" },
        {
          role: "user",
          content: [
            { type: "text", text: "one" },
            { type: "text", text: "two" },
          ],
        },
        {
          role: "assistant",
          tool_calls: [{ id: "c1", type: "function", function: { name: "f", arguments: "{}" } }],
        },
        { role: "tool", tool_call_id: "c1", content: "done" },
      ],
      tools: [{ type: "function", function: { name: "f" } }],
      response_format: { type: "json_object" },
    });
    expect(simulator.calls[0]).toMatchObject({ prompt: "one\ntwo", outcome: "answered" });
    expect(simulator.calls[0]!.inputTokens).toBeGreaterThan(5);
  });

  test("lists the models, and does not find others", async () => {
    const { client } = await start({ models: { "my-model": {} } });
    const ids = (await client.models.list()).data.map((m) => m.id);
    expect(ids).toContain(model);
    expect(ids).toContain("my-model");
    expect(await client.models.retrieve("my-model")).toMatchObject({ id: "my-model", object: "model" });
    expect(await failure(client.models.retrieve("x"))).toMatchObject({ status: 404, code: "model_not_found" });
    expect(await client.chat.completions.create({ ...ask("Hello"), model: "my-model" })).toMatchObject({
      model: "my-model",
    });
  });
});

describe("refusals", () => {
  test.each([
    [{ model: "gpt-0" }, 404, "model_not_found", "model"],
    [{ messages: [] }, 400, null, "messages"],
    [{ messages: [{ role: "robot", content: "x" }] }, 400, null, "messages[0].role"],
    [{ messages: [{ role: "user" }] }, 400, null, "messages[0].content"],
    [{ messages: [{ role: "tool", content: "x" }] }, 400, null, "messages[0].tool_call_id"],
    [{ temperature: 3 }, 400, null, "temperature"],
    [{ top_p: -1 }, 400, null, "top_p"],
    [{ max_completion_tokens: 0 }, 400, null, "max_completion_tokens"],
    [{ max_completion_tokens: 99_999_999 }, 400, null, "max_completion_tokens"],
    [{ stop: ["a", "b", "c", "d", "e"] }, 400, null, "stop"],
    [{ stream_options: { include_usage: true } }, 400, null, "stream_options"],
    [{ n: 2 }, 400, null, "n"],
    [{ messages: [{ role: "user", content: "word ".repeat(128_000) }] }, 400, "context_length_exceeded", "messages"],
  ])("%j", async (more, status, code, param) => {
    const { simulator, client } = await start();
    const error = await failure(client.chat.completions.create(ask("x", more) as never));
    expect(error).toBeInstanceOf(APIError);
    expect(error).toMatchObject({ status, code, param, type: "invalid_request_error" });
    expect(simulator.calls).toMatchObject([{ outcome: "refused", status }]);
  });

  test("invalid JSON, and unknown paths", async () => {
    const { simulator } = await start();
    for (const body of ["{", "[]", "{}"]) expect((await post(simulator, body)).status).toBe(400);
    const response = await fetch(`${simulator.url}/v1/completions`, { method: "POST", body: "{}" });
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ error: { message: "Invalid URL (POST /v1/completions)" } });
  });
});

describe("rate limits", () => {
  test("every answer reports what is left; a refusal how long to wait, after which a call is admitted", async () => {
    const clock = manualClock(1_000_000);
    const { client } = await start({ requestsPerMinute: 2, tokensPerMinute: 10_000, clock });
    const first = await client.chat.completions.create(ask("Hello")).withResponse();
    const headers = (response: Response) =>
      Object.fromEntries([...response.headers].filter(([name]) => /^(x-ratelimit|retry)/.test(name)));
    expect(headers(first.response)).toEqual({
      "x-ratelimit-limit-requests": "2",
      "x-ratelimit-remaining-requests": "1",
      "x-ratelimit-reset-requests": "1m0s",
      "x-ratelimit-limit-tokens": "10000",
      "x-ratelimit-remaining-tokens": "9499",
      "x-ratelimit-reset-tokens": "1m0s",
    });
    clock.time += 10_500;
    await client.chat.completions.create(ask("Hello"));
    const error = await failure(client.chat.completions.create(ask("Hello")));
    expect(error).toMatchObject({ status: 429, code: "rate_limit_exceeded", type: "requests" });
    expect(error.message).toContain("on requests per min (RPM): Limit 2, Requested 1. Please try again in 49.5s.");
    expect(Object.fromEntries(error.headers ?? [])).toMatchObject({
      "x-ratelimit-remaining-requests": "0",
      "retry-after": "50",
      "retry-after-ms": "49500",
    });
    clock.time += 49_499;
    await failure(client.chat.completions.create(ask("Hello")));
    clock.time += 1;
    await client.chat.completions.create(ask("Hello"));
  });

  test("tokens, and a request that can never fit", async () => {
    const { simulator, client } = await start({ tokensPerMinute: 600, tokensPerSecond: 0.001 });
    const abort = new AbortController();
    const first = client.chat.completions.create(ask("Hello"), { signal: abort.signal });
    await until(() => simulator.callCount === 1);
    const error = await failure(client.chat.completions.create(ask("Hello")));
    expect(error).toMatchObject({ status: 429, type: "tokens" });
    expect(error.message).toContain("on tokens per min (TPM): Limit 600, Requested 501. Please try again in");
    const large = await failure(client.chat.completions.create(ask("Hello", { max_completion_tokens: 601 })));
    expect(large).toMatchObject({ status: 429, message: expect.stringContaining("Request too large") });
    expect(large.headers?.get("retry-after")).toBeNull();
    expect(simulator.calls.map((c) => c.outcome)).toEqual(["running", "throttled", "throttled"]);
    abort.abort();
    await failure(first);
  });

  test.each(["fixed", "sliding", "bucket"] as const)("the time to wait is exact with %s windows", async (window) => {
    const clock = manualClock(5_000);
    const { client } = await start({ tokensPerMinute: 1_500, window, clock });
    for (const time of [1_000, 7_000, 20_000]) {
      clock.time += time;
      await client.chat.completions.create(ask("Hello")).catch(() => {});
    }
    const error = await failure(client.chat.completions.create(ask("Hello", { max_completion_tokens: 1_499 })));
    const waitMs = Number(error.headers?.get("retry-after-ms"));
    expect(waitMs).toBeGreaterThan(1);
    clock.time += waitMs - 1;
    await failure(client.chat.completions.create(ask("Hello", { max_completion_tokens: 1_499 })));
    clock.time += 1;
    await client.chat.completions.create(ask("Hello", { max_completion_tokens: 1_499 }));
  });

  test("tokens per day", async () => {
    const { client } = await start({ tokensPerDay: 400 });
    const error = await failure(client.chat.completions.create(ask("Hello")));
    expect(error.message).toContain("on tokens per day (TPD): Requested 501.");
  });
});

describe("faults", () => {
  test.each([
    [{ kind: "error", error: "ServiceUnavailableException", retryAfterS: 3 }, 503, "server_error"],
    [{ kind: "error", error: "ThrottlingException", message: "Too many tokens" }, 429, "tokens"],
    [{ kind: "error", error: "ThrottlingException" }, 429, "requests"],
    [{ kind: "error", error: "AccessDeniedException" }, 403, "permission_error"],
    [{ kind: "error", error: "Odd", status: 418 }, 418, "invalid_request_error"],
    [{ kind: "overloaded" }, 529, "overloaded_error"],
  ] as const)("%j", async (fault, status, type) => {
    const { client } = await start({ fault: () => fault });
    const error = await failure(client.chat.completions.create(ask("Hello")));
    expect(error).toMatchObject({ status, type });
    expect(error.headers?.get("retry-after") ?? undefined).toBe("retryAfterS" in fault ? "3" : undefined);
  });

  test.each(["cut", "reset"] as const)("%s in a stream", async (kind) => {
    const { simulator, client } = await start({ fault: () => ({ kind, afterEvents: 2 }) });
    const stream = await client.chat.completions.create({ ...ask("Hello"), stream: true });
    const seen: unknown[] = [];
    await expect(
      (async () => {
        for await (const chunk of stream) seen.push(chunk);
      })(),
    ).rejects.toThrow();
    expect(seen).toHaveLength(2);
    await until(() => simulator.calls[0]?.outcome === "broken");
  });

  test("a cut before the first byte", async () => {
    const { client } = await start({ fault: () => ({ kind: "cut" }) });
    expect(await failure(client.chat.completions.create(ask("Hello")))).toBeInstanceOf(APIConnectionError);
  });

  test.each(["exception", "error_frame"] as const)("%s in a stream is an error to the client", async (kind) => {
    const fault = { kind, error: "InternalServerException", message: "broken pipe", afterEvents: 2 };
    const { client } = await start({ fault: () => fault });
    const stream = await client.chat.completions.create({ ...ask("Hello"), stream: true });
    await expect(collect(stream)).rejects.toThrow(/broken pipe|stream/i);
  });

  test("a finish reason", async () => {
    const { client } = await start({ fault: () => ({ kind: "stop_reason", stopReason: "content_filter" }) });
    expect((await client.chat.completions.create(ask("Hello"))).choices[0]?.finish_reason).toBe("content_filter");
  });

  test("a rule may apply to this operation only", async () => {
    const { simulator, client } = await start({
      faults: [{ kind: "error", error: "ServiceUnavailableException", operation: "Converse" }],
    });
    await client.chat.completions.create(ask("Hello"));
    expect(simulator.calls[0]?.fault).toBeUndefined();
  });
});

test("stopping ends running calls", async () => {
  const simulator = await startSimulator({ latencyMs: 600_000 });
  const call = post(simulator, JSON.stringify(ask("Hello"))).catch((error: Error) => error);
  await until(() => simulator.callCount === 1);
  await simulator.stop();
  expect(await call).toBeInstanceOf(Error);
  expect(simulator.calls[0]?.outcome).toBe("aborted");
});

test("embeddings: the same vector for the same text, as floats and in base64, charged by their input", async () => {
  const { simulator, client } = await start();
  const create = (more: object = {}) =>
    client.embeddings.create({ model, input: ["one two", "three"], dimensions: 8, ...more });
  const floats = await create({ encoding_format: "float" });
  expect(floats).toMatchObject({ object: "list", model, usage: { prompt_tokens: 3, total_tokens: 3 } });
  expect(floats.data.map(({ index, embedding }) => [index, embedding.length])).toEqual([
    [0, 8],
    [1, 8],
  ]);
  expect((await create()).data).toEqual(floats.data);
  expect(simulator.calls.at(-1)).toMatchObject({
    operation: "Embeddings",
    inputTokens: 3,
    maxTokens: 0,
    outputTokens: 0,
    outcome: "answered",
  });
  for (const wrong of [{ input: [] }, { input: "" }, { input: [[1]] }, { dimensions: 0 }]) {
    expect((await failure(create(wrong))).status).toBe(400);
  }
});
