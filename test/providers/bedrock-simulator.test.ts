// The provider against the built-in simulator: what it can make go wrong is told to the worker as what it is.
import { afterEach, describe, expect, test } from "vitest";
import type { Provider, ProviderFailure } from "../../src/providers/provider.ts";
import type { Fault } from "../../src/simulator/faults.ts";
import { type Simulator, startSimulator } from "../../src/simulator/simulator.ts";
import { ask, failureOf, type ProviderOptions, providerFor } from "./fake-bedrock.ts";

let simulator: Simulator;
let provider: Provider;
afterEach(async () => {
  await provider.close();
  await simulator.stop();
});

async function start(
  simulatorOptions: Parameters<typeof startSimulator>[0],
  providerOptions: Partial<ProviderOptions> = {},
): Promise<void> {
  simulator = await startSimulator(simulatorOptions);
  provider = providerFor(simulator.url, providerOptions);
}

describe.each([{ streaming: true }, { streaming: false }])("streaming: $streaming", ({ streaming }) => {
  test("an answer", async () => {
    await start({}, { streaming });
    const pieces: string[] = [];
    const answer = await ask(provider, { onText: (piece) => pieces.push(piece) });
    expect(answer).toMatchObject({ finishReason: expect.stringMatching(/^(stop|length)$/), toolCalls: [] });
    expect(answer.text).not.toBe("");
    expect(answer.usage?.output).toBeGreaterThan(0);
    expect(answer.requestId).toBeDefined();
    expect(pieces.join("")).toBe(streaming ? answer.text : "");
  });

  test("beyond the requests per minute", async () => {
    await start({ requestsPerMinute: 1 }, { streaming });
    await ask(provider);
    const failure = await failureOf(ask(provider));
    expect(failure).toMatchObject({ kind: "throttled", throttle: "requests", maybeBilled: false });
  });

  test("beyond the tokens per minute", async () => {
    await start({ tokensPerMinute: 150 }, { streaming });
    const calls = await Promise.allSettled([ask(provider), ask(provider)]);
    const refused = calls.find((call) => call.status === "rejected");
    expect(refused?.reason.failure).toMatchObject({ kind: "throttled", throttle: "tokens", maybeBilled: false });
  });

  const faults: [Fault, Partial<ProviderFailure>][] = [
    [
      { kind: "error", error: "ServiceUnavailableException" },
      { kind: "capacity", maybeBilled: false },
    ],
    [
      { kind: "error", error: "InternalServerException" },
      { kind: "transient", maybeBilled: false },
    ],
    [
      { kind: "error", error: "AccessDeniedException" },
      { kind: "misconfigured", maybeBilled: false },
    ],
    [
      { kind: "overloaded", retryAfterS: 4 },
      { kind: "capacity", maybeBilled: false, retryAfterMs: 4_000 },
    ],
    [{ kind: "html" }, { kind: "capacity", maybeBilled: false }],
    [{ kind: "cut" }, { kind: "transient", maybeBilled: true }],
    [
      { kind: "cut", afterEvents: 2 },
      { kind: "transient", maybeBilled: true },
    ],
    [
      { kind: "early_end", afterEvents: 2 },
      { kind: "transient", maybeBilled: true },
    ],
    [
      { kind: "exception", error: "ThrottlingException", message: "Too many tokens", afterEvents: 0 },
      { kind: "throttled", throttle: "tokens", maybeBilled: false },
    ],
    [{ kind: "exception", error: "ServiceUnavailableException", afterEvents: 2 }, { kind: "capacity" }],
    [
      { kind: "stop_reason", stopReason: "guardrail_intervened" },
      { kind: "permanent", code: "content_filtered" },
    ],
  ];
  test.each(faults)("fault %j", async (fault, expected) => {
    await start({ fault: () => fault }, { streaming });
    expect(await failureOf(ask(provider))).toMatchObject(expected);
    expect(simulator.callCount).toBe(1);
  });

  test("an answer that does not say what it used", async () => {
    await start({ fault: () => ({ kind: "no_usage" }) }, { streaming });
    const answer = await ask(provider);
    expect(answer.text).not.toBe("");
    expect(answer.usage).toBeUndefined();
  });

  test("a connection that stalls", async () => {
    const timeouts = { connectMs: 20_000, firstByteMs: 50, idleMs: 50, totalMs: 200 };
    await start({ fault: () => ({ kind: "stall", afterEvents: 2 }) }, { streaming, timeouts });
    expect(await failureOf(ask(provider))).toMatchObject({ kind: "transient", code: "unknown_end", maybeBilled: true });
  });
});
