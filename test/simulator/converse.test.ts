// Converse and ConverseStream, tested with the official SDK.
import { ConverseCommand, ConverseStreamCommand } from "@aws-sdk/client-bedrock-runtime";
import { describe, expect, test } from "vitest";
import { countTokens, syntheticMark } from "../../src/simulator/text.ts";
import { ask, clientOf, collect, llama, simulate, textOf } from "./support.ts";

describe("Converse", () => {
  test("answers with text, stop reason, usage and the journal's request id", async () => {
    const { simulator, client } = await simulate();
    const answer = await client.send(new ConverseCommand(ask("Name three rivers, please.")));
    const text = answer.output!.message!.content![0]!.text!;
    expect(answer.output!.message!.role).toBe("assistant");
    expect(text.startsWith(syntheticMark)).toBe(true);
    expect(answer.stopReason).toBe("end_turn");
    const outputTokens = countTokens(text);
    expect(answer.usage).toEqual({ inputTokens: 4, outputTokens, totalTokens: 4 + outputTokens });
    expect(answer.metrics!.latencyMs).toBeTypeOf("number");
    expect(simulator.calls).toHaveLength(1);
    expect(simulator.calls[0]).toMatchObject({
      n: 1,
      requestId: answer.$metadata.requestId,
      operation: "Converse",
      modelId: llama,
      region: "us-east-1",
      prompt: "Name three rivers, please.",
      inputTokens: 4,
      maxTokens: 500,
      outputTokens,
      outcome: "answered",
      status: 200,
    });
  });

  test("answers the same prompt with the same text, also in another simulator with that seed", async () => {
    const send = async (seed: number, prompt: string) => {
      const { client } = await simulate({ seed });
      return (await client.send(new ConverseCommand(ask(prompt)))).output!.message!.content![0]!.text;
    };
    const first = await send(1, "a prompt");
    expect(await send(1, "a prompt")).toBe(first);
    expect(await send(2, "a prompt")).not.toBe(first);
    expect(await send(1, "another prompt")).not.toBe(first);
  });

  test("counts system, tools and earlier turns as input, and quotes the last user message", async () => {
    const { simulator, client } = await simulate();
    await client.send(
      new ConverseCommand({
        modelId: llama,
        system: [{ text: "one two" }],
        messages: [
          { role: "user", content: [{ text: "three" }] },
          {
            role: "assistant",
            content: [{ text: "four" }, { toolUse: { toolUseId: "t", name: "n", input: { a: 1 } } }],
          },
          {
            role: "user",
            content: [{ toolResult: { toolUseId: "t", content: [{ text: "x" }] } }, { text: "last words" }],
          },
        ],
        toolConfig: { tools: [{ toolSpec: { name: "n", inputSchema: { json: { type: "object" } } } }] },
      }),
    );
    const call = simulator.calls[0]!;
    expect(call.prompt).toContain("last words");
    expect(call.inputTokens).toBeGreaterThan(6);
    expect(call.maxTokens).toBe(4_096);
  });

  test("cuts the answer at max_tokens and at a stop sequence", async () => {
    const { client } = await simulate();
    const cut = await client.send(new ConverseCommand(ask("Hello there", 7)));
    expect(cut.stopReason).toBe("max_tokens");
    expect(cut.usage!.outputTokens).toBe(7);
    const stopped = await client.send(
      new ConverseCommand({ ...ask("Hello there"), inferenceConfig: { stopSequences: ["simulator"] } }),
    );
    expect(stopped.stopReason).toBe("stop_sequence");
    expect(stopped.output!.message!.content![0]!.text).toBe("[synthetic answer from the Sluice ");
  });

  test("accepts a model's ARN, a profile and a model that only the options define", async () => {
    const { simulator, client } = await simulate({ models: { "new.model-v9": { maxOutputTokens: 11 } } });
    for (const modelId of [
      "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.meta.llama3-3-70b-instruct-v1:0",
      "arn:aws:bedrock:us-east-2::foundation-model/meta.llama3-3-70b-instruct-v1:0",
      "eu.new.model-v9",
    ]) {
      await client.send(new ConverseCommand({ ...ask("Hi"), modelId, inferenceConfig: {} }));
    }
    expect(simulator.calls.map((call) => call.maxTokens)).toEqual([4_096, 4_096, 11]);
    expect(simulator.quotas().map((pool) => pool.modelId)).toEqual([
      llama,
      "meta.llama3-3-70b-instruct-v1:0",
      "eu.new.model-v9",
    ]);
  });

  test("accepts a bearer key, which names no region", async () => {
    process.env.AWS_BEARER_TOKEN_BEDROCK = "some-key";
    try {
      const { simulator } = await simulate();
      await clientOf(simulator).send(new ConverseCommand(ask("Hi")));
      expect(simulator.calls[0]).toMatchObject({ outcome: "answered" });
      expect(simulator.calls[0]).not.toHaveProperty("region");
    } finally {
      delete process.env.AWS_BEARER_TOKEN_BEDROCK;
    }
  });
});

