// The quotas as a client sees them: the official SDK, real sockets, and a clock that the test moves.
import { ConverseCommand, ConverseStreamCommand, ThrottlingException } from "@aws-sdk/client-bedrock-runtime";
import { describe, expect, test } from "vitest";
import type { Fault } from "../../src/simulator/faults.ts";
import type { WindowAlgorithm } from "../../src/simulator/meter.ts";
import { ask, clientOf, collect, failure, llama, manualClock, simulate, until } from "./support.ts";

async function outcomes(count: number, send: (i: number) => Promise<unknown>): Promise<string[]> {
  const results: string[] = [];
  for (let i = 0; i < count; i++) {
    results.push(
      await send(i).then(
        () => "ok",
        (error) => error.message,
      ),
    );
  }
  return results;
}

const tooManyRequests = "Too many requests, please wait before trying again.";
const tooManyTokens = "Too many tokens, please wait before trying again.";

describe("requests per minute", () => {
  const cases: [WindowAlgorithm, number, string[]][] = [
    // Three calls at 50 s, then at this time:
    ["fixed", 60_000, ["ok", "ok", "ok", tooManyRequests]],
    ["sliding", 109_999, Array(4).fill(tooManyRequests)],
    ["sliding", 110_000, ["ok", "ok", "ok", tooManyRequests]],
    ["bucket", 70_000, ["ok", tooManyRequests, tooManyRequests, tooManyRequests]],
  ];
  test.each(cases)("%s window at %i ms", async (window, later, expected) => {
    const clock = manualClock(50_000);
    const { simulator, client } = await simulate({ clock, window, requestsPerMinute: 3 });
    const send = () => client.send(new ConverseCommand(ask("Hi")));
    expect(await outcomes(4, send)).toEqual(["ok", "ok", "ok", tooManyRequests]);
    clock.time = later;
    expect(await outcomes(4, send)).toEqual(expected);
    expect(simulator.calls.map((call) => call.arrivedAt)).toEqual([...Array(4).fill(50_000), ...Array(4).fill(later)]);
    const [pool] = simulator.quotas();
    const refused = [...["", "", "", tooManyRequests], ...expected].filter((o) => o === tooManyRequests).length;
    expect(pool).toMatchObject({ modelId: llama, region: "us-east-1", requests: { limit: 3, refused, peak: 3 } });
    expect(simulator.calls.filter((call) => call.outcome === "throttled")).toHaveLength(refused);
  });

  test("a refused call is the SDK's ThrottlingException with 429, streamed or not", async () => {
    const { client } = await simulate({ clock: manualClock(), requestsPerMinute: 1 });
    await client.send(new ConverseCommand(ask("Hi")));
    for (const send of [
      () => client.send(new ConverseCommand(ask("Hi"))),
      () => client.send(new ConverseStreamCommand(ask("Hi"))),
    ]) {
      const error = await failure(send());
      expect(error).toBeInstanceOf(ThrottlingException);
      expect(error.$metadata!.httpStatusCode).toBe(429);
    }
  });

  test("are counted separately for each profile and region", async () => {
    const { simulator, client } = await simulate({
      clock: manualClock(),
      requestsPerMinute: 1,
      models: { "amazon.nova-lite-v1:0": { requestsPerMinute: 2 } },
    });
    const west = clientOf(simulator, "us-west-2");
    const nova = ask("Hi", 10, "us.amazon.nova-lite-v1:0");
    expect(await outcomes(2, () => client.send(new ConverseCommand(ask("Hi"))))).toEqual(["ok", tooManyRequests]);
    expect(await outcomes(2, () => west.send(new ConverseCommand(ask("Hi"))))).toEqual(["ok", tooManyRequests]);
    expect(await outcomes(3, () => west.send(new ConverseCommand(nova)))).toEqual(["ok", "ok", tooManyRequests]);
    expect(simulator.quotas().map(({ modelId, region, admitted }) => [modelId, region, admitted])).toEqual([
      [llama, "us-east-1", 1],
      [llama, "us-west-2", 1],
      ["us.amazon.nova-lite-v1:0", "us-west-2", 2],
    ]);
  });
});

