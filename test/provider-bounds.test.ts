// Providers that say impossible things, through the whole service: the answer that was paid for is kept or fails once, and
// the model and every endpoint go on.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { jsonLine } from "../src/domain/json-lines.ts";
import { type Service, startService } from "../src/main.ts";
import * as bedrock from "./providers/fake-bedrock.ts";
import * as openai from "./providers/fake-openai.ts";
import { testSettings } from "./support/jobs-context.ts";

let openAi: openai.FakeOpenAi;
let aws: bedrock.FakeBedrock;
let service: Service;
let dataDir: string;
// biome-ignore lint/suspicious/noExplicitAny: tests compare it with what they expect
type Json = any;
const logged: Json[] = [];

const prices = { input: 1, output: 2, cacheRead: 0.1 };
const limit = 20_000;

beforeAll(async () => {
  vi.stubEnv("AWS_EC2_METADATA_DISABLED", "true");
  vi.stubEnv("AWS_ACCESS_KEY_ID", "AKIA");
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", "secret");
  [openAi, aws] = await Promise.all([openai.startFakeOpenAi(), bedrock.startFakeBedrock()]);
  dataDir = await mkdtemp(join(tmpdir(), "sluice-bounds-"));
  const quotas = (name: string) => [{ name, unit: "tokens" as const, per: "minute" as const, limit }];
  const served = { region: "us-east-1", modelId: "amazon.nova-pro-v1:0", endpoint: aws.url };
  const server = { provider: "openai" as const, region: "local", baseUrl: openAi.url };
  const settings = testSettings({
    defaultModel: "open",
    worker: { concurrency: 4, backoffBaseMs: 1, backoffMaxMs: 1 },
    catalogue: { "amazon.nova-pro-v1:0": { prices }, plain: { prices } },
    models: {
      open: {
        maxOutputTokens: 100,
        contextTokens: 30_000,
        deployments: [{ ...server, modelId: "plain", quotas: quotas("open") }],
      },
      whole: {
        maxOutputTokens: 100,
        contextTokens: 30_000,
        deployments: [{ ...server, name: "whole", modelId: "plain", streaming: false, quotas: quotas("whole") }],
      },
      patient: {
        maxOutputTokens: 100,
        contextTokens: 30_000,
        deployments: [{ ...server, name: "patient", modelId: "plain", quotas: quotas("patient") }],
      },
      converse: {
        maxOutputTokens: 100,
        contextTokens: 30_000,
        deployments: [{ ...served, streaming: false, quotas: quotas("converse") }],
      },
      stream: {
        maxOutputTokens: 100,
        contextTokens: 30_000,
        deployments: [{ ...served, region: "us-west-2", quotas: quotas("stream") }],
      },
    },
  });
  const log = pino({ level: "warn" }, { write: (line: string) => void logged.push(JSON.parse(line)) });
  service = await startService({ ...settings, dataDir, port: 0 }, { log });
}, 60_000);

afterAll(async () => {
  await service?.stop();
  await Promise.all([openAi.close(), aws.close()]);
  await rm(dataDir, { recursive: true, force: true });
  vi.unstubAllEnvs();
});

beforeEach(() => {
  logged.length = 0;
});

async function call(path: string, body?: unknown): Promise<{ status: number; body: Json }> {
  const post = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  const response = await fetch(`${service.url}${path}`, body === undefined ? {} : post);
  const text = await response.text();
  return { status: response.status, body: text.startsWith("{") ? JSON.parse(text) : text };
}

/** Submits a job to a model and returns it when it has ended. */
async function run(model: string, fields: object = {}): Promise<Json> {
  const { body } = await call("/v1/jobs", { prompt: "hello", environment: "UAT", model, ...fields });
  return (await call(`/v1/jobs/${body.job_id}?wait=30`)).body;
}

/** Every endpoint that shows what calls have used answers, and the model still runs. */
async function expectAlive(model: string) {
  openAi.respond(model === "whole" ? openai.completion({ content: "well" }) : openai.stream(openai.wholeAnswer));
  aws.respond(
    model === "converse" ? converse({ inputTokens: 7, outputTokens: 3 }) : bedrock.stream(bedrock.wholeAnswer),
  );
  expect(await run(model)).toMatchObject({ status: "completed" });
  const day = new Date().toISOString().slice(0, 10);
  for (const path of ["/v1/jobs", "/v1/deployments", "/v1/models", "/v1/stats"]) {
    expect(await call(path)).toMatchObject({ status: 200 });
  }
  const usage = await call(`/v1/usage?from=${day}&to=${day}`);
  expect(usage.status, JSON.stringify(usage.body)).toBe(200);
}

