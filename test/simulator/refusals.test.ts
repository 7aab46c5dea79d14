// What Bedrock refuses, in its words: bad requests through the SDK, and HTTP that the SDK would not send.

import { request } from "node:http";
import {
  BedrockRuntimeServiceException,
  ConverseCommand,
  ConverseStreamCommand,
  ValidationException,
} from "@aws-sdk/client-bedrock-runtime";
import { describe, expect, test } from "vitest";
import { maxBodyBytes } from "../../src/simulator/exchange.ts";
import { startSimulator } from "../../src/simulator/simulator.ts";
import { ask, converseResult, failure, llama, post, simulate } from "./support.ts";

const user = (text: string) => ({ role: "user" as const, content: [{ text }] });
const assistant = (text: string) => ({ role: "assistant" as const, content: [{ text }] });

const startWithUser =
  "A conversation must start with a user message. Try again with a conversation that starts with a user message.";
const alternate =
  "A conversation must alternate between user and assistant roles. Make sure the conversation alternates between user and assistant roles and try again.";
const blank = (where: string) => `The text field in the ${where} is blank. Add text to the text field, and try again.`;

describe("a Converse request is refused", () => {
  test.each([
    ["without messages", {}, startWithUser],
    ["with no message", { messages: [] }, startWithUser],
    ["that starts with the assistant", { messages: [assistant("Hi"), user("Hi")] }, startWithUser],
    ["with two user messages in a row", { messages: [user("a"), user("b")] }, alternate],
    ["with empty text", { messages: [user("")] }, blank("ContentBlock object at messages.0.content.0")],
    [
      "with text of white space",
      { messages: [user("a"), assistant("b"), user(" \n")] },
      blank("ContentBlock object at messages.2.content.0"),
    ],
    [
      "with blank system text",
      { system: [{ text: " " }], messages: [user("a")] },
      blank("SystemContentBlock object at system.0"),
    ],
    [
      "with no content",
      { messages: [{ role: "user", content: [] }] },
      "The content field in the Message object at messages.0 is empty. Add a ContentBlock object to the content field and try again.",
    ],
    [
      "with an unknown role",
      { messages: [{ role: "robot", content: [{ text: "a" }] }] },
      "1 validation error detected: Value 'robot' at 'messages.1.member.role' failed to satisfy constraint: Member must satisfy enum value set: [user, assistant]",
    ],
    [
      "with too high a temperature",
      { messages: [user("a")], inferenceConfig: { temperature: 1.5 } },
      "1 validation error detected: Value '1.5' at 'inferenceConfig.temperature' failed to satisfy constraint: Member must have value less than or equal to 1",
    ],
    [
      "with maxTokens 0",
      { messages: [user("a")], inferenceConfig: { maxTokens: 0 } },
      "1 validation error detected: Value '0' at 'inferenceConfig.maxTokens' failed to satisfy constraint: Member must have value greater than or equal to 1",
    ],
    [
      "with maxTokens above the model's",
      { messages: [user("a")], inferenceConfig: { maxTokens: 4_097 } },
      "The maximum tokens you requested exceeds the model limit of 4096. Try again with a maximum tokens value that is lower than 4096.",
    ],
    [
      "that is too long for the model",
      { messages: [user("word ".repeat(128_000))] },
      "Input is too long for requested model.",
    ],
  ])("%s", async (_, fields, message) => {
    const { simulator, client } = await simulate();
    const error = await failure(client.send(new ConverseCommand({ modelId: llama, ...(fields as object) })));
    expect(error).toBeInstanceOf(ValidationException);
    expect(error.message).toBe(message);
    expect(error.$fault).toBe("client");
    expect(error.$metadata).toMatchObject({ httpStatusCode: 400, requestId: simulator.calls[0]!.requestId });
    expect(simulator.calls[0]).toMatchObject({ outcome: "refused", status: 400, error: "ValidationException" });
    expect(simulator.quotas()).toEqual([]);
  });

  test.each(["meta.no-such-model", "constructor", "us.__proto__", "%"])("for the unknown model %s", async (modelId) => {
    const { client } = await simulate();
    const error = await failure(client.send(new ConverseCommand(ask("Hi", 10, modelId))));
    expect(error).toBeInstanceOf(ValidationException);
    expect(error.message).toBe("The provided model identifier is invalid.");
  });

  test("for a model that can only be called by a profile", async () => {
    const { client } = await simulate();
    const id = "anthropic.claude-haiku-4-5-20251001-v1:0";
    const error = await failure(client.send(new ConverseCommand(ask("Hi", 10, id))));
    expect(error.message).toMatch(/^Invocation of model ID .* with on-demand throughput isn’t supported\./);
    await client.send(new ConverseCommand(ask("Hi", 10, `us.${id}`)));
  });

  test("for a stream from a model that cannot stream, and for tools in a stream from Llama", async () => {
    const { client } = await simulate({ models: { [llama]: { streaming: false } } });
    expect((await failure(client.send(new ConverseStreamCommand(ask("Hi"))))).message).toBe(
      "The model is unsupported for streaming.",
    );
    await client.send(new ConverseCommand(ask("Hi")));
    const toolConfig = { tools: [{ toolSpec: { name: "n", inputSchema: { json: {} } } }] };
    const tools = { ...ask("Hi", 10, "us.meta.llama3-1-70b-instruct-v1:0"), toolConfig };
    expect((await failure(client.send(new ConverseStreamCommand(tools)))).message).toBe(
      "This model doesn't support tool use in streaming mode.",
    );
  });
});

