// POST /v1/embeddings in both forms: OpenAI's client and LangChain's embeddings as they are, lines of a batch, and what is
// refused. The simulator answers, and its journal shows every call.
import { OpenAIEmbeddings } from "@langchain/openai";
import { encode } from "gpt-tokenizer/encoding/cl100k_base";
import type OpenAI from "openai";
import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { type Simulator, startSimulator } from "../../src/simulator/simulator.ts";
import { linesIn, startTestService, type TestService, untilStatus, upload } from "../batches/support.ts";
import { clientOf } from "../http/openai/client.ts";
import * as bedrock from "../providers/fake-bedrock.ts";
import { openAiFor } from "../providers/fake-openai.ts";
import { describeForm } from "../support/forms.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const quotas = [{ unit: "requests" as const, per: "minute" as const, limit: 1_000_000, burst: 1_000_000 }];
const models = Object.fromEntries(
  Object.entries({
    titan: "amazon.titan-embed-text-v2:0",
    cohere: "cohere.embed-english-v3",
    cohere4: "us.cohere.embed-v4:0",
    nova: "us.amazon.nova-lite-v1:0",
  }).map(([alias, modelId]) => [alias, { deployments: [{ region: "us-east-1", modelId, quotas }] }]),
);

/** A model on a server with OpenAI's API. */
const server = { baseUrl: "http://127.0.0.1:1/v1", modelId: "openai.gpt-oss-20b-1:0" };