describe("tokens per minute", () => {
  test("input and max_tokens are reserved while the call runs, and the rest is released at its end", async () => {
    const { simulator, client } = await simulate({
      clock: manualClock(),
      tokensPerMinute: 1_000,
      answerTokens: 30,
      fault: (call): Fault | undefined => (call.prompt === "wait" ? { kind: "stall", afterEvents: 3 } : undefined),
    });
    const controller = new AbortController();
    const running = await client.send(new ConverseStreamCommand(ask("wait", 899)), { abortSignal: controller.signal });
    expect(await outcomes(1, () => client.send(new ConverseCommand(ask("Hi", 100))))).toEqual([tooManyTokens]);
    // 900 are reserved: 1 + 99 fit exactly.
    await client.send(new ConverseCommand(ask("Hi", 99)));
    controller.abort();
    await failure(collect(running.stream));
    await until(() => simulator.calls[0]!.outcome === "broken");
    // 1 + 8 of the call that was aborted, 1 + 30 of the one that was answered.
    expect(await outcomes(2, (i) => client.send(new ConverseCommand(ask("Hi", 960 - i))))).toEqual([
      tooManyTokens,
      "ok",
    ]);
    expect(simulator.quotas()[0]).toMatchObject({ tokens: { limit: 1_000, refused: 2, peak: 1_000 } });
  });

  test("an unset max_tokens reserves the model's maximum", async () => {
    const { client } = await simulate({ clock: manualClock(), tokensPerMinute: 4_096 });
    const unset = { ...ask("Hi"), inferenceConfig: {} };
    expect((await failure(client.send(new ConverseCommand(unset)))).message).toBe(tooManyTokens);
    await client.send(new ConverseCommand(ask("Hi", 4_095)));
  });

  test("settle with the model's burndown of output", async () => {
    const modelId = "us.anthropic.claude-haiku-4-5-20251001-v1:0";
    const { client, simulator } = await simulate({ clock: manualClock(), tokensPerMinute: 1_000, answerTokens: 100 });
    await client.send(new ConverseCommand(ask("Hi", 200, modelId)));
    expect(simulator.quotas()[0]).toMatchObject({ tokens: { peak: 501 } });
    expect((await failure(client.send(new ConverseCommand(ask("Hi", 499, modelId))))).message).toBe(tooManyTokens);
    expect(simulator.calls.map((call) => [call.chargedTokens, call.quota])).toEqual([
      [501, undefined],
      [undefined, "tokens"],
    ]);
  });
});