function converse(usage: object, content: unknown[] = [{ text: "hi" }], stopReason = "end_turn") {
  return bedrock.json(200, { output: { message: { role: "assistant", content } }, stopReason, usage });
}

const answerWith = (usage: object, more: object = {}) =>
  openai.stream([openai.text("hi"), openai.stop(), { choices: [], usage, ...more }, openai.done]);

describe("A5: usage with fractions is stored as whole tokens", () => {
  test("from an OpenAI-compatible server", async () => {
    openAi.respond(answerWith({ prompt_tokens: 5.5, completion_tokens: 2.25 }));
    expect(await run("open")).toMatchObject({
      status: "completed",
      text: "hi",
      usage: { input_tokens: 6, output_tokens: 3 },
      cost_usd: 0.000012,
      attempts: [{ result: "completed" }],
    });
    expect(logged).toContainEqual(
      expect.objectContaining({ reported: { input: 5.5, output: 2.25 }, used: { input: 6, output: 3 } }),
    );
    await expectAlive("open");
  });

  test("from Bedrock, in one piece", async () => {
    aws.respond(converse({ inputTokens: 5.5, outputTokens: 1.5, cacheReadInputTokens: 0.5 }));
    expect(await run("converse")).toMatchObject({
      status: "completed",
      usage: { input_tokens: 6, output_tokens: 2, cache_read_tokens: 1 },
      attempts: [{ result: "completed" }],
    });
    await expectAlive("converse");
  });

  test("a service tier with the name of something that every object has does not lose the answer", async () => {
    for (const service_tier of ["constructor", "__proto__", "toString"]) {
      openAi.respond(answerWith({ prompt_tokens: 5, completion_tokens: 2 }, { service_tier }));
      expect(await run("open")).toMatchObject({ status: "completed", attempts: [{ result: "completed" }] });
    }
    await expectAlive("open");
  });
});

describe("A6: usage that cannot be is bounded by the context and max_tokens", () => {
  const reports = [3 * limit, 1e9, 2 ** 53, 1e308, -5];
  test.each(reports)("%d tokens from an OpenAI-compatible server", async (tokens) => {
    openAi.respond(answerWith({ prompt_tokens: tokens, completion_tokens: tokens }));
    const job = await run("open");
    const used = Math.max(0, Math.min(tokens, 30_100));
    expect(job).toMatchObject({ status: "completed", usage: { input_tokens: used, output_tokens: used } });
    await expectAlive("open");
  });

  test.each(reports)("%d tokens from Bedrock", async (tokens) => {
    aws.respond(
      bedrock.stream([
        bedrock.start,
        bedrock.text("hi"),
        bedrock.stop("end_turn"),
        bedrock.event("metadata", { usage: { inputTokens: tokens, outputTokens: tokens, totalTokens: tokens } }),
      ]),
    );
    const used = Math.max(0, Math.min(tokens, 30_100));
    expect(await run("stream")).toMatchObject({
      status: "completed",
      usage: { input_tokens: used, output_tokens: used },
    });
    await expectAlive("stream");
  });

  test("no wait that a server asks for closes the model for long", async () => {
    openAi.respond(openai.refusal(429, { message: "Slow down." }, { "retry-after": "99999999999" }));
    const { body } = await call("/v1/jobs", { prompt: "hello", environment: "UAT", model: "patient" });
    await vi.waitFor(async () => {
      expect((await call(`/v1/jobs/${body.job_id}`)).body.attempts).toMatchObject([{ result: "throttled" }]);
    });
    const { quotas } = (await call("/v1/deployments")).body;
    const { closed_until } = quotas.find(({ name }: Json) => name === "patient");
    expect(Date.parse(closed_until) - Date.now()).toBeLessThanOrEqual(300_000);
    await call(`/v1/jobs/${body.job_id}/cancel`, {});
  });
});

