// The provider against the built-in simulator: answers, and refusals of its quotas. Other failures are in
// bedrock-errors.test.ts.
import { afterEach, describe, expect, test } from "vitest";
import type { Provider } from "../../src/providers/provider.ts";
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

  test("beyond the tokens per day", async () => {
    await start({ tokensPerDay: 50 }, { streaming });
    const failure = await failureOf(ask(provider));
    expect(failure).toMatchObject({ kind: "throttled", throttle: "tokens_per_day", maybeBilled: false });
  });

  test("an answer without usage", async () => {
    await start({ fault: () => ({ kind: "no_usage" }) }, { streaming });
    const answer = await ask(provider);
    expect(answer.text).not.toBe("");
    expect(answer.usage).toBeUndefined();
  });
});
