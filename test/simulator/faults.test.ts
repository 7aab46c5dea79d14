// All faults that can be injected, as the official SDK reports them.
import { request } from "node:http";
import {
  ConverseCommand,
  ConverseStreamCommand,
  InternalServerException,
  InvokeModelCommand,
  InvokeModelWithResponseStreamCommand,
  ModelStreamErrorException,
  ServiceUnavailableException,
  ThrottlingException,
} from "@aws-sdk/client-bedrock-runtime";
import { describe, expect, test } from "vitest";
import type { BedrockErrorName } from "../../src/simulator/aws-errors.ts";
import type { Fault, StreamErrorName } from "../../src/simulator/faults.ts";
import { ask, collect, failure, llama, simulate, textOf, until } from "./support.ts";

const always = (fault: Fault) => simulate({ fault: () => fault });
const native = { modelId: llama, body: JSON.stringify({ prompt: "Hi" }) };

describe("refused with an HTTP error", () => {
  const cases: [BedrockErrorName, number][] = [
    ["ThrottlingException", 429],
    ["ModelNotReadyException", 429],
    ["ServiceUnavailableException", 503],
    ["InternalServerException", 500],
    ["ModelTimeoutException", 408],
    ["ModelErrorException", 424],
    ["AccessDeniedException", 403],
    ["ResourceNotFoundException", 404],
    ["ValidationException", 400],
  ];
  test.each(cases)("%s with %i, of every operation", async (error, status) => {
    const { simulator, client } = await always({ kind: "error", error, message: "Because.", retryAfterS: 7 });
    for (const send of [
      () => client.send(new ConverseCommand(ask("Hi"))),
      () => client.send(new ConverseStreamCommand(ask("Hi"))),
      () => client.send(new InvokeModelCommand(native)),
      () => client.send(new InvokeModelWithResponseStreamCommand(native)),
    ]) {
      const thrown = await failure(send());
      expect(thrown).toMatchObject({ name: error, message: "Because.", $metadata: { httpStatusCode: status } });
      expect(thrown.$response!.headers["retry-after"]).toBe("7");
    }
    expect(simulator.calls).toHaveLength(4);
    for (const call of simulator.calls) {
      expect(call).toMatchObject({ outcome: "refused", fault: "error", status, error, outputTokens: 0 });
    }
    // Refused before the quotas were checked.
    expect(simulator.quotas()).toEqual([]);
  });

  test("with the SDK's classes and Bedrock's messages", async () => {
    const throttled = await always({ kind: "error", error: "ThrottlingException" });
    const throttling = await failure(throttled.client.send(new ConverseCommand(ask("Hi"))));
    expect(throttling).toBeInstanceOf(ThrottlingException);
    expect(throttling.message).toBe("Too many requests, please wait before trying again.");
    const down = await always({ kind: "error", error: "ServiceUnavailableException" });
    const unavailable = await failure(down.client.send(new ConverseCommand(ask("Hi"))));
    expect(unavailable).toBeInstanceOf(ServiceUnavailableException);
    expect(unavailable.message).toBe("Bedrock is unable to process your request.");
  });

  test("529 without a type that the SDK knows", async () => {
    const { client } = await always({ kind: "overloaded", retryAfterS: 3 });
    const error = await failure(client.send(new ConverseCommand(ask("Hi"))));
    expect(error).toMatchObject({ name: "Unknown", $metadata: { httpStatusCode: 529 } });
    expect(error.$response!.headers["retry-after"]).toBe("3");
  });

  test("HTML from a proxy", async () => {
    const { simulator, client } = await always({ kind: "html" });
    const error = await failure(client.send(new ConverseCommand(ask("Hi"))));
    expect(error).toBeInstanceOf(SyntaxError);
    expect(error.$metadata!.httpStatusCode).toBe(502);
    expect(simulator.calls[0]).toMatchObject({ outcome: "refused", status: 502 });
  });
});