describe("A7: an answer that cannot be stored or written as JSON", () => {
  const deep = (levels: number) => `${"[".repeat(levels)}${"]".repeat(levels)}`;
  const call1 = (input: unknown) => ({
    index: 0,
    id: "c1",
    type: "function",
    function: { name: "f", arguments: input },
  });

  test("tool arguments nested 20,000 deep end the job once, and the slot is free", async () => {
    openAi.respond(
      openai.stream([
        openai.chunk({ tool_calls: [call1(`{"a":${deep(20_000)}}`)] }),
        openai.stop("tool_calls"),
        openai.usage,
        openai.done,
      ]),
    );
    const job = await run("open", { tools: [{ name: "f", input_schema: { type: "object" } }] });
    expect(["completed", "failed"]).toContain(job.status);
    expect(job.attempts).toHaveLength(1);
    await expectAlive("open");
  });

  test("the same as an object, where it should be a text", async () => {
    const body = JSON.stringify({
      choices: [{ index: 0, message: { tool_calls: [call1({ a: "DEEP" })] }, finish_reason: "tool_calls" }],
    }).replace('"DEEP"', deep(20_000));
    openAi.respond(openai.plain(200, "application/json", body));
    const job = await run("whole", { tools: [{ name: "f", input_schema: { type: "object" } }] });
    expect(["completed", "failed"]).toContain(job.status);
    expect(job.attempts).toHaveLength(1);
    await expectAlive("open");
  });

  test("the same from Bedrock in one piece", async () => {
    const body = JSON.stringify({
      output: { message: { role: "assistant", content: [{ toolUse: { toolUseId: "t", name: "f", input: "DEEP" } }] } },
      stopReason: "tool_use",
      usage: { inputTokens: 1, outputTokens: 1 },
    }).replace('"DEEP"', `{"a":${deep(20_000)}}`);
    aws.respond((res) => res.writeHead(200, { "content-type": "application/json" }).end(body));
    const job = await run("converse", { tools: [{ name: "f", input_schema: { type: "object" } }] });
    expect(["completed", "failed"]).toContain(job.status);
    expect(job.attempts).toHaveLength(1);
    await expectAlive("converse");
  });

  test("half surrogates, NUL and line separators come out as they came", async () => {
    const odd = "a\0b\ud800c\u2028d\u0085e\ufffff";
    openAi.respond(openai.stream([openai.text(odd), openai.stop(), openai.usage, openai.done]));
    const job = await run("open");
    expect(job).toMatchObject({ status: "completed", text: odd });
  });
});

describe("A8: the text of an answer is bounded, its framing is not", () => {
  const many = (piece: string, times: number) =>
    openai.bytes([piece.repeat(times), openai.event(openai.stop()), openai.event(openai.done)]);

  test("a million events of one character are an answer", async () => {
    openAi.respond(many(openai.event(openai.text("x")), 1_000_000));
    const job = await run("open");
    expect(job).toMatchObject({ status: "completed", attempts: [{ result: "completed" }] });
    expect(job.text).toHaveLength(1_000_000);
  }, 120_000);

  test.each([
    ["text", () => many(openai.event(openai.text("x".repeat(65_536))), 80), "open"],
    ["text beyond JSON's escapes", () => many(openai.event(openai.text("\0".repeat(65_536))), 20), "open"],
    [
      "arguments of a tool",
      () =>
        many(
          openai.event(
            openai.chunk({
              tool_calls: [{ index: 0, id: "c", function: { name: "f", arguments: " ".repeat(65_536) } }],
            }),
          ),
          80,
        ),
      "open",
    ],
    [
      "calls of tools",
      () =>
        openai.stream([
          ...Array.from({ length: 2_000 }, (_, index) =>
            openai.chunk({ tool_calls: [{ index, id: `c${index}`, function: { name: "f", arguments: "{}" } }] }),
          ),
          openai.stop("tool_calls"),
          openai.done,
        ]),
      "open",
    ],
    ["one event", () => openai.bytes(Array.from({ length: 40 }, () => "x".repeat(1024 * 1024))), "open"],
    ["a body in one piece", () => openai.plain(200, "application/json", " ".repeat(65 * 1024 * 1024)), "whole"],
  ])(
    "too much %s is one permanent error",
    async (_, handler, model) => {
      openAi.respond(handler());
      expect(await run(model, { tools: [{ name: "f", input_schema: { type: "object" } }] })).toMatchObject({
        status: "failed",
        error: { code: "answer_too_large" },
        attempts: [{ result: "permanent" }],
      });
    },
    60_000,
  );

  test("a frame of Bedrock's that announces gigabytes is refused at once", async () => {
    aws.respond((res) => {
      res.writeHead(200, { "content-type": "application/vnd.amazon.eventstream" });
      res.write(Buffer.from([0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]));
    });
    expect(await run("stream")).toMatchObject({
      status: "failed",
      error: { code: "answer_too_large" },
      attempts: [{ result: "permanent" }],
    });
    await expectAlive("stream");
  });
});

