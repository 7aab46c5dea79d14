// Mistakes in a configuration and what is said about them: the key, the value, what is allowed, and the line.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { ConfigError } from "../../src/config/config-problems.ts";
import { loadSettings } from "../../src/config/load.ts";
import { nearest } from "../../src/schema/nearest.ts";
import { load, mistakesIn, someCredentials, temporaryFolder } from "./support.ts";

const model = (text: string) => `models: { a: { ${text} } }`;
const deployments = (...list: string[]) =>
  model(`deployments: [${list.map((d) => `{ region: us-east-1, modelId: m, ${d} }`).join(", ")}]`);
const quotas = (...list: string[]) => deployments(`quotas: [${list.map((q) => `{ ${q} }`).join(", ")}]`);

const openAi = (more: string) =>
  model(`deployments: [{ provider: openai, baseUrl: "http://h/v1", modelId: m, ${more} }]`);

const cases: [yaml: string, mistake: string][] = [
  // Form
  ["- 1", "The file must be an object; got a list (line 1)"],
  ["models: ~", "models must be an object that is not empty, with names of letters"],
  [
    "models: {}",
    "models must be an object that is not empty, with names of letters, digits and . _ : / - that begin with a letter or digit; got an empty object",
  ],
  ["port: 65536", "port must be an integer between 0 and 65535; got 65536 (line 1)"],
  ["port: 80.5", "port must be an integer between 0 and 65535; got 80.5"],
  ["\nlogLevel: loud", 'logLevel must be one of trace, debug, info, warn, error, silent; got "loud" (line 2)'],
  ["limits: { maxWait: 4 }", "limits.maxWait is not a known field; did you mean maxWaitS? Known are: maxRequestBytes,"],
  [
    "webhooks: { allowPrivateNetworks: [10.0.0.0/40] }",
    'webhooks.allowPrivateNetworks[0] is "10.0.0.0/40"; allowed: an address, or',
  ],
  [
    "webhooks: { allowPrivateNetworks: true }",
    "webhooks.allowPrivateNetworks must be a list of at most 100 items, each a string of at most 100 characters; got true",
  ],
  ["secret: x", "secret is not a known field; known are: host, port,"],
  ['models: { "a b": {} }', 'models["a b"] is not a usable name; use names of letters'],
  ["models: { __proto__: { deployments: [] } }", "models.__proto__ is not a usable name"],
  [
    model("deployments: []"),
    "models.a.deployments must be a list of 1 to 100 items, each an object with modelId; got an empty list",
  ],
  [model("maxOutputTokens: 5"), "models.a.deployments is required"],
  [
    model("deployments: [{ region: us-east-1 }]"),
    "models.a.deployments[0].modelId is required: a Bedrock model ID, inference profile ID or ARN",
  ],
  [deployments("provider: azure"), 'models.a.deployments[0].provider must be one of bedrock, openai; got "azure"'],
  [deployments("", "streaming: 1"), "models.a.deployments[1].streaming must be true or false; got 1"],
  [
    deployments("endpoint: 'http://me:password@h/'"),
    "models.a.deployments[0].endpoint must be an http:// or https:// address without a user name",
  ],
  [
    quotas("unit: requests, per: minute, limit: 3", "unit: tokens, per: minute, limit: 0"),
    "models.a.deployments[0].quotas[1].limit must be auto, or a whole number from 1 to 1000000000000; got 0",
  ],
  [
    quotas("unit: calls, per: minute, limit: 3"),
    '.unit must be one of tokens, input_tokens, output_tokens, requests; got "calls"',
  ],
  ["environments: { UAT: { weight: 1 } }", "environments.UAT.database is required: a name of letters"],
  [
    "environments: { UAT: { database: ../x } }",
    'environments.UAT.database must be a name of letters, digits, - and _ (at most 60); got "../x"',
  ],
  [
    "environments: { UAT: { database: a, weight: 0 } }",
    "weight must be a number greater than 0 and at most 1000000; got 0",
  ],
  ["tenantWeights: { a: -1 }", "tenantWeights.a must be a number greater than 0 and at most 1000000; got -1"],
  [
    deployments("roleArn: 'arn:aws:iam::1:role/x'"),
    '.roleArn must be the ARN of an IAM role, such as arn:aws:iam::123456789012:role/bedrock-caller; got "arn:aws:iam::1:role/x"',
  ],
  [deployments("profile: 'a b'"), '.profile must be the name of a profile in ~/.aws, without spaces; got "a b"'],
  [
    "tenants: { a: { regions: [] } }",
    "tenants.a.regions must be a list of 1 to 64 items, each an AWS Region such as us-east-1; got an empty list",
  ],
  [
    openAi("apiKeyEnv: sk-very-secret"),
    "[0].apiKeyEnv must be the name of the environment variable that holds the key, such as OPENAI_API_KEY; never the key itself; got something else",
  ],
  [openAi("apiKey: sk-very-secret"), "[0].apiKey is not a known field; did you mean apiKeyEnv?"],
  [openAi("maxTokensField: n"), '.maxTokensField must be one of max_tokens, max_completion_tokens; got "n"'],
  // Between keys
  [openAi("profile: a"), "profile stands beside provider: openai; allowed: only with provider: bedrock"],
  [
    openAi("quotas: [{ unit: requests, per: minute, limit: auto }]"),
    "quotas[0].limit is auto; allowed with provider: openai: a number, because nobody lists it",
  ],
  [openAi("endpoint: 'http://h'"), "endpoint stands beside provider: openai; allowed: baseUrl in its place"],
  [
    model("deployments: [{ provider: openai, modelId: m }]"),
    "models.a.deployments[0].baseUrl is missing; allowed: the server's address with its version",
  ],
  [
    model("deployments: [{ provider: openai, modelId: m, baseUrl: 'http://h:70000/v1' }]"),
    'models.a.deployments[0].baseUrl is "http://h:70000/v1"; allowed: an address',
  ],
  [
    model(
      "deployments: [{ provider: openai, modelId: m, baseUrl: 'http://h/1' }, { provider: openai, modelId: m, baseUrl: 'http://h/2' }]",
    ),
    "models.a.deployments[1] is openai/h/m, and so is a deployment of a",
  ],
  [deployments("apiKeyEnv: KEY"), "apiKeyEnv stands beside provider: bedrock; allowed: only with provider: openai"],
  [
    model("deployments: [{ modelId: m }]"),
    "models.a.deployments[0].region is missing; allowed: an AWS Region such as us-east-1",
  ],
  [
    model("deployments: [{ region: local, modelId: m }]"),
    'models.a.deployments[0].region is "local"; allowed: an AWS Region such as us-east-1',
  ],
  [deployments("externalId: abc"), "models.a.deployments[0].externalId stands without roleArn; allowed: only beside"],
  [
    deployments("profile: a", "profile: a, externalId: abc, roleArn: 'arn:aws:iam::123456789012:role/x'"),
    "models.a.deployments[1] is bedrock/us-east-1@a/m, and so is a deployment of a; a deployment serves one model, once; for another account, give it a profile,",
  ],
  [
    quotas("unit: input_tokens, per: minute, limit: auto"),
    "quotas[0].limit is auto, but AWS lists no quota on input_tokens per minute; allowed: auto for requests and tokens",
  ],
  [
    quotas("unit: tokens, per: minute, limit: 9000, fallback: 8000"),
    "quotas[0].fallback stands beside a limit that is a number; allowed: only with limit: auto",
  ],
  [
    model("fallbackModels: [a, b], deployments: [{ region: us-east-1, modelId: m }]"),
    "models.a.fallbackModels[0] is the model itself; allowed: other models",
  ],
  [
    model("fallbackModels: [b], deployments: [{ region: us-east-1, modelId: m }]"),
    'models.a.fallbackModels[0] is "b", which models does not have',
  ],
  [
    "tenantWeights: { t: 1 }\ntenants: { t: { weight: 2 } }",
    "tenants.t.weight stands in tenantWeights too; allowed: in one of the two (line 2)",
  ],
  [
    "tenants: { t: { regions: [eu-west-1] } }",
    "tenants.t.regions has no region with a deployment, so no job of this tenant could run; there are us-east-1",
  ],
  ["defaultModel: llama3-70b", 'defaultModel is "llama3-70b", which models does not have; did you mean llama3-3-70b?'],
  [
    "models: { a: { deployments: [{ region: us-east-1, modelId: m }] }, b: { deployments: [{ region: us-east-1, modelId: n }] } }",
    "defaultModel is missing, and there is more than one model; allowed: one of a, b",
  ],
  [deployments("", ""), "models.a.deployments[1] is bedrock/us-east-1/m, and so is a deployment of a"],
  [
    model("alternative: x, deployments: [{ region: us-east-1, modelId: m }]"),
    'models.a.alternative is "x", which models',
  ],
  [
    model("alternative: a, deployments: [{ region: us-east-1, modelId: m }]"),
    "models.a.alternative is the model itself",
  ],
  [
    model("maxOutputTokens: 9000, deployments: [{ region: us-east-1, modelId: meta.llama3-3-70b }]"),
    "models.a.maxOutputTokens is 9000; allowed: at most 4096",
  ],
  [
    model(
      "contextTokens: 100, maxOutputTokensLimit: 200, maxOutputTokens: 1, deployments: [{ region: us-east-1, modelId: m }]",
    ),
    "models.a.maxOutputTokensLimit is 200; allowed: at most contextTokens, 100",
  ],
  [
    quotas("unit: tokens, per: minute, limit: 2048"),
    "quotas[0].limit is 2048, so no job with the model's 2048 output tokens could ever run",
  ],
  [
    quotas("unit: tokens, per: minute, limit: auto, fallback: 2048"),
    "quotas[0].fallback is 2048, so no job with the model's 2048 output tokens could ever run",
  ],
  [
    model(
      "deployments: [{ region: us-east-1, modelId: us.anthropic.claude-opus-4-8, quotas: [{ unit: tokens, per: minute, limit: 30720 }] }]",
    ),
    "quotas[0].limit is 30720, so no job with the model's 2048 output tokens, which count 15 times, could ever run; allowed: more than 30720",
  ],
  [quotas("unit: requests, per: minute, limit: 3, burst: 4"), "quotas[0].burst is 4; allowed: at most the limit, 3"],
  [
    quotas("unit: requests, per: minute, limit: 3, resetHourUtc: 4"),
    "quotas[0].resetHourUtc stands beside per: minute; allowed: only with per: day",
  ],
  [
    quotas("unit: requests, per: minute, limit: 3", "unit: requests, per: minute, limit: 4"),
    "quotas[1] is a second quota on requests per minute; a call would be charged twice",
  ],
  [
    "models: { a: { deployments: [{ region: us-east-1, modelId: m, quotas: [{ unit: requests, per: minute, limit: 3, name: x }] }, " +
      "{ region: us-west-2, modelId: m, quotas: [{ unit: requests, per: minute, limit: 4, name: x }] }] } }",
    'models.a.deployments[1].quotas[0] shares the quota "x" with bedrock/us-east-1/m but differs from it',
  ],
  [
    "environments: { UAT: { database: x }, PROD: { database: X } }",
    "environments.PROD.database is X, which environment UAT uses; allowed: a name of its own",
  ],
  ["environments: { UAT: { database: sluice } }", "database is sluice, which the service itself uses"],
  [
    "limits: { maxRequestBytes: 2000 }",
    "limits.maxPromptBytes is 1048576; allowed: at most limits.maxRequestBytes, 2000",
  ],
  ["worker: { backoffMaxMs: 10 }", "worker.backoffBaseMs is 1000; allowed: at most worker.backoffMaxMs, 10"],
  [
    "scheduler: { leaseMs: 1000, sendWithinMs: 2000 }",
    "scheduler.sendWithinMs is 2000; allowed: at most scheduler.leaseMs",
  ],
  ["timeouts: { totalMs: 100 }", "timeouts.firstByteMs is 60000; allowed: at most timeouts.totalMs, 100"],
  // YAML
  ["port: 1\nport: 2", "is not valid YAML:\n  Map keys must be unique at line 2, column 1"],
  ["port: [", "is not valid YAML"],
  ["port: !!js/function x", "is not valid YAML"],
  ["port: 1\n---\nport: 2", "is not valid YAML"],
  [`a: &a [x]\nb: [${"*a, ".repeat(200)}]`, "is not valid YAML: Excessive alias count"],
];