describe("HTTP", () => {
  test.each([
    "/",
    "/healthz",
    "/model",
    "/model/x/converse/more",
    "/model//converse",
    "/model/x/toString",
    "/__simulator/journal",
  ])("POST %s is an unknown operation", async (path) => {
    const { simulator } = await simulate();
    const response = await post(simulator, path, "{}");
    expect(response.status).toBe(404);
    expect(response.headers.get("x-amzn-errortype")).toMatch(/^UnknownOperationException/);
    expect(response.headers.get("x-amzn-requestid")).toMatch(/^[0-9a-f-]{36}$/);
    expect(await response.json()).toEqual({ message: expect.any(String) });
  });

  test("an invalid percent-encoding is an invalid identifier", async () => {
    const { simulator } = await simulate();
    const response = await post(simulator, "/model/%zz/converse", "{}");
    expect(response.status).toBe(400);
    expect(await response.json()).toEqual({ message: "The provided model identifier is invalid." });
  });

  test("GET of an operation is unknown too", async () => {
    const { simulator } = await simulate();
    const response = await fetch(`${simulator.url}/model/${encodeURIComponent(llama)}/converse`);
    expect(response.status).toBe(404);
  });

  test.each(["", "Basic abc", "Bearer "])("authorization %j is refused", async (authorization) => {
    const { simulator } = await simulate();
    const path = `/model/${encodeURIComponent(llama)}/converse`;
    const response = await post(simulator, path, JSON.stringify(ask("Hi")), { authorization });
    expect(response.status).toBe(403);
    expect(response.headers.get("x-amzn-errortype")).toMatch(/^MissingAuthenticationTokenException/);
  });

  test("an error without its own class keeps its name in the SDK", async () => {
    const { simulator, client } = await simulate();
    client.middlewareStack.add(
      (next) => (args) => {
        delete (args.request as { headers: Record<string, string> }).headers.authorization;
        return next(args);
      },
      { step: "finalizeRequest", priority: "low" },
    );
    const error = await failure(client.send(new ConverseCommand(ask("Hi"))));
    expect(error).toBeInstanceOf(BedrockRuntimeServiceException);
    expect(error).toMatchObject({ name: "MissingAuthenticationTokenException", $metadata: { httpStatusCode: 403 } });
    expect(simulator.calls[0]).toMatchObject({ outcome: "refused", status: 403, prompt: "", modelId: llama });
  });

  test.each([
    "no json",
    "[]",
    "7",
    "",
    '{"messages":[{"role":"user","content":["text"]}]}',
    '{"messages":[{"role":"user","content":[{"text":7}]}]}',
  ])("the body %j is a 400", async (body) => {
    const { simulator } = await simulate();
    const response = await post(simulator, `/model/${encodeURIComponent(llama)}/converse`, body);
    expect(response.status).toBe(400);
    expect(response.headers.get("x-amzn-errortype")).toMatch(/^SerializationException/);
  });

  test("a body over 25 MB is a 413, and one of 25 MB is read", async () => {
    const { simulator } = await simulate();
    const send = (bytes: number) =>
      post(simulator, `/model/${encodeURIComponent(llama)}/converse`, JSON.stringify(ask("x")).padEnd(bytes));
    expect((await send(maxBodyBytes)).status).toBe(200);
    const refused = await send(maxBodyBytes + 1);
    expect(refused.status).toBe(413);
    expect(refused.headers.get("x-amzn-errortype")).toMatch(/^RequestEntityTooLargeException/);
    expect(simulator.calls.map((call) => call.status)).toEqual([200, 413]);
  });

  test("an aborted request does no harm", async () => {
    const { simulator } = await simulate();
    await new Promise<void>((resolve) => {
      const half = request(`${simulator.url}/model/x/converse`, {
        method: "POST",
        headers: { "content-length": "100" },
      });
      half.on("error", () => resolve());
      half.write("{");
      half.once("socket", (socket) => socket.once("connect", () => half.destroy(new Error("gone"))));
    });
    expect((await converseResult(simulator, ask("Hi"))).status).toBe(200);
  });
});

