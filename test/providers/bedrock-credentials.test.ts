// Accounts that cannot work, against a simulator that verifies signatures. Each failure says what to do, takes the
// deployment out of service instead of failing jobs, and contains no secret.
import { afterEach, expect, test, vi } from "vitest";
import type { Provider } from "../../src/providers/provider.ts";
import type { SimulatorOptions } from "../../src/simulator/options.ts";
import { type Simulator, startSimulator } from "../../src/simulator/simulator.ts";
import { ask, failureOf, type ProviderOptions, providerFor } from "./fake-bedrock.ts";

const keys = { accessKeyId: "AKIAEXAMPLEEXAMPLE12", secretAccessKey: "a-very-secret-key" };
const session = { accessKeyId: "ASIAEXAMPLEEXAMPLE34", secretAccessKey: "another-secret", sessionToken: "the-token" };

let simulator: Simulator;
let provider: Provider;
afterEach(async () => {
  await provider.close();
  await simulator.stop();
  vi.unstubAllEnvs();
});

async function start(options: SimulatorOptions, credentials: ProviderOptions["credentials"]): Promise<void> {
  simulator = await startSimulator({ verifySignatures: [keys, session], ...options });
  provider = providerFor(simulator.url, { credentials });
}

const later = (ms: number): SimulatorOptions => ({
  clock: { now: () => performance.now(), wall: () => Date.now() + ms },
});

test.each([keys, session])("valid keys are accepted %#", async (credentials) => {
  await start({}, credentials);
  expect((await ask(provider)).text).not.toBe("");
});

const cases: [string, SimulatorOptions, ProviderOptions["credentials"], RegExp][] = [
  [
    "an unknown access key",
    {},
    { ...keys, accessKeyId: "AKIAOTHEROTHER123456" },
    /does not recognize these credentials/,
  ],
  ["a wrong session token", {}, { ...session, sessionToken: "a-wrong-token" }, /session token/],
  ["a wrong secret", {}, { ...keys, secretAccessKey: "a-wrong-secret" }, /Check the secret access key/],
  [
    "an expired session",
    { verifySignatures: { ...session, expired: true } },
    session,
    /^The AWS credentials have expired\. Renew them/,
  ],
  [
    "a clock ten minutes behind",
    later(600_000),
    keys,
    /^AWS refused the time of the signature, because this machine's clock/,
  ],
  [
    "a clock ten minutes ahead",
    later(-600_000),
    keys,
    /^AWS refused the time of the signature, because this machine's clock/,
  ],
];

test.each(cases)("%s", async (_, options, credentials, says) => {
  await start(options, credentials);
  const failure = await failureOf(ask(provider));
  expect(failure).toMatchObject({ kind: "misconfigured", code: "model_unavailable", maybeBilled: false });
  expect(failure.message).toMatch(says);
  expect(failure.message).not.toMatch(/AKIA|ASIA|secret-key|wrong-secret|token-|-token|Signature=/);
  expect(failure.requestId).toBe(simulator.calls[0]!.requestId);
  expect(simulator.calls.map((call) => [call.outcome, call.status])).toEqual([["refused", 403]]);
});

test("an invalid bearer key", async () => {
  vi.stubEnv("AWS_BEARER_TOKEN_BEDROCK", "a-wrong-bearer-key");
  await start({ bearerKeys: ["the-right-one"] }, undefined);
  const failure = await failureOf(ask(provider));
  expect(failure).toMatchObject({ kind: "misconfigured", maybeBilled: false });
  expect(failure.message).toMatch(/^Bedrock did not accept the API key\. Check AWS_BEARER_TOKEN_BEDROCK/);
  expect(failure.message).not.toContain("a-wrong-bearer-key");
  expect(simulator.callCount).toBe(1);
});
