// How settings result from defaults, the file, the environment and the command line.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { loadSettings } from "../../src/config/load.ts";
import { load, mistakesIn, someCredentials, temporaryFolder } from "./support.ts";

const documentedForm = `
defaultModel: llama3-3-70b
models:
  llama3-3-70b:
    maxOutputTokens: 2048        # sent as max_tokens when a job names none
    deployments:
      - provider: bedrock
        region: us-east-1
        modelId: us.meta.llama3-3-70b-instruct-v1:0
        endpoint: http://127.0.0.1:9000   # optional; AWS_ENDPOINT_URL_BEDROCK_RUNTIME is honoured too
        maxConcurrency: 50
        quotas:
          - { unit: requests, per: minute, limit: 3 }     # optional: burst, name (shared quotas)
          - { unit: tokens, per: minute, limit: 600000 }
environments:
  UAT:  { database: SSP-dev,  weight: 1 }
  PROD: { database: SSP-prod, weight: 4 }
`;

const deployment = (region: string, quotas: string) =>
  `{ region: ${region}, modelId: us.meta.llama3-3-70b-instruct-v1:0, quotas: [${quotas}] }`;

test("without a file: Llama 3.3 with 3 requests a minute, a current model as alternative, UAT and PROD", async () => {
  const settings = await load({});

  expect(settings).toMatchObject({
    source: "defaults",
    host: "127.0.0.1",
    port: 8000,
    defaultModel: "llama3-3-70b",
    environments: { UAT: { database: "SSP-dev", weight: 1 }, PROD: { database: "SSP-prod", weight: 4 } },
    priorityWeights: { interactive: 16, standard: 4, batch: 1 },
    worker: { concurrency: 100 },
    simulator: false,
  });
  const llama = settings.models["llama3-3-70b"]!;
  expect(llama).toMatchObject({ maxOutputTokens: 2048, alternative: "nova-2-lite", contextTokens: 128_000 });
  const id = "bedrock/us-east-1/us.meta.llama3-3-70b-instruct-v1:0";
  expect(llama.deployments).toEqual([
    {
      id,
      baseModel: "meta.llama3-3-70b-instruct-v1:0",
      maxOutputTokens: 4096,
      provider: "bedrock",
      region: "us-east-1",
      modelId: "us.meta.llama3-3-70b-instruct-v1:0",
      maxConcurrency: 50,
      streaming: true,
      outputBurndown: 1,
      traits: expect.objectContaining({ streamingTools: false, endOfLife: "2027-03-30" }),
      quotas: [
        { name: `${id}:requests/minute`, unit: "requests", per: "minute", limit: 3, burst: 3 },
        { name: `${id}:tokens/minute`, unit: "tokens", per: "minute", limit: 600_000, burst: 60_000 },
      ],
    },
  ]);
  expect(settings.models[llama.alternative!]!.deployments[0]!.quotas).not.toEqual([]);
});

test("the documented form of the file means the defaults, plus its endpoint", async () => {
  const settings = await load({ yaml: documentedForm });
  const defaults = await load({});

  const { alternative: _, ...expected } = defaults.models["llama3-3-70b"]!;
  expected.deployments = [{ ...expected.deployments[0]!, endpoint: "http://127.0.0.1:9000" }];
  expect(Object.keys(settings.models)).toEqual(["llama3-3-70b"]);
  expect(settings.models["llama3-3-70b"]).toEqual(expected);
  expect(settings.environments).toEqual(defaults.environments);
  expect(settings.source).toMatch(/sluice\.yaml$/);
});

test("an empty file means the defaults", async () => {
  const { source: _s, dataDir: _d, ...settings } = await load({ yaml: "# nothing yet\n" });
  const { source: _s2, dataDir: _d2, ...defaults } = await load({});
  expect(settings).toEqual(defaults);
});

test("a reload treats a file without a character as being written, and not as the defaults", async () => {
  await expect(load({ yaml: " \n", refuseEmpty: true })).rejects.toThrow(
    /is empty, perhaps because a program is still writing it/,
  );
  await expect(load({ yaml: "# nothing\n", refuseEmpty: true })).resolves.toBeDefined();
  await expect(load({ refuseEmpty: true })).resolves.toBeDefined();
});