describe("options", () => {
  test.each([
    [{ requestsPerMinute: 0 }, "requestsPerMinute must be an integer of at least 1; got 0."],
    [{ tokensPerSecond: Number.NaN }, "tokensPerSecond must be a number greater than 0; got NaN."],
    [{ bucketCapacity: 1.1 }, "bucketCapacity must be a number greater than 0 and at most 1; got 1.1."],
    [{ window: "weekly" }, 'window must be one of fixed, sliding, bucket; got "weekly".'],
    [{ latencyMs: [9, 3] }, "latencyMs must be a range whose first number does not exceed the second; got [9, 3]."],
    [{ port: 70_000 }, "port must be an integer between 0 and 65535; got 70000."],
    [
      { requestPerMinute: 3 },
      /^requestPerMinute is not a known field; did you mean requestsPerMinute\? Known fields: requestsPerMinute, .*, bearerKeys\.$/,
    ],
    [{ dayWindow: "local" }, 'dayWindow must be one of sliding, utc; got "local".'],
    [{ models: { m: { streaming: "no" } } }, 'models.m.streaming must be true or false; got "no".'],
    [
      { regions: { "eu-west-1": { requestsPerSecond: 3 } } },
      "regions.eu-west-1.requestsPerSecond is not a known field; known fields: requestsPerMinute, tokensPerMinute, tokensPerDay, models.",
    ],
    [{ foreignTraffic: [{ tokensPerRequest: 3 }] }, "foreignTraffic[0].requestsPerMinute is required."],
    [
      { foreignTraffic: { requestsPerMinute: 3 } },
      /^foreignTraffic must be a list, each an object with requestsPerMinute; got an object\.$/,
    ],
    [
      { faults: [{ kind: "flood" }] },
      /^faults\[0\]\.kind must be one of error, overloaded, .*, stop_reason; got "flood"\.$/,
    ],
    [
      { faults: [{ kind: "cut" }, { kind: "stall", status: 500 }] },
      /^faults\[1\]\.status is not a known field; known fields: kind, afterEvents, modelId, /,
    ],
    [{ faults: [{ kind: "error" }] }, "faults[0] must have error or status."],
    [
      { faults: [{ kind: "error", error: "NewException" }] },
      `faults[0].error must be one of Bedrock's errors; got "NewException". For another error, set its HTTP status with status.`,
    ],
    [{ faults: [{ kind: "cut", fromMs: 5, untilMs: 5 }] }, "faults[0].untilMs must be after fromMs, 5; got 5."],
    [
      { verifySignatures: { accessKeyId: "AKIA", secretAccessKey: "" } },
      "verifySignatures[0].secretAccessKey must be a string that is not empty; got something else.",
    ],
    [{ models: { m: { tokensPerMinute: -1 } } }, "models.m.tokensPerMinute must be an integer of at least 1; got -1."],
  ])("%j is refused by name", async (options, message) => {
    await expect(startSimulator(options as object)).rejects.toThrow(
      typeof message === "string" ? new RangeError(message) : message,
    );
  });

  test("a port in use causes the system's error", async () => {
    const { simulator } = await simulate();
    const port = Number(new URL(simulator.url).port);
    await expect(startSimulator({ port })).rejects.toMatchObject({ code: "EADDRINUSE" });
  });
});
