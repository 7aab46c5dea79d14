// JSON from models without a JSON mode: a forced tool carries the answer. What is sent and how the response is read,
// through both providers over a real socket.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { CanonicalRequest } from "../../src/domain/request.ts";
import type { Provider } from "../../src/providers/provider.ts";
import {
  ask,
  event,
  type FakeBedrock,
  json,
  providerFor,
  start,
  startFakeBedrock,
  stop,
  stream,
  text,
  usage,
} from "./fake-bedrock.ts";
import * as openAi from "./fake-openai.ts";

const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const clock = { name: "clock", inputSchema: { type: "object" } };
const hello: CanonicalRequest = {
  messages: [{ role: "user", content: [{ type: "text", text: "Where?" }] }],
  parameters: { maxTokens: 100 },
};
const asking: CanonicalRequest = {
  ...hello,
  responseFormat: { type: "json_schema", name: "place", description: "A place.", schema },
};
const traits = { jsonSchema: false, jsonObject: false };

/** Chunks of a tool's input. */
function use(index: number, name: string, pieces: string[]): Buffer[] {
  const toolUse = { toolUseId: `t${index}`, name };
  return [
    event("contentBlockStart", { contentBlockIndex: index, start: { toolUse } }),
    ...pieces.map((input) => event("contentBlockDelta", { contentBlockIndex: index, delta: { toolUse: { input } } })),
  ];
}

describe("Bedrock", () => {
  let fake: FakeBedrock;
  let provider: Provider;
  beforeAll(async () => {
    fake = await startFakeBedrock();
    provider = providerFor(fake.url, { traits });
  });
  beforeEach(() => fake.requests.splice(0));
  afterAll(async () => {
    await provider.close();
    await fake.close();
  });

  async function answerTo(frames: Buffer[], request = asking, reason = "tool_use") {
    const pieces: string[] = [];
    fake.respond(stream([start, ...frames, stop(reason), usage]));
    const answer = await ask(provider, { request, onText: (piece) => pieces.push(piece) });
    return { ...answer, pieces };
  }

  const sent = () => fake.requests.at(-1)!.body as { toolConfig: Record<string, unknown>; outputConfig?: unknown };

  test("F12: the schema becomes a required tool, and its streamed input becomes the answer", async () => {
    const answer = await answerTo(use(0, "place", ['{"city":', ' "Rome"}']));
    expect(sent().outputConfig).toBeUndefined();
    expect(sent().toolConfig).toEqual({
      tools: [
        {
          toolSpec: {
            name: "place",
            description: expect.stringMatching(/^A place\.\nGives the answer/),
            inputSchema: { json: schema },
          },
        },
      ],
      toolChoice: { any: {} },
    });
    expect(answer).toMatchObject({ text: '{"city": "Rome"}', toolCalls: [], finishReason: "stop" });
    expect(answer.pieces).toEqual(['{"city":', ' "Rome"}']);
  });

  test("F12: text before the tool call is omitted, and is the answer if there is no tool call", async () => {
    const thinking = text("<thinking>Rome, I guess.</thinking>");
    const answer = await answerTo([thinking, ...use(1, "place", ['{"city":"Rome"}'])]);
    expect(answer).toMatchObject({ text: '{"city":"Rome"}', pieces: ['{"city":"Rome"}'] });
    const refused = await answerTo([text("I would rather not.")], asking, "end_turn");
    expect(refused).toMatchObject({ text: "I would rather not.", finishReason: "stop", pieces: [] });
  });

  test("F12: numbers stay as they were written, and a truncated answer says so", async () => {
    const exact = '{"id": 2512292042121000001, "b": 1.0}';
    expect(await answerTo(use(0, "place", [exact]))).toMatchObject({ text: exact });
    const cut = await answerTo(use(0, "place", ['{"city": "Ro']), asking, "max_tokens");
    expect(cut).toMatchObject({ text: '{"city": "Ro', finishReason: "length", toolCalls: [] });
  });

  test("F12: with tools of the caller, the model must call one of all", async () => {
    const both = { ...asking, tools: [clock] };
    expect(await answerTo(use(0, "clock", ["{}"]), both)).toMatchObject({
      text: "",
      toolCalls: [{ name: "clock", arguments: "{}" }],
      finishReason: "tool_calls",
    });
    expect(sent().toolConfig).toMatchObject({
      tools: [{ toolSpec: { name: "clock" } }, { toolSpec: { name: "place" } }],
      toolChoice: { any: {} },
    });
    expect(await answerTo(use(0, "place", ['{"city":"Rome"}']), both)).toMatchObject({
      text: '{"city":"Rome"}',
      toolCalls: [],
      finishReason: "stop",
    });
  });

  test("F12: none of the caller's tools, or a specific one", async () => {
    await answerTo(use(0, "place", ["{}"]), { ...asking, tools: [clock], toolChoice: "none" });
    expect(sent().toolConfig).toMatchObject({ toolChoice: { tool: { name: "place" } } });
    const insisting = { ...asking, tools: [clock], toolChoice: { name: "clock" } };
    expect(await answerTo(use(0, "clock", ["{}"]), insisting)).toMatchObject({ toolCalls: [{ name: "clock" }] });
    expect(sent().toolConfig).toMatchObject({ tools: [{ toolSpec: { name: "clock" } }] });
  });

  test("F12: a tool of the caller has the name of the schema", async () => {
    const same = { ...asking, tools: [{ ...clock, name: "place" }] };
    const answer = await answerTo(use(0, "_place", ['{"city":"Rome"}']), same);
    expect(answer).toMatchObject({ text: '{"city":"Rome"}', toolCalls: [] });
  });

  test("F12: JSON of any form, and an unstreamed answer", async () => {
    const whole = providerFor(fake.url, { traits, streaming: false });
    const toolUse = { toolUseId: "t", name: "json_answer", input: { city: "Rome" } };
    fake.respond(
      json(200, { output: { message: { role: "assistant", content: [{ toolUse }] } }, stopReason: "tool_use" }),
    );
    const answer = await ask(whole, { request: { ...hello, responseFormat: { type: "json_object" } } });
    await whole.close();
    expect(answer).toMatchObject({ text: '{"city":"Rome"}', toolCalls: [], finishReason: "stop" });
    const { tools } = sent().toolConfig as { tools: object[] };
    expect(tools).toMatchObject([{ toolSpec: { name: "json_answer", inputSchema: { json: { type: "object" } } } }]);
  });
});