test("names that a client chooses never match built-in properties", async () => {
  const settings = await load({});
  for (const name of ["constructor", "__proto__", "toString"]) {
    expect(settings.models[name]).toBeUndefined();
    expect(settings.environments[name]).toBeUndefined();
    expect(settings.tenantWeights[name]).toBeUndefined();
  }
});

test("quotas with the same name are shared", async () => {
  const quota = "{ unit: tokens, per: day, limit: 1000000, name: daily }";
  const settings = await load({
    yaml: `models: { a: { deployments: [${deployment("us-east-1", quota)}, ${deployment("us-west-2", quota)}] } }`,
  });
  expect(settings.models.a!.deployments.map((d) => d.quotas)).toEqual([
    [{ name: "daily", unit: "tokens", per: "day", limit: 1_000_000, burst: 100_000 }],
    [{ name: "daily", unit: "tokens", per: "day", limit: 1_000_000, burst: 100_000 }],
  ]);
});

const application = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abcdef123456";

describe("the catalogue fills in what the file omits", () => {
  test.each([
    ["us.anthropic.claude-haiku-4-5-20251001-v1:0", { context: 200_000, limit: 64_000, burndown: 5 }],
    ["anthropic.claude-opus-4-8", { context: 1_000_000, limit: 128_000, burndown: 15 }],
    ["global.anthropic.claude-something-newer", { context: 1_000_000, limit: 128_000, burndown: 10 }],
    ["eu.amazon.nova-lite-v1:0", { context: 300_000, limit: 8192, burndown: 1 }],
    ["openai.gpt-oss-120b-1:0", { context: 128_000, limit: 16_384, burndown: 1 }],
    [
      "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.meta.llama4-scout-17b-instruct-v1:0",
      { context: 3_500_000, limit: 16_384, burndown: 1 },
    ],
    [application, { context: 128_000, limit: 4096, burndown: 1 }],
  ])("%s", async (modelId, { context, limit, burndown }) => {
    const settings = await load({
      yaml: `models: { a: { deployments: [{ region: us-east-1, modelId: "${modelId}" }] } }`,
    });
    expect(settings.models.a).toMatchObject({ contextTokens: context, maxOutputTokensLimit: limit });
    expect(settings.models.a!.deployments[0]!.outputBurndown).toBe(burndown);
  });

  test("a deployment's foundation model is read from its ID, or named by baseModel", async () => {
    const settings = await load({
      yaml: `
models:
  a:
    deployments:
      - { region: us-east-1, modelId: amazon.nova-lite-v1:0 }
      - { region: us-east-1, modelId: us.amazon.nova-lite-v1:0 }
      - { region: us-east-2, modelId: "arn:aws:bedrock:us-east-2::foundation-model/amazon.nova-lite-v1:0" }
      - { region: us-east-2, modelId: "arn:aws:bedrock:us-east-2:123456789012:inference-profile/us.amazon.nova-lite-v1:0" }
      - { region: us-west-2, modelId: "${application}", baseModel: global.anthropic.claude-opus-4-8 }
      - { region: us-east-1, modelId: "${application}" }
      - { provider: openai, modelId: amazon.nova-lite-v1:0, baseUrl: "http://localhost/v1" }`,
    });
    const { deployments } = settings.models.a!;
    expect(deployments.map((d) => d.baseModel)).toEqual([
      ...Array(4).fill("amazon.nova-lite-v1:0"),
      "anthropic.claude-opus-4-8",
      "abcdef123456",
      undefined,
    ]);
    // The values are those of the model.
    expect(deployments.map((d) => d.outputBurndown)).toEqual([1, 1, 1, 1, 15, 1, 1]);
  });

  test("the file overrides it", async () => {
    const settings = await load({
      yaml: `
models:
  a:
    maxOutputTokens: 100
    maxOutputTokensLimit: 200
    contextTokens: 300
    tokenFactor: 2
    deployments: [{ region: us-east-1, modelId: amazon.nova-lite-v1:0, streaming: false, outputBurndown: 3 }]`,
    });
    expect(settings.models.a).toMatchObject({
      maxOutputTokens: 100,
      maxOutputTokensLimit: 200,
      contextTokens: 300,
      tokenFactor: 2,
      deployments: [{ streaming: false, outputBurndown: 3, maxConcurrency: 50, quotas: [] }],
    });
  });

  test("the least capable deployment of a model decides, because each must be able to take a job", async () => {
    const settings = await load({
      yaml: "models: { a: { deployments: [{ region: us-east-1, modelId: amazon.nova-pro-v1:0 }, { region: us-east-1, modelId: qwen.qwen3-32b-v1:0 }] } }",
    });
    expect(settings.models.a).toMatchObject({ contextTokens: 16_384, maxOutputTokensLimit: 8192, tokenFactor: 1.2 });
  });
});