describe("ConverseStream", () => {
  test("reports the requested service tier, as Converse does, and none otherwise", async () => {
    const { client } = await simulate();
    const flex = { ...ask("Hi"), serviceTier: { type: "flex" as const } };
    const metadataOf = async (input: typeof flex | ReturnType<typeof ask>) =>
      (await collect((await client.send(new ConverseStreamCommand(input))).stream)).at(-1)!.metadata!;
    expect((await metadataOf(flex)).serviceTier).toEqual({ type: "flex" });
    expect((await client.send(new ConverseCommand(flex))).serviceTier).toEqual({ type: "flex" });
    expect(await metadataOf(ask("Hi"))).not.toHaveProperty("serviceTier");
  });

  test("sends the events in Bedrock's order, and the same text as Converse", async () => {
    const { client } = await simulate();
    const whole = await client.send(new ConverseCommand(ask("Größe: 3 × 4 🙂 日本語")));
    const answer = await client.send(new ConverseStreamCommand(ask("Größe: 3 × 4 🙂 日本語")));
    const events = await collect(answer.stream);
    const kinds = events.map((event) => Object.keys(event)[0]);
    const deltas = kinds.length - 4;
    expect(kinds).toEqual([
      "messageStart",
      ...Array(deltas).fill("contentBlockDelta"),
      "contentBlockStop",
      "messageStop",
      "metadata",
    ]);
    expect(deltas).toBeGreaterThan(5);
    expect(events[0]!.messageStart).toEqual({ role: "assistant" });
    expect(textOf(events)).toBe(whole.output!.message!.content![0]!.text);
    expect(events.at(-2)!.messageStop!.stopReason).toBe("end_turn");
    expect(events.at(-1)!.metadata!.usage).toEqual(whole.usage);
  });

  test("reports max_tokens if it ended the answer", async () => {
    const { client } = await simulate();
    const events = await collect((await client.send(new ConverseStreamCommand(ask("Hi", 5)))).stream);
    expect(events.at(-2)!.messageStop!.stopReason).toBe("max_tokens");
    expect(events.at(-1)!.metadata!.usage!.outputTokens).toBe(5);
  });

  test("keeps the pace of the options", async () => {
    const { client } = await simulate({ latencyMs: [5, 10], tokensPerSecond: 2_000, jitterMs: 5, answerTokens: 60 });
    const startedAt = performance.now();
    const events = await collect((await client.send(new ConverseStreamCommand(ask("Hi")))).stream);
    // At least: a lower bound holds on any machine. 60 tokens, of which the last event's are not paced.
    expect(performance.now() - startedAt).toBeGreaterThan(25);
    expect(events.at(-1)!.metadata!.metrics!.latencyMs).toBeGreaterThan(25);
  });
});
