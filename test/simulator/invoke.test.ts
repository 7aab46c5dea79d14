// InvokeModel and InvokeModelWithResponseStream with Llama's native bodies, tested with the official SDK.
import {
  ConverseCommand,
  InvokeModelCommand,
  InvokeModelWithResponseStreamCommand,
} from "@aws-sdk/client-bedrock-runtime";
import { describe, expect, test } from "vitest";
import { countTokens } from "../../src/simulator/text.ts";
import { ask, collect, failure, llama, post, simulate } from "./support.ts";

const template =
  "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nName three rivers.<|eot_id|>" +
  "<|start_header_id|>assistant<|end_header_id|>\n\n";

function body(fields: Record<string, unknown>) {
  return { modelId: llama, contentType: "application/json", body: JSON.stringify(fields) };
}

describe("InvokeModel", () => {
  test("answers in Llama's format and finds the user's text inside the template", async () => {
    const { simulator, client } = await simulate();
    const answer = await client.send(new InvokeModelCommand(body({ prompt: template, max_gen_len: 300 })));
    const result = JSON.parse(answer.body.transformToString());
    expect(result).toEqual({
      generation: expect.stringContaining('You wrote 3 words, beginning "Name three rivers."'),
      prompt_token_count: countTokens(template),
      generation_token_count: countTokens(result.generation),
      stop_reason: "stop",
    });
    expect(simulator.calls[0]).toMatchObject({
      operation: "InvokeModel",
      prompt: "Name three rivers.",
      maxTokens: 300,
    });
  });

  test("generates 512 tokens if max_gen_len is absent, and reserves the model's maximum", async () => {
    const { simulator, client } = await simulate({ answerTokens: 600 });
    const answer = await client.send(new InvokeModelCommand(body({ prompt: "Hi" })));
    expect(JSON.parse(answer.body.transformToString())).toMatchObject({
      generation_token_count: 512,
      stop_reason: "length",
    });
    expect(simulator.calls[0]).toMatchObject({ maxTokens: 512, chargedTokens: 1 + 512 });
    const { simulator: tight, client: other } = await simulate({ tokensPerMinute: 4_096 });
    expect(await failure(other.send(new InvokeModelCommand(body({ prompt: "Hi" }))))).toMatchObject({
      name: "ThrottlingException",
    });
    await other.send(new InvokeModelCommand(body({ prompt: "Hi", max_gen_len: 512 })));
    expect(tight.callCount).toBe(2);
  });

  test("reports usage and latency in headers", async () => {
    const { simulator } = await simulate();
    const response = await post(simulator, `/model/${encodeURIComponent(llama)}/invoke`, '{"prompt":"one two"}');
    const result = (await response.json()) as { generation_token_count: number };
    expect(response.headers.get("x-amzn-bedrock-input-token-count")).toBe("2");
    expect(response.headers.get("x-amzn-bedrock-output-token-count")).toBe(String(result.generation_token_count));
    expect(response.headers.get("x-amzn-bedrock-invocation-latency")).toMatch(/^\d+$/);
  });

  test.each([
    [{ prompt: "Hi", max_tokens: 5 }, "#: extraneous key [max_tokens] is not permitted"],
    [{}, "#: required key [prompt] not found"],
    [{ prompt: 7 }, "#/prompt: expected type: String, found: Integer"],
    [{ prompt: "" }, "#/prompt: expected minLength: 1, actual: 0"],
    [{ prompt: "Hi", max_gen_len: 4_097 }, "#/max_gen_len: 4097 is not less or equal to 4096"],
    [{ prompt: "Hi", max_gen_len: 0 }, "#/max_gen_len: 0 is not greater or equal to 1"],
    [{ prompt: "Hi", max_gen_len: "5" }, "#/max_gen_len: expected type: Integer, found: String"],
    [
      { prompt: "Hi", temperature: 1.5, stop: [] },
      "#: extraneous key [stop] is not permitted, #/temperature: 1.5 is not less or equal to 1",
    ],
  ])("refuses %j", async (fields, problem) => {
    const { client } = await simulate();
    const error = await failure(client.send(new InvokeModelCommand(body(fields))));
    expect(error.name).toBe("ValidationException");
    expect(error.message).toBe(`Malformed input request: ${problem}, please reformat your input and try again.`);
  });

  test("refuses a body that is not JSON, and models whose bodies it does not know", async () => {
    const { client } = await simulate({ models: { "zai.glm-5": {} } });
    expect((await failure(client.send(new InvokeModelCommand({ ...body({}), body: "no json" })))).message).toMatch(
      /^Malformed input request/,
    );
    const glm = { ...body({ prompt: "Hi" }), modelId: "zai.glm-5" };
    expect((await failure(client.send(new InvokeModelCommand(glm)))).message).toMatch(/Converse/);
  });
});

describe("InvokeModelWithResponseStream", () => {
  test("sends chunks: the input's count in the first, stop reason and metrics in the last", async () => {
    const { client } = await simulate();
    const answer = await client.send(new InvokeModelWithResponseStreamCommand(body({ prompt: "Hello there" })));
    const chunks = (await collect(answer.body)).map((event) => JSON.parse(Buffer.from(event.chunk!.bytes!).toString()));
    const text = chunks.map((chunk) => chunk.generation).join("");
    const same = await client.send(new ConverseCommand(ask("Hello there")));
    expect(text).toBe(same.output!.message!.content![0]!.text);

    expect(chunks.map((chunk) => chunk.prompt_token_count)).toEqual([2, ...Array(chunks.length - 1).fill(null)]);
    expect(chunks.map((chunk) => chunk.stop_reason)).toEqual([...Array(chunks.length - 1).fill(null), "stop"]);
    const counts = chunks.map((chunk) => chunk.generation_token_count);
    expect(counts).toEqual([...counts].sort((a, b) => a - b));
    expect(counts.at(-1)).toBe(countTokens(text));
    expect(chunks.at(-1)["amazon-bedrock-invocationMetrics"]).toEqual({
      inputTokenCount: 2,
      outputTokenCount: countTokens(text),
      invocationLatency: expect.any(Number),
      firstByteLatency: 0,
    });
  });
});