describe("other limits", () => {
  test("a region has its own limits, and a model in it too", async () => {
    const nova = "us.amazon.nova-lite-v1:0";
    const { simulator } = await simulate({
      clock: manualClock(),
      requestsPerMinute: 1,
      models: { [nova]: { requestsPerMinute: 2 } },
      regions: {
        "us-west-2": { requestsPerMinute: 3, models: { "amazon.nova-lite-v1:0": { requestsPerMinute: 4 } } },
      },
    });
    const limits = async (region: string, modelId: string) => {
      const client = clientOf(simulator, region);
      await client.send(new ConverseCommand(ask("Hi", 10, modelId)));
      return simulator.quotas().at(-1)!.requests.limit;
    };
    expect(await limits("us-east-1", llama)).toBe(1);
    expect(await limits("us-east-1", nova)).toBe(2);
    expect(await limits("us-west-2", llama)).toBe(3);
    expect(await limits("us-west-2", nova)).toBe(4);
  });

  test("tokens per day: all models of a region share them", async () => {
    const clock = manualClock();
    const { simulator, client } = await simulate({ clock, tokensPerDay: 500, answerTokens: 99 });
    const nova = ask("Hi", 399, "us.amazon.nova-lite-v1:0");
    const perDay = "Too many tokens per day, please wait before trying again.";
    const send = (input = nova) => client.send(new ConverseCommand(input));
    await send(ask("Hi", 400));
    await send();
    expect(await outcomes(2, () => send())).toEqual([perDay, perDay]);
    await clientOf(simulator, "eu-west-1").send(new ConverseCommand(nova));
    clock.time = 86_399_999;
    expect(await outcomes(1, () => send())).toEqual([perDay]);
    clock.time = 86_400_000;
    await send();
    expect(simulator.dailyQuotas()).toEqual([
      { region: "us-east-1", limit: 500, refused: 3, peak: 500 },
      { region: "eu-west-1", limit: 500, refused: 0, peak: 400 },
    ]);
    const refused = simulator.calls.filter((call) => call.outcome === "throttled");
    expect(refused.map((call) => call.quota)).toEqual(Array(3).fill("tokens_per_day"));
  });

  test("a UTC day begins at midnight", async () => {
    const clock = { ...manualClock(), wall: () => Date.parse("2026-11-27T23:59:00Z") + clock.time };
    const { client } = await simulate({ clock, tokensPerDay: 500, dayWindow: "utc", answerTokens: 400 });
    const send = () => client.send(new ConverseCommand(ask("Hi", 400)));
    expect((await outcomes(2, send)).map((outcome) => outcome === "ok")).toEqual([true, false]);
    clock.time = 59_999;
    expect(await outcomes(1, send)).not.toEqual(["ok"]);
    clock.time = 60_000;
    expect(await outcomes(1, send)).toEqual(["ok"]);
  });

  test("what others use is missing, from their beginning to their end", async () => {
    const clock = manualClock(7_000);
    const { simulator, client } = await simulate({
      clock,
      requestsPerMinute: 60,
      tokensPerDay: 1_000_000,
      foreignTraffic: [
        { requestsPerMinute: 30, tokensPerRequest: 100, region: "us-east-1", fromMs: 60_000, untilMs: 180_000 },
      ],
    });
    const send = () => client.send(new ConverseCommand(ask("Hi", 10)));
    const admitted = async (at: number) => {
      clock.time = at + 7_000;
      return (await outcomes(62, send)).filter((outcome) => outcome === "ok").length;
    };
    expect(await admitted(0)).toBe(60);
    // At 60 s the first of theirs precedes ours. Until 119.9 s the pool cannot admit the others.
    expect(await admitted(60_000)).toBe(59);
    expect(await admitted(179_999)).toBe(30);
    expect(await admitted(240_000)).toBe(60);
    expect(simulator.quotas()[0]!.foreign).toEqual({ admitted: 31, refused: 29, tokens: 3_100 });
    expect(simulator.dailyQuotas()[0]!.peak).toBeGreaterThan(3_100);
  });
});

test("64 at a time: the quota admits exactly its limit, in any order", async () => {
  const { simulator, client } = await simulate({ clock: manualClock(), requestsPerMinute: 100, jitterMs: 5 });
  let next = 0;
  let admitted = 0;
  const worker = async () => {
    while (next++ < 400) {
      const ok = await client.send(new ConverseCommand(ask(`Prompt ${next}`))).then(
        () => true,
        () => false,
      );
      if (ok) admitted++;
    }
  };
  await Promise.all(Array.from({ length: 64 }, worker));
  expect(admitted).toBe(100);
  expect(simulator.quotas()[0]).toMatchObject({ admitted: 100, requests: { refused: 300, peak: 100 } });
});

test("the journal keeps the latest calls, and the beginning of a long prompt", async () => {
  const { simulator, client } = await simulate({ journalSize: 3 });
  for (let i = 1; i <= 5; i++) await client.send(new ConverseCommand(ask(`Prompt ${i} ${"x".repeat(5_000)}`)));
  expect(simulator.callCount).toBe(5);
  expect(simulator.calls.map((call) => call.n)).toEqual([3, 4, 5]);
  expect(simulator.calls[0]!.prompt).toBe(`Prompt 3 ${"x".repeat(991)}`);
});