describe("OpenAI-compatible servers", () => {
  const toolCall = (call: object) => openAi.chunk({ tool_calls: [{ index: 0, ...call }] });

  test("F12: without a schema mode the schema becomes a function, and its streamed arguments become the answer", async () => {
    const fake = await openAi.startFakeOpenAi();
    const provider = openAi.openAiFor(fake.url, { traits });
    fake.respond(
      openAi.stream([
        openAi.text("Let me see."),
        toolCall({ id: "c", function: { name: "place", arguments: '{"city":' } }),
        toolCall({ function: { arguments: '"Rome"}' } }),
        openAi.stop("tool_calls"),
        openAi.done,
      ]),
    );
    const pieces: string[] = [];
    const answer = await ask(provider, { request: asking, onText: (piece) => pieces.push(piece) });
    expect(answer).toMatchObject({ text: '{"city":"Rome"}', toolCalls: [], finishReason: "stop" });
    expect(pieces).toEqual(['{"city":', '"Rome"}']);
    expect(fake.requests.at(-1)!.body).toMatchObject({
      tools: [{ type: "function", function: { name: "place", parameters: schema } }],
      tool_choice: "required",
    });
    expect(fake.requests.at(-1)!.body).not.toHaveProperty("response_format");
    await provider.close();
    await fake.close();
  });

  test("F12: a server about which nothing is known gets the request as the caller made it", async () => {
    const fake = await openAi.startFakeOpenAi();
    const provider = openAi.openAiFor(fake.url);
    fake.respond(openAi.stream(openAi.wholeAnswer));
    await ask(provider, { request: asking });
    expect(fake.requests.at(-1)!.body).toMatchObject({ response_format: { type: "json_schema" } });
    await provider.close();
    await fake.close();
  });
});