describe("D4: reasoning and cached tokens come out in every dialect", () => {
  const usage = {
    prompt_tokens: 100,
    completion_tokens: 1000,
    total_tokens: 1100,
    prompt_tokens_details: { cached_tokens: 40 },
    completion_tokens_details: { reasoning_tokens: 850 },
  };
  const chat = {
    prompt_tokens: 100,
    completion_tokens: 1000,
    prompt_tokens_details: { cached_tokens: 40 },
    completion_tokens_details: { reasoning_tokens: 850 },
  };
  const responses = {
    input_tokens: 100,
    input_tokens_details: { cached_tokens: 40 },
    output_tokens: 1000,
    output_tokens_details: { reasoning_tokens: 850 },
  };
  const messages = [{ role: "user", content: "hello" }];

  test("chat, responses and jobs", async () => {
    openAi.respond(answerWith(usage));
    expect((await call("/v1/chat/completions", { model: "open", messages })).body.usage).toMatchObject(chat);
    const streamed = await call("/v1/chat/completions", {
      ...{ model: "open", messages, stream: true, stream_options: { include_usage: true } },
    });
    expect(streamed.body).toContain('"completion_tokens_details":{"reasoning_tokens":850}');
    expect((await call("/v1/responses", { model: "open", input: "hello" })).body.usage).toMatchObject(responses);
    expect((await run("open")).usage).toMatchObject({
      cache_read_tokens: 40,
      output_tokens: 1000,
      reasoning_tokens: 850,
    });
  });

  test("a batch and the lines of its result", async () => {
    openAi.respond(answerWith(usage));
    const { batch, output } = await runBatch();
    expect(batch.usage).toMatchObject(responses);
    expect(JSON.parse(output.trim()).response.body.usage).toMatchObject(chat);
  });

  test("reasoning that a server counts beside the completion is output; other names for cached tokens are read", async () => {
    openAi.respond(
      answerWith({
        prompt_tokens: 100,
        completion_tokens: 50,
        total_tokens: 1000,
        prompt_cache_hit_tokens: 60,
        completion_tokens_details: { reasoning_tokens: 850 },
      }),
    );
    expect((await run("open")).usage).toMatchObject({
      input_tokens: 40,
      cache_read_tokens: 60,
      output_tokens: 900,
      reasoning_tokens: 850,
    });
  });
});

async function runBatch(): Promise<{ batch: Json; output: string; results: string }> {
  const body = { model: "open", messages: [{ role: "user", content: "hello" }] };
  const form = new FormData();
  const line = JSON.stringify({ custom_id: "a", method: "POST", url: "/v1/chat/completions", body });
  form.append("purpose", "batch");
  form.append("file", new Blob([line]), "in.jsonl");
  const file = (await (await fetch(`${service.url}/v1/files`, { method: "POST", body: form })).json()) as Json;
  const asked = { input_file_id: file.id, endpoint: "/v1/chat/completions", completion_window: "24h" };
  const { id } = (await call("/v1/batches", asked)).body;
  const batch = await vi.waitFor(
    async () => {
      const { body } = await call(`/v1/batches/${id}`);
      expect(body.status).toBe("completed");
      return body;
    },
    { timeout: 20_000, interval: 50 },
  );
  const text = async (path: string) => (await fetch(`${service.url}${path}`)).text();
  return {
    batch,
    output: await text(`/v1/files/${batch.output_file_id}/content`),
    results: await text(`/v1/batches/${id}/results`),
  };
}

test("D5: line separators are escaped in every output that is read line by line", async () => {
  const odd = "a\u2028b\u2029c\u0085d\u000be\u000cf\u001cg\u001dh\u001ei";
  openAi.respond(openai.stream([openai.text(odd), openai.stop(), openai.usage, openai.done]));
  const { output, results } = await runBatch();
  const messages = [{ role: "user", content: "hello" }];
  const chat = (await call("/v1/chat/completions", { model: "open", messages, stream: true })).body;
  const responses = (await call("/v1/responses", { model: "open", input: "hello", stream: true })).body;
  const { job_id } = (await call("/v1/jobs", { prompt: "hello", environment: "UAT", model: "open" })).body;
  const events = (await call(`/v1/jobs/${job_id}/events`)).body;
  for (const text of [output, results, chat, responses, events]) {
    expect(text).toContain("a\\u2028b\\u2029c\\u0085d\\u000be\\fg".replace("\\fg", "\\ff"));
    // What Python takes for the end of a line.
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the characters under test
    expect(text).not.toMatch(/[\v\f\x1c\x1d\x1e\x85\u2028\u2029]/);
  }
  expect(JSON.parse(output.trim()).response.body.choices[0].message.content).toBe(odd);
  expect(JSON.parse(jsonLine({ odd }))).toEqual({ odd });
  expect(jsonLine({ odd })).not.toMatch(/[\x85\u2028\u2029]/);
});