describeForm((form) => {
  let simulator: Simulator;
  let service: TestService;
  let client: OpenAI;
  beforeAll(async () => {
    simulator = await startSimulator({});
    service = await startTestService(form, {
      file: {
        defaultModel: "nova",
        models: { ...models, local: { deployments: [{ provider: "openai", ...server }] } },
        catalogue: { [server.modelId]: { embeddings: { textsPerCall: 3 }, prices: { input: 1, output: 0 } } },
      },
      providerFor: ({ provider, modelId, traits }) =>
        provider === "openai"
          ? openAiFor(`${simulator.url}/v1`, { modelId, traits })
          : bedrock.providerFor(simulator.url, { modelId, traits }),
    });
    client = clientOf(service.url);
  });
  let callsBefore = 0;
  beforeEach(() => {
    callsBefore = simulator.callCount;
  });
  afterAll(async () => {
    await service?.close();
    await simulator?.stop();
  });

  // biome-ignore lint/suspicious/noExplicitAny: tests compare it with what they expect
  const read = async (path: string): Promise<any> => (await fetch(`${service.url}${path}`)).json();
  const post = async (path: string, body: object) => {
    const headers = { "content-type": "application/json" };
    const response = await fetch(`${service.url}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
    // biome-ignore lint/suspicious/noExplicitAny: tests compare it with what they expect
    return (await response.json()) as any;
  };
  const calls = () => simulator.callCount - callsBefore;
  const refusal = async (body: object): Promise<InstanceType<typeof OpenAI.APIError>> =>
    client.embeddings.create(body as OpenAI.EmbeddingCreateParams).then(
      () => expect.unreachable("accepted"),
      (error) => error,
    );

  test("a string: OpenAI's client asks for base64 and gets the numbers that the provider wrote, as float32", async () => {
    const input = "The sky is blue.";
    const { data, model, usage, object } = await client.embeddings.create({ model: "titan", input });
    expect({ object, model }).toEqual({ object: "list", model: "titan" });
    expect(usage).toEqual({ prompt_tokens: 4, total_tokens: 4 });
    expect(data).toHaveLength(1);
    const floats = await client.embeddings.create({ model: "titan", input, encoding_format: "float" });
    expect(data[0]!.embedding).toHaveLength(1024);
    expect(data[0]!.embedding).toEqual(floats.data[0]!.embedding.map(Math.fround));
    expect(calls()).toBe(2);
  });

  test("a list: one call for Cohere, one for each text with Titan, in order", async () => {
    const input = ["a", "b", "c", "d", "e"];
    const cohere = await client.embeddings.create({ model: "cohere", input });
    expect(calls()).toBe(1);
    expect(cohere.data.map(({ index, embedding }) => [index, embedding.length])).toEqual(
      input.map((_, i) => [i, 1024]),
    );
    const titan = await client.embeddings.create({ model: "titan", input, dimensions: 256 });
    expect(calls()).toBe(1 + input.length);
    for (const [i, text] of input.entries()) {
      const one = await client.embeddings.create({ model: "titan", input: text, dimensions: 256 });
      expect(titan.data[i]!.embedding).toEqual(one.data[0]!.embedding);
    }
    expect(titan.usage.prompt_tokens).toBe(input.length);
  });

  test("a list longer than one call of Cohere becomes two attempts of one job", async () => {
    const input = Array.from({ length: 100 }, (_, i) => `text ${i}`);
    const { data, response } = await client.embeddings
      .create({ model: "cohere4", input, dimensions: 512 })
      .withResponse();
    expect(data.data.map(({ embedding }) => embedding.length)).toEqual(input.map(() => 512));
    expect(calls()).toBe(2);
    const id = response.headers.get("x-sluice-job-id");
    const job = await read(`/v1/jobs/${id}`);
    expect(job).toMatchObject({
      status: "completed",
      text: "",
      embeddings: { texts: 100, embedded: 100, dimensions: 512 },
      attempts: [{ result: "completed" }, { result: "completed" }],
      usage: { input_tokens: data.usage.prompt_tokens, output_tokens: 0 },
    });
    expect(job.cost_usd).toBeCloseTo((data.usage.prompt_tokens * 0.12) / 1e6, 12);
    const request = await read(`/v1/jobs/${id}/request`);
    expect(request.embeddings).toEqual({ dimensions: 512, input_type: null });
    expect(request.messages[0].content).toEqual(input.map((text) => ({ type: "text", text })));
  });

  test("a server with OpenAI's API gets the whole list, or as much as its row says", async () => {
    const input = ["a", "b", "c", "d"];
    const { data, usage } = await client.embeddings.create({ model: "local", input, dimensions: 4 });
    expect(data.map(({ embedding }) => embedding.length)).toEqual([4, 4, 4, 4]);
    expect(usage.prompt_tokens).toBe(4);
    expect(simulator.calls.slice(-2)).toMatchObject([
      { operation: "Embeddings", inputTokens: 3 },
      { operation: "Embeddings", inputTokens: 1 },
    ]);
    expect(calls()).toBe(2);
  });

  test("token ids become their text", async () => {
    const text = "Grüße aus Köln 👋";
    const asText = await client.embeddings.create({ model: "titan", input: text });
    for (const input of [encode(text), [encode(text)]]) {
      const asIds = await client.embeddings.create({ model: "titan", input });
      expect(asIds.data).toEqual(asText.data);
    }
  });

  test("LangChain's embeddings", async () => {
    const embeddings = new OpenAIEmbeddings({
      model: "cohere",
      apiKey: "none",
      maxRetries: 0,
      configuration: { baseURL: `${service.url}/v1` },
    });
    const [first, second] = await embeddings.embedDocuments(["one", "two"]);
    expect([first!.length, second!.length]).toEqual([1024, 1024]);
    expect(await embeddings.embedQuery("two")).toEqual(second);
  });

  test("lines of a batch, with their vectors in the output file", async () => {
    const lines = ["float", "base64"].map((encoding_format, i) => ({
      custom_id: `line-${i}`,
      method: "POST",
      url: "/v1/embeddings",
      body: { model: "titan", input: ["x", "y"], encoding_format, dimensions: 256 },
    }));
    const input_file_id = await upload(service, lines.map((line) => JSON.stringify(line)).join("\n"));
    const asked = { input_file_id, endpoint: "/v1/embeddings", completion_window: "24h" } as const;
    const batch = await client.batches.create(asked);
    const done = await untilStatus(service, batch.id, "completed");
    expect(calls()).toBe(4);
    const [floats, base64] = await linesIn(service, done.output_file_id!);
    const numbers = floats.response.body.data.map(({ embedding }: { embedding: number[] }) => embedding);
    const bytes = base64.response.body.data.map(({ embedding }: { embedding: string }) =>
      Buffer.from(embedding, "base64"),
    );
    expect(bytes.map((b: Buffer) => b.readFloatLE(4))).toEqual(numbers.map((n: number[]) => Math.fround(n[1]!)));
    expect(floats.response.body).toMatchObject({ object: "list", model: "titan", usage: { prompt_tokens: 2 } });
  });

  test("a native call reports what it used, whatever the number of its texts", async () => {
    const texts = Array.from({ length: 96 }, () => "one two three four five six seven eight nine ten");
    const native = { operation: "invoke", body: { texts, input_type: "search_document" } };
    const submitted = await post("/v1/jobs", { environment: "UAT", model: "cohere", native });
    const job = await read(`/v1/jobs/${submitted.job_id}?wait=30`);
    expect(job).toMatchObject({
      status: "completed",
      embeddings: null,
      usage: { input_tokens: 960, output_tokens: 0 },
    });
    expect(job.cost_usd).toBeCloseTo((960 * 0.1) / 1e6, 12);
  });

  test("the same key gets the same vectors without another call, and store: false erases them", async () => {
    const headers = { "idempotency-key": `key-${form}` };
    const body = { model: "titan", input: ["once", "more"], encoding_format: "float" as const, store: false };
    const { data, response } = await client.embeddings.create(body, { headers }).withResponse();
    expect(data.data).toHaveLength(2);
    const id = response.headers.get("x-sluice-job-id");
    expect(await read(`/v1/jobs/${id}`)).toMatchObject({ erased: true, embeddings: { texts: 2, embedded: 2 } });
    const again = await client.embeddings.create(body, { headers }).catch((error) => error);
    expect(again).toMatchObject({ status: 409 });
    const kept = { ...body, store: true };
    const twice = [];
    for (let i = 0; i < 2; i++) {
      twice.push(await client.embeddings.create(kept, { headers: { "idempotency-key": `kept-${form}` } }));
    }
    expect(twice[1]).toEqual(twice[0]);
    expect(twice[0]!.data.map(({ embedding }) => embedding)).toEqual(data.data.map(({ embedding }) => embedding));
    expect(calls()).toBe(4);
  });

  test("a dry run reports all calls, and calls nothing", async () => {
    const input = Array.from({ length: 4 }, (_, i) => `text ${i}`);
    const tried = await post("/v1/embeddings?dry_run=true", { model: "titan", input });
    expect(tried).toMatchObject({ dry_run: true, model: "titan", tokens: { max_output: 0 } });
    const one = await post("/v1/embeddings?dry_run=true", { model: "titan", input: input[0]! });
    expect(tried.tokens.input).toBe(4 * one.tokens.input);
    expect(tried.tokens.input_reserved).toBeGreaterThan(one.tokens.input_reserved);
    expect(tried.quota.takes).toBe(1);
    expect(calls()).toBe(0);
  });

  test("what is refused, in OpenAI's form, and nothing is queued", async () => {
    const cases: [body: object, status: number, param: string, message: RegExp][] = [
      [{ input: "" }, 400, "input", /must not be empty/],
      [{ input: [] }, 400, "input", /not empty/],
      [{ input: ["a", " "] }, 400, "input[1]", /must not be empty/],
      [{ input: Array(2049).fill("a") }, 400, "input", /at most 2048 texts; got 2049/],
      [{ input: 7 }, 400, "input", /string/],
      [{ input: ["a", 7] }, 400, "input[1]", /must be a string/],
      [{ input: [1.5] }, 400, "input[0]", /token id/],
      [{ input: [[9_999_999]] }, 400, "input[0]", /cl100k_base/],
      [{ input: "a", dimensions: 300 }, 400, "dimensions", /1024, 512, 256 for titan; got "300"/],
      [{ input: "a", dimensions: "256" }, 400, "dimensions", /integer/],
      [{ input: "a", encoding_format: "hex" }, 400, "encoding_format", /float/],
      [{ input: "a", input_type: "search_query" }, 400, "input_type", /titan, which does not have it/],
      [{ model: "cohere", input: "a", input_type: "poem" }, 400, "input_type", /search_document/],
      [{ input: ["a", "x ".repeat(30_000)] }, 400, "input[1]", /60000 characters; titan takes at most 50000/],
      [{ input: ["a", "one two ".repeat(5_000)] }, 400, "input[1]", /tokens; titan takes at most 8192/],
      [{ model: "cohere", input: ["one ".repeat(520)] }, 400, "input", /characters|tokens/],
      [
        { model: "nova", input: "a" },
        400,
        "model",
        /nova makes no embeddings; use one of titan, cohere, cohere4, local/,
      ],
      [{ model: "text-embedding-3-small", input: "a" }, 404, "model", /titan, cohere, cohere4/],
      [{ input: "a", temperature: 1 }, 400, "temperature", /field/],
    ];
    const before = await read("/v1/jobs?limit=1");
    for (const [body, status, param, message] of cases) {
      const error = await refusal({ model: "titan", encoding_format: "float", ...body });
      expect([error.status, error.param, error.message], JSON.stringify(body).slice(0, 80)).toEqual([
        status,
        param,
        expect.stringMatching(message),
      ]);
    }
    expect(await read("/v1/jobs?limit=1")).toEqual(before);
    expect(calls()).toBe(0);
  });

  test("a chat with a model that makes embeddings is refused, with the models that chat", async () => {
    const error = await client.chat.completions
      .create({ model: "titan", messages: [{ role: "user", content: "hi" }] })
      .catch((error) => error);
    expect(error).toMatchObject({ status: 400, param: "model" });
    expect(error.message).toMatch(/titan only makes embeddings.*Use a model that can: nova/);
  });
});
