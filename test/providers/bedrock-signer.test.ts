// Where requests go, and that AWS would accept their signatures: the simulator verifies them with code of its own. The
// address is found as the AWS SDK finds it.
import dns from "node:dns";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { startSimulator } from "../../src/simulator/simulator.ts";
import {
  ask,
  type FakeBedrock,
  failureOf,
  type ProviderOptions,
  providerFor,
  startFakeBedrock,
  stream,
  wholeAnswer,
} from "./fake-bedrock.ts";

const keys = { accessKeyId: "AKIAEXAMPLEEXAMPLE12", secretAccessKey: "a-very-secret-key" };

function open(options: Partial<ProviderOptions>, endpoint = "") {
  const provider = providerFor(endpoint, options);
  onTestFinished(() => provider.close());
  return provider;
}

test.each([
  "us.meta.llama3-3-70b-instruct-v1:0",
  "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.meta.llama3-3-70b-instruct-v1:0",
  "odd (name)'s!*~/us.meta.llama3-3-70b-instruct-v1:0",
])("the signature holds for the model %s", async (modelId) => {
  const simulator = await startSimulator({ verifySignatures: keys, models: { [modelId]: {} } });
  onTestFinished(() => simulator.stop());
  const { text } = await ask(open({ modelId, credentials: keys }, simulator.url));
  expect(text).not.toBe("");
  expect(simulator.calls[0]).toMatchObject({ modelId, region: "us-east-1" });
});

describe("the address", () => {
  let fake: FakeBedrock;
  let files: string;
  beforeEach(async () => {
    fake = await startFakeBedrock();
    fake.respond(stream(wholeAnswer));
    files = mkdtempSync(join(tmpdir(), "sluice-aws-"));
    vi.stubEnv("AWS_CONFIG_FILE", join(files, "config"));
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    vi.restoreAllMocks();
    rmSync(files, { recursive: true, force: true });
    await fake.close();
  });

  const path = "/model/us.meta.llama3-3-70b-instruct-v1%3A0/converse-stream";

  test.each(["", "/", "/gateway", "/gateway/"])("an endpoint with the path %j", async (prefix) => {
    await ask(open({}, fake.url + prefix));
    expect(fake.requests[0]!.path).toBe(prefix.replace(/\/$/, "") + path);
  });

  test("of all services, AWS_ENDPOINT_URL", async () => {
    vi.stubEnv("AWS_ENDPOINT_URL", fake.url);
    await ask(open({ endpoint: undefined }));
    expect(fake.requests).toHaveLength(1);
  });

  test("of the profile, endpoint_url", async () => {
    writeFileSync(join(files, "config"), `[profile research]\nendpoint_url = ${fake.url}\n`);
    vi.stubEnv("AWS_PROFILE", "research");
    await ask(open({ endpoint: undefined }));
    expect(fake.requests).toHaveLength(1);
  });

  /** Returns the host that a call is sent to, where no name can be resolved. */
  async function hostOf(environment: Record<string, string>): Promise<string | undefined> {
    const names: string[] = [];
    vi.spyOn(dns, "lookup").mockImplementation(((name: string, _: unknown, done: (error: Error) => void) => {
      names.push(name);
      done(Object.assign(new Error(`getaddrinfo ENOTFOUND ${name}`), { code: "ENOTFOUND" }));
    }) as never);
    for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);
    expect(await failureOf(ask(open({ endpoint: undefined })))).toMatchObject({ kind: "misconfigured" });
    return names[0];
  }

  test.each([
    [{}, "bedrock-runtime.us-east-1.amazonaws.com"],
    [{ AWS_USE_FIPS_ENDPOINT: "true" }, "bedrock-runtime-fips.us-east-1.amazonaws.com"],
    [{ AWS_USE_DUALSTACK_ENDPOINT: "true" }, "bedrock-runtime.us-east-1.api.aws"],
    [
      { AWS_ENDPOINT_URL: "http://127.0.0.1:1", AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: "true" },
      "bedrock-runtime.us-east-1.amazonaws.com",
    ],
  ])("without an endpoint, with %j", async (environment, host) => {
    expect(await hostOf(environment as Record<string, string>)).toBe(host);
  });
});
