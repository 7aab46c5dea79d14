// Providers that say impossible things, through the whole service: the answer that was paid for is kept or fails once, and
// the model and every endpoint go on.
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { jsonLine } from "../../src/domain/json-lines.ts";
import * as bedrock from "../providers/fake-bedrock.ts";
import * as openai from "../providers/fake-openai.ts";
import { converse, type Json, limit, startTwoProviders, type TwoProviders } from "../support/two-providers.ts";

let service: TwoProviders;
let openAi: TwoProviders["openAi"];
let aws: TwoProviders["aws"];
let logged: Json[];
let call: TwoProviders["call"];
let run: TwoProviders["run"];
let expectAlive: TwoProviders["expectAlive"];
beforeAll(async () => {
  service = await startTwoProviders();
  ({ openAi, aws, logged, call, run, expectAlive } = service);
});
afterAll(() => service?.close());
beforeEach(() => {
  logged.length = 0;
});

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
  const reports = [3 * limit, 1e9, 2 ** 53, 1e308];
  test.each(reports)("%d tokens from an OpenAI-compatible server", async (tokens) => {
    openAi.respond(answerWith({ prompt_tokens: tokens, completion_tokens: tokens }));
    const job = await run("open");
    const used = Math.min(tokens, 30_100);
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
    const used = Math.min(tokens, 30_100);
    expect(await run("stream")).toMatchObject({
      status: "completed",
      usage: { input_tokens: used, output_tokens: used },
    });
    await expectAlive("stream");
  });

  test("a count that is negative is not reported: the call counts at its estimate and is marked", async () => {
    for (const [prompt_tokens, completion_tokens] of [
      [-5, 0],
      [5, -1],
      [-5, -5],
    ]) {
      openAi.respond(answerWith({ prompt_tokens, completion_tokens }));
      const job = await run("open");
      expect(job).toMatchObject({ status: "completed", attempts: [{ usage_estimated: true }] });
      expect(job.attempts[0].usage.input_tokens, `${prompt_tokens}, ${completion_tokens}`).toBeGreaterThan(0);
    }
    aws.respond(converse({ inputTokens: -5, outputTokens: 0 }));
    expect(await run("converse")).toMatchObject({ status: "completed", attempts: [{ usage_estimated: true }] });
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

  test("NUL and line separators come out as they came, half surrogates as U+FFFD", async () => {
    const odd = "a\0b\ud800c\u2028d\u0085e\ufffff";
    openAi.respond(openai.stream([openai.text(odd), openai.stop(), openai.usage, openai.done]));
    const job = await run("open");
    expect(job).toMatchObject({ status: "completed", text: odd.replace("\ud800", "\ufffd") });
  });
});

describe("A8: the text of an answer is bounded, its framing is not", () => {
  const events = (piece: string, times: number) =>
    openai.bytes([
      openai.event(openai.text(piece)).repeat(times),
      openai.event(openai.stop()),
      openai.event(openai.done),
    ]);

  test.each([
    ["text", "x", 80],
    ["text once it is JSON", "\0", 20],
  ])("too much %s is one permanent error", async (_, character, times) => {
    openAi.respond(events(character.repeat(65_536), times));
    expect(await run("open")).toMatchObject({
      status: "failed",
      error: { code: "answer_too_large" },
      attempts: [{ result: "permanent" }],
    });
    await expectAlive("open");
  });

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
