// Embeddings at the providers: the bodies of Titan, of Cohere and of OpenAI's API, and the vectors in their answers, digit
// by digit.
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { embeddingRequest } from "../../src/domain/embedding-request.ts";
import type { EmbeddingOptions } from "../../src/domain/request.ts";
import { withinBounds } from "../../src/providers/bounds.ts";
import type { Provider } from "../../src/providers/provider.ts";
import { vectorsAt } from "../../src/providers/vectors.ts";
import { ask, type FakeBedrock, failureOf, providerFor, startFakeBedrock } from "./fake-bedrock.ts";
import { type FakeOpenAi, json, openAiFor, startFakeOpenAi } from "./fake-openai.ts";

const request = (texts: string[], options: Partial<EmbeddingOptions> = {}) =>
  embeddingRequest(texts, { format: "float", ...options });

describe("Bedrock", () => {
  let fake: FakeBedrock;
  beforeAll(async () => {
    fake = await startFakeBedrock();
  });
  beforeEach(() => {
    fake.requests.length = 0;
    fake.texts.length = 0;
  });
  afterAll(() => fake.close());

  const answer = (body: string, headers: Record<string, string> = {}) =>
    fake.respond((res) => res.writeHead(200, { "content-type": "application/json", ...headers }).end(body));
  const titan = () =>
    providerFor(fake.url, { traits: { embeddings: { body: "titan", dimensions: [1024, 256], inputTypes: [] } } });
  const cohere = (dimensions: number[]) =>
    providerFor(fake.url, { traits: { embeddings: { body: "cohere", dimensions, inputTypes: ["search_document"] } } });

  test("Titan: one text, the dimensions if the caller asks for some, and its own count of tokens", async () => {
    answer('{"embedding":[0.10, -1e-7,3],"embeddingsByType":{"float":[0.10, -1e-7,3]},"inputTextTokenCount":4}');
    const provider = titan();
    const { vectors, usage, native, text } = await ask(provider, { request: request(["a"]) });
    expect({ vectors, usage, native, text }).toEqual({
      vectors: ["[0.10, -1e-7,3]"],
      usage: { input: 4, output: 0 },
      native: undefined,
      text: "",
    });
    await ask(provider, { request: request(["b"], { dimensions: 256 }) });
    expect(fake.requests[0]!.path).toMatch(/\/invoke$/);
    expect(fake.texts.map((body) => JSON.parse(body))).toEqual([
      { inputText: "a" },
      { inputText: "b", dimensions: 256 },
    ]);
    await provider.close();
  });

  test("Cohere: a list, its input type, dimensions only if the model has several, and the count in a header", async () => {
    answer(
      '{"id":"x","texts":["\\"embeddings\\":[[9]]"],"embeddings":[[1.0],[2.50]],"response_type":"embeddings_floats"}',
      {
        "x-amzn-bedrock-input-token-count": "7",
      },
    );
    const version3 = cohere([1024]);
    const first = await ask(version3, { request: request(["a", "b"], { dimensions: 1024, inputType: "clustering" }) });
    expect(first).toMatchObject({ vectors: ["[1.0]", "[2.50]"], usage: { input: 7, output: 0 } });
    const version4 = cohere([1536, 256]);
    answer('{"embeddings":{"float":[ [1], [2] ]},"texts":["embeddings"]}');
    expect((await ask(version4, { request: request(["a", "b"], { dimensions: 256 }) })).vectors).toEqual([
      "[1]",
      "[2]",
    ]);
    expect(fake.texts.map((body) => JSON.parse(body))).toEqual([
      { texts: ["a", "b"], input_type: "clustering" },
      { texts: ["a", "b"], input_type: "search_document", output_dimension: 256 },
    ]);
    await Promise.all([version3.close(), version4.close()]);
  });

  test("an answer without a vector for each text is tried again, and may have been billed", async () => {
    answer('{"embeddings":[[1]]}');
    const provider = cohere([1024]);
    expect(await failureOf(ask(provider, { request: request(["a", "b"]) }))).toMatchObject({
      kind: "transient",
      code: "malformed_output",
      maybeBilled: true,
      message: "The provider answered 2 texts with 1 vectors.",
    });
    await provider.close();
  });

  test("usage is bounded by the longest text times their number", async () => {
    answer('{"embeddings":[[1],[2]]}', { "x-amzn-bedrock-input-token-count": "900" });
    const bounds = { deployment: "d", contextTokens: 512, maxAnswerBytes: () => 1_000_000, log: { warn: () => {} } };
    const provider: Provider = withinBounds(cohere([1024]), bounds);
    expect((await ask(provider, { request: request(["a", "b"]) })).usage).toEqual({ input: 900, output: 0 });
    await provider.close();
  });
});

describe("OpenAI's API", () => {
  let fake: FakeOpenAi;
  beforeAll(async () => {
    fake = await startFakeOpenAi();
  });
  afterAll(() => fake.close());

  test("one call for the whole list; vectors are put in the order of their index", async () => {
    const data = [1, 0].map((index) => ({ object: "embedding", index, embedding: [index + 0.5] }));
    fake.respond(json(200, { object: "list", data, model: "m", usage: { prompt_tokens: 6, total_tokens: 6 } }));
    const provider = openAiFor(fake.url, { modelId: "m" });
    const texts = ["a", "b"];
    const answer = await provider.call({
      request: request(texts, { dimensions: 1 }),
      signal: new AbortController().signal,
    });
    expect(answer).toMatchObject({ vectors: ["[0.5]", "[1.5]"], usage: { input: 6, output: 0 } });
    const sent = fake.requests.at(-1)!;
    expect(sent.path).toBe("/v1/embeddings");
    expect(sent.body).toEqual({ model: "m", input: texts, encoding_format: "float", dimensions: 1 });
    await provider.close();
  });
});

test("vectors keep their text, whatever the texts around them say", () => {
  const number = fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }).map(String), fc.constant("1.0"));
  const vector = fc.array(number, { minLength: 1, maxLength: 5 }).map((numbers) => `[${numbers.join(", ")}]`);
  const noise = fc.oneof(fc.string(), fc.constantFrom("embeddings", '"embeddings":[[1]]', '\\"embeddings":[[1]]'));
  fc.assert(
    fc.property(fc.array(vector, { minLength: 1 }), fc.array(noise), (vectors, texts) => {
      const body = `{"texts":${JSON.stringify(texts)},"embeddings": [ ${vectors.join(" ,")}],"id":${JSON.stringify(texts.join())}}`;
      JSON.parse(body);
      expect(vectorsAt(body, "embeddings")).toEqual(vectors);
    }),
  );
});