describe("precedence", () => {
  const yaml = "{ host: 127.0.0.2, port: 1, dataDir: from-file, logLevel: error }";

  test("environment over file", async () => {
    const env = { HOST: "127.0.0.3", PORT: "2", SLUICE_DATA_DIR: "/from/env", SLUICE_LOG_LEVEL: "warn" };
    const settings = await load({ yaml, env: { ...env, SLUICE_DEFAULT_MODEL: "nova-2-lite" } });
    expect(settings).toMatchObject({
      host: "127.0.0.3",
      port: 2,
      dataDir: "/from/env",
      logLevel: "warn",
      defaultModel: "nova-2-lite",
    });
  });

  test("trusted proxies are a list, in the environment too", async () => {
    const env = { SLUICE_TRUSTED_PROXIES: "10.0.0.1, fd00::/8 172.16.0.0/12" };
    expect((await load({ yaml, env })).trustedProxies).toEqual(["10.0.0.1", "fd00::/8", "172.16.0.0/12"]);
    await expect(load({ yaml, env: { SLUICE_TRUSTED_PROXIES: "10.0.0.1,proxy" } })).rejects.toThrow(
      "SLUICE_TRUSTED_PROXIES must be addresses, or networks such as 10.0.0.0/8 or fd00::/8, with commas between them; " +
        'got "10.0.0.1,proxy"',
    );
    expect((await load({ yaml: "trustedProxies: [10.0.0.1]" })).trustedProxies).toEqual(["10.0.0.1"]);
  });

  test("command line over environment", async () => {
    const settings = await load({
      yaml,
      env: { HOST: "127.0.0.3", PORT: "2" },
      args: { host: "::1", port: "0", dataDir: "/from/args", logLevel: "silent" },
    });
    expect(settings).toMatchObject({ host: "::1", port: 0, dataDir: "/from/args", logLevel: "silent" });
  });

  test("an empty variable counts as unset", async () => {
    expect(await load({ yaml, env: { HOST: "", PORT: " " } })).toMatchObject({ host: "127.0.0.2", port: 1 });
  });

  test("SLUICE_CONFIG over sluice.yaml, --config over both", async () => {
    const cwd = temporaryFolder();
    for (const name of ["sluice", "env", "args"]) writeFileSync(join(cwd, `${name}.yaml`), `dataDir: ${name}`);
    const env = someCredentials;
    const dataDirOf = async (options: Parameters<typeof loadSettings>[0]) => (await loadSettings(options)).dataDir;
    expect(await dataDirOf({ cwd, env })).toBe(join(cwd, "sluice"));
    expect(await dataDirOf({ cwd, env: { ...env, SLUICE_CONFIG: "env.yaml" } })).toBe(join(cwd, "env"));
    expect(await dataDirOf({ cwd, env: { ...env, SLUICE_CONFIG: "env.yaml" }, args: { config: "args.yaml" } })).toBe(
      join(cwd, "args"),
    );
  });
});

test("one of MONGODB_URL and REDIS_URL alone is refused, without showing it", async () => {
  expect(await mistakesIn({ env: { MONGODB_URL: "mongodb://user:secret@db" } })).toMatch(
    /^MONGODB_URL is set, but REDIS_URL is not/,
  );
});