describe("in a stream", () => {
  const streamErrors: StreamErrorName[] = [
    "InternalServerException",
    "ModelStreamErrorException",
    "ServiceUnavailableException",
    "ThrottlingException",
    "ValidationException",
  ];
  test.each(streamErrors)("%s after some events is thrown by the iterator", async (error) => {
    const { simulator, client } = await always({ kind: "exception", error, message: "Midway.", afterEvents: 3 });
    const answer = await client.send(new ConverseStreamCommand(ask("Hi")));
    const seen: unknown[] = [];
    const thrown = await failure(
      (async () => {
        for await (const event of answer.stream!) seen.push(event);
      })(),
    );
    expect(thrown).toMatchObject({ name: error, message: "Midway." });
    expect(thrown.$metadata).toBeUndefined();
    expect(seen).toHaveLength(3);
    expect(simulator.calls[0]).toMatchObject({ outcome: "broken", status: 200, error, outputTokens: 8 });
  });

  test("an exception in the first frame rejects the call itself", async () => {
    const { client } = await always({ kind: "exception", error: "ModelStreamErrorException", afterEvents: 0 });
    const error = await failure(client.send(new ConverseStreamCommand(ask("Hi"))));
    expect(error).toBeInstanceOf(ModelStreamErrorException);
    expect(error.$metadata).toMatchObject({ attempts: 1 });
  });

  test("InvokeModel's stream has exceptions too", async () => {
    const { client } = await always({ kind: "exception", error: "ModelTimeoutException", afterEvents: 2 });
    const answer = await client.send(new InvokeModelWithResponseStreamCommand(native));
    expect((await failure(collect(answer.body))).name).toBe("ModelTimeoutException");
  });

  test("a cut connection is an error after the events before it", async () => {
    const { simulator, client } = await always({ kind: "cut", afterEvents: 4 });
    const answer = await client.send(new ConverseStreamCommand(ask("Hi")));
    let text = "";
    const error = await failure(
      (async () => {
        for await (const event of answer.stream!) text += textOf([event]);
      })(),
    );
    expect(error.code).toBe("ECONNRESET");
    expect(text).toMatch(/^\[synthetic answer/);
    await until(() => simulator.calls[0]!.outcome === "broken");
    expect(simulator.calls[0]!.outputTokens).toBe(12);
  });

  test("a stream that ends early looks complete, without messageStop", async () => {
    const { client } = await always({ kind: "early_end", afterEvents: 5 });
    const events = await collect((await client.send(new ConverseStreamCommand(ask("Hi")))).stream);
    expect(events.map((event) => Object.keys(event)[0])).toEqual([
      "messageStart",
      ...Array(4).fill("contentBlockDelta"),
    ]);
  });

  test("a fault after the end applies before messageStop", async () => {
    const { client } = await always({ kind: "early_end", afterEvents: 10_000 });
    const events = await collect((await client.send(new ConverseStreamCommand(ask("Hi")))).stream);
    expect(Object.keys(events.at(-1)!)).toEqual(["contentBlockStop"]);
  });

  test("a stall sends nothing more until the client gives up", async () => {
    const { simulator, client } = await always({ kind: "stall", afterEvents: 2 });
    const controller = new AbortController();
    const answer = await client.send(new ConverseStreamCommand(ask("Hi")), { abortSignal: controller.signal });
    const events = answer.stream![Symbol.asyncIterator]();
    await events.next();
    await events.next();
    const third = failure(events.next());
    expect(simulator.calls[0]!.outcome).toBe("running");
    controller.abort();
    expect((await third).message).toMatch(/abort/);
    await until(() => simulator.calls[0]!.outcome === "broken");
  });

  test("missing usage", async () => {
    const { client } = await always({ kind: "no_usage" });
    const events = await collect((await client.send(new ConverseStreamCommand(ask("Hi")))).stream);
    expect(Object.keys(events.at(-1)!)).toEqual(["messageStop"]);
    const chunks = await collect((await client.send(new InvokeModelWithResponseStreamCommand(native))).body);
    expect(Buffer.from(chunks.at(-1)!.chunk!.bytes!).toString()).not.toContain("invocationMetrics");
  });

  test("a stop reason that means failure", async () => {
    const { client } = await always({ kind: "stop_reason", stopReason: "guardrail_intervened" });
    const events = await collect((await client.send(new ConverseStreamCommand(ask("Hi")))).stream);
    expect(events.at(-2)!.messageStop!.stopReason).toBe("guardrail_intervened");
  });
});

describe("how the SDK reports it", () => {
  const streamed: [Fault, { name?: string; code?: string }, RegExp][] = [
    [{ kind: "exception", error: "BrandNewException", message: "New.", afterEvents: 2 }, {}, /New\./],
    [
      { kind: "error_frame", code: "InternalFailure", message: "Odd.", afterEvents: 2 },
      { name: "InternalFailure" },
      /^Odd\.$/,
    ],
    [{ kind: "reset", afterEvents: 2 }, { code: "ECONNRESET" }, /aborted|ECONNRESET/],
    [{ kind: "truncated_frame", afterEvents: 2 }, {}, /^Truncated event message received\.$/],
    [{ kind: "bad_checksum", afterEvents: 2 }, {}, /checksum/],
  ];
  test.each(streamed)("%j in a stream", async (fault, error, message) => {
    const { simulator, client } = await always(fault);
    const answer = await client.send(new ConverseStreamCommand(ask("Hi")));
    const seen: unknown[] = [];
    const thrown = await failure(
      (async () => {
        for await (const event of answer.stream!) seen.push(event);
      })(),
    );
    expect(thrown).toMatchObject(error);
    expect(thrown.message).toMatch(message);
    expect(seen).toHaveLength(2);
    await until(() => simulator.calls[0]!.outcome === "broken");
    expect(simulator.calls[0]!.chargedTokens).toBe(5);
  });

  const atOnce: [Fault, object][] = [
    [
      { kind: "html", status: 200 },
      { name: "SyntaxError", $metadata: { httpStatusCode: 200 } },
    ],
    [{ kind: "not_json" }, { name: "SyntaxError", $metadata: { httpStatusCode: 500 } }],
    [
      { kind: "error", status: 504 },
      { name: "Unknown", $metadata: { httpStatusCode: 504 } },
    ],
    [
      { kind: "error", error: "BrandNewException", status: 418, message: "New." },
      { name: "BrandNewException", message: "New.", $metadata: { httpStatusCode: 418 } },
    ],
    [{ kind: "reset" }, { name: "TimeoutError", code: "ECONNRESET" }],
    [
      { kind: "error_frame", code: "Odd" },
      { name: "Odd", $metadata: { httpStatusCode: 500 } },
    ],
    [{ kind: "bad_checksum" }, { name: "SyntaxError" }],
    [{ kind: "truncated_frame" }, { code: "ECONNRESET" }],
  ];
  test.each(atOnce)("%j in one piece", async (fault, error) => {
    const { client } = await always(fault);
    expect(await failure(client.send(new ConverseCommand(ask("Hi"))))).toMatchObject(error);
  });
});

describe("before the first byte, and in an unstreamed answer", () => {
  test.each([
    ["Converse", ConverseCommand],
    ["ConverseStream", ConverseStreamCommand],
  ])("%s: a cut", async (_, Command) => {
    const { simulator, client } = await always({ kind: "cut" });
    const error = await failure(client.send(new Command(ask("Hi")) as ConverseCommand));
    expect(error.code).toBe("ECONNRESET");
    expect(simulator.calls[0]).toMatchObject({ outcome: "broken", outputTokens: 0 });
    expect(simulator.calls[0]!.status).toBeUndefined();
  });

  test.each([
    ["Converse", ConverseCommand],
    ["ConverseStream", ConverseStreamCommand],
  ])("%s: a stall", async (_, Command) => {
    const { simulator, client } = await always({ kind: "stall" });
    const controller = new AbortController();
    const sent = failure(client.send(new Command(ask("Hi")) as ConverseCommand, { abortSignal: controller.signal }));
    await until(() => simulator.callCount === 1);
    controller.abort();
    expect((await sent).name).toBe("AbortError");
    await until(() => simulator.calls[0]!.outcome === "broken");
  });

  test("an exception is an HTTP error", async () => {
    const { client } = await always({ kind: "exception", error: "InternalServerException", afterEvents: 3 });
    const error = await failure(client.send(new ConverseCommand(ask("Hi"))));
    expect(error).toBeInstanceOf(InternalServerException);
    expect(error.$metadata!.httpStatusCode).toBe(500);
  });

  test("an early end is a body that stops in its middle", async () => {
    const { simulator, client } = await always({ kind: "early_end", afterEvents: 1 });
    expect((await failure(client.send(new ConverseCommand(ask("Hi"))))).code).toBe("ECONNRESET");
    expect(simulator.calls[0]!.outcome).toBe("broken");
  });

  test("missing usage", async () => {
    const { client } = await always({ kind: "no_usage" });
    expect((await client.send(new ConverseCommand(ask("Hi")))).usage).toBeUndefined();
    const answer = await client.send(new InvokeModelCommand(native));
    expect(JSON.parse(answer.body.transformToString())).not.toHaveProperty("prompt_token_count");
  });
});

describe("which calls a fault applies to", () => {
  test("every n-th, throttling before 503 before a cut", async () => {
    const { simulator, client } = await simulate({ throttleEvery: 6, unavailableEvery: 3, cutEvery: 2 });
    const names: string[] = [];
    for (let n = 1; n <= 12; n++) {
      names.push(
        await client.send(new ConverseCommand(ask("Hi"))).then(
          () => "ok",
          (error) => error.name,
        ),
      );
    }
    const cut = "TimeoutError";
    const six = ["ok", cut, "ServiceUnavailableException", cut, "ok", "ThrottlingException"];
    expect(names).toEqual([...six, ...six]);
    expect(simulator.callCount).toBe(12);
  });

  test("the calls that the function chooses, by prompt or number", async () => {
    const { client } = await simulate({
      unavailableEvery: 1,
      fault: (call) => (call.prompt === "cut me" ? { kind: "cut" } : undefined),
    });
    expect((await failure(client.send(new ConverseCommand(ask("cut me"))))).code).toBe("ECONNRESET");
    expect((await failure(client.send(new ConverseCommand(ask("not me"))))).name).toBe("ServiceUnavailableException");
  });

  test("a function that throws causes a 500 that says so", async () => {
    const { client } = await simulate({
      fault: () => {
        throw new Error("oops");
      },
    });
    const error = await failure(client.send(new ConverseCommand(ask("Hi"))));
    expect(error).toBeInstanceOf(InternalServerException);
    expect(error.message).toBe("The simulator failed: oops");
  });
});

describe("a client that disconnects", () => {
  test("is recorded, and charged for what was sent to it", async () => {
    const { simulator, client } = await simulate({ tokensPerSecond: 200, answerTokens: 4_000 });
    const controller = new AbortController();
    const answer = await client.send(new ConverseStreamCommand(ask("Hi", 4_000)), { abortSignal: controller.signal });
    for await (const event of answer.stream!) if (event.contentBlockDelta) break;
    controller.abort();
    await until(() => simulator.calls[0]!.outcome === "aborted");
    expect(simulator.calls[0]!.outputTokens).toBeGreaterThan(0);
    expect(simulator.calls[0]!.outputTokens).toBeLessThan(4_000);
    expect(simulator.calls[0]!.endedAt).toBeGreaterThan(simulator.calls[0]!.arrivedAt);
  });

  test("during its request costs nothing", async () => {
    const { simulator } = await simulate({ jitterMs: 60_000 });
    const body = JSON.stringify(ask("Hi"));
    const sent = request(`${simulator.url}/model/${llama}/converse`, {
      method: "POST",
      headers: { authorization: "Bearer key", "content-length": Buffer.byteLength(body) },
    });
    sent.on("error", () => {});
    sent.end(body, () => sent.destroy());
    await until(() => simulator.callCount === 1);
    expect(simulator.calls[0]).toMatchObject({ prompt: "Hi", outcome: "aborted", outputTokens: 0 });
    expect(simulator.quotas()).toEqual([]);
  });

  test("before the first token of a stream is charged for its input only", async () => {
    const { simulator, client } = await simulate({ latencyMs: 60_000 });
    const controller = new AbortController();
    const sent = failure(client.send(new ConverseStreamCommand(ask("Hi")), { abortSignal: controller.signal }));
    await until(() => simulator.callCount === 1);
    controller.abort();
    expect((await sent).name).toBe("AbortError");
    await until(() => simulator.calls[0]!.outcome === "aborted");
    expect(simulator.calls[0]!.outputTokens).toBe(0);
  });

  test("stopping cuts running calls, and may be repeated", async () => {
    const { simulator, client } = await simulate({ latencyMs: 60_000 });
    const sent = failure(client.send(new ConverseCommand(ask("Hi"))));
    await until(() => simulator.callCount === 1);
    await simulator.stop();
    await simulator.stop();
    expect((await sent).code).toBe("ECONNRESET");
    expect(simulator.calls[0]!.outcome).toBe("aborted");
  });
});