test.each(cases)("%s", async (yaml, mistake) => {
  expect(await mistakesIn({ yaml })).toContain(mistake);
});

test("a key that stands where its variable's name should is not shown", async () => {
  for (const key of ["apiKeyEnv", "apiKey"]) {
    expect(await mistakesIn({ yaml: openAi(`${key}: sk-very-secret`) })).not.toContain("very-secret");
  }
});

test("all mistakes are named at once", async () => {
  const yaml = Array.from({ length: 12 }, (_, i) => `key${i}: 1`).join("\n");
  const message = await mistakesIn({ yaml });
  expect(message).toMatch(/^There are 12 mistakes in the configuration \(.*sluice\.yaml\):\n/);
  expect(message.split("\n")).toHaveLength(13);
});

test.each([
  [{ PORT: "80a" }, 'PORT must be an integer between 0 and 65535; got "80a"'],
  [{ PORT: "-1" }, 'PORT must be an integer between 0 and 65535; got "-1"'],
  [{ PORT: "99999" }, "PORT must be an integer between 0 and 65535; got 99999"],
  [{ HOST: "a b" }, 'HOST must be an address or host name; got "a b"'],
  [{ SLUICE_LOG_LEVEL: "loud" }, 'SLUICE_LOG_LEVEL must be one of trace, debug, info, warn, error, silent; got "loud"'],
  [{ SLUICE_DEFAULT_MODEL: "gpt" }, 'SLUICE_DEFAULT_MODEL is "gpt", which models does not have'],
  [{ SLUICE_PROVIDER: "openai" }, 'SLUICE_PROVIDER is "openai"; allowed: one of bedrock, simulator'],
  [
    { AWS_ENDPOINT_URL_BEDROCK_RUNTIME: "localhost:9000" },
    'AWS_ENDPOINT_URL_BEDROCK_RUNTIME is "localhost:9000"; allowed: an http:// or https:// address',
  ],
  [{ AWS_ENDPOINT_URL: "http://:x" }, 'AWS_ENDPOINT_URL is "http://***"; allowed: an http:// or https:// address'],
  [{ SLUICE_AUTH: "no" }, 'SLUICE_AUTH is "no"; allowed: one of keys, off'],
  [
    { SLUICE_CONFIG: "missing.yaml" },
    /^The configuration file .*missing\.yaml \(SLUICE_CONFIG\) cannot be read: ENOENT\.$/,
  ],
])("environment %j", async (env, mistake) => {
  const message = await mistakesIn({ env: env as Record<string, string> });
  if (mistake instanceof RegExp) expect(message).toMatch(mistake);
  else expect(message).toContain(mistake);
});

