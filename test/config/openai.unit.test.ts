// Deployments with provider: openai: their settings, and that they need the keys they name but no AWS credentials.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { loadSettings } from "../../src/config/load.ts";
import type { Settings } from "../../src/config/settings.ts";
import { temporaryFolder } from "./support.ts";

/** Loads with an environment that contains only the given variables. */
function load(yaml: string, env: Record<string, string> = {}): Promise<Settings> {
  const cwd = temporaryFolder();
  writeFileSync(join(cwd, "sluice.yaml"), yaml);
  return loadSettings({ env, cwd });
}

const models = (...deployments: string[]) => `models: { a: { deployments: [${deployments.join(", ")}] } }`;
const local = "{ provider: openai, baseUrl: 'http://127.0.0.1:11434/v1/', modelId: 'llama3.3:70b' }";
const bedrock = "{ region: us-east-1, modelId: m }";
const withKey =
  "{ provider: openai, baseUrl: 'https://api.openai.com/v1', modelId: gpt-5, apiKeyEnv: MY_KEY, name: work }";

test("a local server: no credentials, no quotas", async () => {
  const settings = await load(models(local));
  expect(settings.simulator).toBe(false);
  expect(settings.models.a?.deployments).toMatchObject([
    {
      id: "openai/127.0.0.1:11434/llama3.3:70b",
      provider: "openai",
      region: "local",
      modelId: "llama3.3:70b",
      openai: { baseUrl: "http://127.0.0.1:11434/v1", maxTokensField: "max_tokens" },
      quotas: [],
    },
  ]);
});

test("a server with a key: the name of the variable is kept, the key is not", async () => {
  const settings = await load(models(withKey), { MY_KEY: "sk-very-secret" });
  expect(settings.models.a?.deployments[0]).toMatchObject({
    id: "openai/work/gpt-5",
    openai: { baseUrl: "https://api.openai.com/v1", apiKeyEnv: "MY_KEY", maxTokensField: "max_completion_tokens" },
  });
  expect(JSON.stringify(settings)).not.toContain("very-secret");
});

describe("mistakes", () => {
  test.each<Record<string, string>>([{}, { MY_KEY: " " }])("a missing key: %j", async (env) => {
    const message = "MY_KEY is not set, but openai/work/gpt-5 names it as apiKeyEnv. Set it to the key";
    await expect(load(models(withKey), env)).rejects.toThrow(message);
  });

  test("a key that does not fit into a header, which is not shown", async () => {
    const error: Error = await load(models(withKey), { MY_KEY: "very secret" }).then(
      () => new Error("it was taken"),
      (thrown) => thrown,
    );
    expect(error.message).toContain(
      "MY_KEY must hold printable ASCII characters without spaces; got other characters.",
    );
    expect(error.message).not.toContain("secret");
  });

  test("a process with the API role makes no calls and needs no key", async () => {
    const cwd = temporaryFolder();
    writeFileSync(join(cwd, "sluice.yaml"), models(withKey));
    const env = { MONGODB_URL: "mongodb://db", REDIS_URL: "redis://db" };
    await expect(loadSettings({ env, cwd, role: "api" })).resolves.toMatchObject({ role: "api" });
  });

  test("next to Bedrock deployments, AWS credentials are required as usual", async () => {
    const env = { AWS_EC2_METADATA_DISABLED: "true", AWS_PROFILE: "missing" };
    await expect(load(models(local, bedrock), env)).rejects.toThrow("Found signs of AWS credentials (AWS_PROFILE)");
  });
});

test("both together", async () => {
  const settings = await load(models(local, bedrock), { AWS_ACCESS_KEY_ID: "a", AWS_SECRET_ACCESS_KEY: "b" });
  expect(settings.models.a?.deployments.map((d) => d.id)).toEqual([
    "openai/127.0.0.1:11434/llama3.3:70b",
    "bedrock/us-east-1/m",
  ]);
});

test("the simulator replaces all providers, on request only", async () => {
  const settings = await load(models(local, withKey), { SLUICE_PROVIDER: "simulator" });
  expect(settings.simulator).toBe(true);
  expect(settings.models.a?.deployments.map((d) => d.id)).toEqual([
    "simulator/127.0.0.1:11434/llama3.3:70b",
    "simulator/work/gpt-5",
  ]);
});
