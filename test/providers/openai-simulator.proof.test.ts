// The OpenAI-compatible provider against the built-in simulator: each injected fault reaches the worker as the right
// failure.
import { afterEach, describe, expect, test } from "vitest";
import type { OpenAiOptions } from "../../src/providers/openai/openai-provider.ts";
import type { Provider, ProviderFailure } from "../../src/providers/provider.ts";
import type { Fault } from "../../src/simulator/faults.ts";
import { type Simulator, startSimulator } from "../../src/simulator/simulator.ts";
import { ask, failureOf } from "./fake-bedrock.ts";
import { openAiFor } from "./fake-openai.ts";

let simulator: Simulator;
let provider: Provider;
afterEach(async () => {
  await provider.close();
  await simulator.stop();
});

async function start(
  simulatorOptions: Parameters<typeof startSimulator>[0],
  providerOptions: Partial<OpenAiOptions> = {},
): Promise<void> {
  simulator = await startSimulator({ ...simulatorOptions, models: { "llama3.3": {} } });
  provider = openAiFor(`${simulator.url}/v1`, providerOptions);
}

describe.each([{ streaming: true }, { streaming: false }])("streaming: $streaming", ({ streaming }) => {
  test("an answer", async () => {
    await start({}, { streaming });
    const pieces: string[] = [];
    const answer = await ask(provider, { onText: (piece) => pieces.push(piece) });
    expect(answer).toMatchObject({ finishReason: expect.stringMatching(/^(stop|length)$/), toolCalls: [] });
    expect(answer.text).toContain("synthetic");
    expect(answer.usage).toEqual({ input: 1, output: simulator.calls[0]?.outputTokens });
    expect(answer.requestId).toBe(simulator.calls[0]?.requestId);
    expect(pieces.join("")).toBe(streaming ? answer.text : "");
  });

  test("beyond the requests per minute", async () => {
    await start({ requestsPerMinute: 1 }, { streaming });
    await ask(provider);
    const failure = await failureOf(ask(provider));
    expect(failure).toMatchObject({ kind: "throttled", throttle: "requests", maybeBilled: false });
    expect(failure.retryAfterMs).toBeGreaterThan(30_000);
    expect(failure.retryAfterMs).toBeLessThanOrEqual(60_000);
  });

  test("beyond the tokens per minute", async () => {
    await start({ tokensPerMinute: 150, tokensPerSecond: 50 }, { streaming });
    const calls = await Promise.allSettled([ask(provider), ask(provider)]);
    const refused = calls.find((call) => call.status === "rejected");
    expect(refused?.reason.failure).toMatchObject({ kind: "throttled", throttle: "tokens", maybeBilled: false });
    expect(refused?.reason.failure.retryAfterMs).toBeGreaterThan(0);
  });

  test("beyond the tokens per day", async () => {
    await start({ tokensPerDay: 150, tokensPerSecond: 50 }, { streaming });
    const calls = await Promise.allSettled([ask(provider), ask(provider)]);
    const refused = calls.find((call) => call.status === "rejected");
    expect(refused?.reason.failure).toMatchObject({ kind: "throttled", throttle: "tokens_per_day" });
  });

  test("a request above the whole limit", async () => {
    await start({ tokensPerMinute: 60 }, { streaming });
    expect(await failureOf(ask(provider))).toMatchObject({ kind: "permanent", code: "provider_rejected" });
  });

  test("a model that does not exist", async () => {
    await start({}, { streaming, modelId: "gpt-0" });
    expect(await failureOf(ask(provider))).toMatchObject({ kind: "misconfigured", maybeBilled: false });
  });

  test("a prompt that is too long", async () => {
    await start({}, { streaming });
    const text = "word ".repeat(128_000);
    const request = {
      messages: [{ role: "user" as const, content: [{ type: "text" as const, text }] }],
      parameters: { maxTokens: 1 },
    };
    expect(await failureOf(ask(provider, { request }))).toMatchObject({ kind: "permanent", code: "context_exceeded" });
  });

  const unknownEnd = { kind: "transient", maybeBilled: true } as const;
  const faults: [Fault, Partial<ProviderFailure>][] = [
    [
      { kind: "error", error: "ServiceUnavailableException", retryAfterS: 2 },
      { kind: "capacity", maybeBilled: false, retryAfterMs: 2_000 },
    ],
    [
      { kind: "error", error: "ThrottlingException", message: "Slow down", retryAfterS: 3 },
      { kind: "throttled", throttle: "requests", retryAfterMs: 3_000 },
    ],
    [
      { kind: "error", error: "InternalServerException" },
      { kind: "transient", maybeBilled: false },
    ],
    [
      { kind: "error", error: "AccessDeniedException" },
      { kind: "unclear", maybeBilled: false },
    ],
    [
      { kind: "overloaded", retryAfterS: 4 },
      { kind: "capacity", maybeBilled: false, retryAfterMs: 4_000 },
    ],
    [{ kind: "html" }, { kind: "capacity", maybeBilled: false }],
    [
      { kind: "html", status: 200 },
      { kind: "capacity", maybeBilled: false },
    ],
    [{ kind: "not_json" }, { kind: "transient", maybeBilled: false }],
    [{ kind: "cut" }, unknownEnd],
    [{ kind: "reset" }, unknownEnd],
    [{ kind: "cut", afterEvents: 2 }, unknownEnd],
    [{ kind: "reset", afterEvents: 2 }, unknownEnd],
    [{ kind: "early_end", afterEvents: 2 }, unknownEnd],
    [{ kind: "truncated_frame", afterEvents: 2 }, unknownEnd],
    [{ kind: "bad_checksum", afterEvents: 2 }, unknownEnd],
    [
      { kind: "exception", error: "ThrottlingException", message: "Too many tokens", afterEvents: 0 },
      { kind: "throttled", throttle: "tokens", maybeBilled: false },
    ],
    [{ kind: "exception", error: "InternalServerException", afterEvents: 2 }, { kind: "transient" }],
    [{ kind: "error_frame", afterEvents: 2 }, { kind: "transient" }],
    [
      { kind: "stop_reason", stopReason: "content_filter" },
      { kind: "permanent", code: "content_filtered" },
    ],
  ];
  test.each(faults)("fault %j", async (fault, expected) => {
    await start({ fault: () => fault }, { streaming });
    expect(await failureOf(ask(provider))).toMatchObject(expected);
    expect(simulator.callCount).toBe(1);
  });

  test.each<Fault>([{ kind: "no_usage" }, { kind: "unknown_event", afterEvents: 2 }])(
    "an answer in spite of %j",
    async (fault) => {
      await start({ fault: () => fault }, { streaming });
      const answer = await ask(provider);
      expect(answer.text).toContain("synthetic");
      expect(answer.usage === undefined).toBe(fault.kind === "no_usage");
    },
  );

  test("a connection that stalls", async () => {
    const timeouts = { connectMs: 20_000, firstByteMs: 50, idleMs: 50, totalMs: 200 };
    await start({ fault: () => ({ kind: "stall", afterEvents: 2 }) }, { streaming, timeouts });
    expect(await failureOf(ask(provider))).toMatchObject({ kind: "transient", code: "unknown_end", maybeBilled: true });
  });
});