test("an argument is named as such", async () => {
  expect(await mistakesIn({ env: { PORT: "1" }, args: { port: "x" } })).toContain(
    '--port must be an integer between 0 and 65535; got "x"',
  );
});

test("a file of more than a megabyte is not parsed", async () => {
  expect(await mistakesIn({ yaml: `# ${"x".repeat(1024 * 1024)}` })).toContain("bytes; allowed: at most 1048576");
});

test("whatever is in the file, the answer is settings or a ConfigError", async () => {
  const folder = temporaryFolder();
  const key = fc.constantFrom(
    "models",
    "a",
    "deployments",
    "quotas",
    "limit",
    "port",
    "environments",
    "UAT",
    "weight",
    "x",
  );
  const { node } = fc.letrec((tie) => ({
    node: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      fc.constantFrom(null, true, 0, -1, 3, 1.5, "", "us-east-1", "tokens", "minute"),
      fc.array(tie("node"), { maxLength: 3 }),
      fc.dictionary(key, tie("node"), { maxKeys: 4 }),
    ),
  }));
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        node.map((value) => JSON.stringify(value)),
        fc.string(),
      ),
      async (text) => {
        writeFileSync(join(folder, "sluice.yaml"), text);
        const result = await loadSettings({ env: someCredentials, cwd: folder }).catch((error: unknown) => error);
        if (result instanceof Error) expect(result).toBeInstanceOf(ConfigError);
      },
    ),
    { numRuns: 300 },
  );
});

test("the nearest name is found, and none where nothing is near", () => {
  const names = ["maxOutputTokens", "maxOutputTokensLimit", "region"];
  expect(nearest("maxoutputtoken", names)).toBe("maxOutputTokens");
  expect(nearest("regoin", names)).toBe("region");
  expect(nearest("endpoint", names)).toBeUndefined();
  expect(nearest("x".repeat(100_000), names)).toBeUndefined();
});

test("the cases above begin from something valid", async () => {
  await expect(load({ yaml: quotas("unit: requests, per: minute, limit: 3") })).resolves.toBeDefined();
});
