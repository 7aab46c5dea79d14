// Mistakes in a configuration and their messages: the key, what is allowed, what was received, and the line.
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
  [
    "limits: { maxWait: 4 }",
    "limits.maxWait is not a known field; did you mean maxWaitS? Known fields: maxRequestBytes,",
  ],
  [
    "retention: { jobs: 30 }",
    "retention.jobs must be keep, or a number of hours or days such as 12h or 30d; got 30 (line 1)",
  ],
  [
    "retention: { jobs: none }",
    'retention.jobs must be keep, or a number of hours or days such as 12h or 30d; got "none"',
  ],
  ["retention: { texts: 0d }", "retention.texts must be keep, none, or a number of hours or days such as 12h or 30d"],
  ["retention: { attempts: 47h }", "retention.attempts must be at least 2d, or keep; got 47h (line 1)"],
  ["retention: { tenants: { a: { usage: 31d } } }", "retention.tenants.a.usage must be at least 62d, or keep; got 31d"],
  [
    "retention: { environments: { DEV: { texts: 1d } } }",
    "retention.environments.DEV must be one of UAT, PROD; got DEV",
  ],
  [
    "webhooks: { allowPrivateNetworks: [10.0.0.0/40] }",
    'webhooks.allowPrivateNetworks[0] must be an address, or a network such as 10.0.0.0/8 or fd00::/8; got "10.0.0.0/40"',
  ],
  [
    "webhooks: { allowPrivateNetworks: true }",
    "webhooks.allowPrivateNetworks must be a list of at most 100 items, each a string of at most 100 characters; got true",
  ],
  ["trustedProxies: [10.0.0.0/40]", "trustedProxies[0] must be an address, or a network such as"],
  ["secret: x", "secret is not a known field; known fields: host, port,"],
  ['models: { "a b": {} }', 'models["a b"] is not a valid name; use names of letters'],
  ["models: { __proto__: { deployments: [] } }", "models.__proto__ is not a valid name"],
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
  [openAi("profile: a"), "profile must not be set with provider: openai; only provider: bedrock uses it"],
  [
    openAi("quotas: [{ unit: requests, per: minute, limit: auto }]"),
    "quotas[0].limit must be a number with provider: openai, because no API lists its quotas; got auto",
  ],
  [openAi("endpoint: 'http://h'"), "endpoint must not be set with provider: openai; use baseUrl instead"],
  [
    model("deployments: [{ provider: openai, modelId: m }]"),
    "models.a.deployments[0].baseUrl is required: the server's address with its version",
  ],
  [
    model("deployments: [{ provider: openai, modelId: m, baseUrl: 'http://h:70000/v1' }]"),
    'models.a.deployments[0].baseUrl must be a valid address; got "http://h:70000/v1"',
  ],
  [
    model(
      "deployments: [{ provider: openai, modelId: m, baseUrl: 'http://h/1' }, { provider: openai, modelId: m, baseUrl: 'http://h/2' }]",
    ),
    "models.a.deployments[1] must be unique; got openai/h/m, which is already a deployment of a",
  ],
  [deployments("apiKeyEnv: KEY"), "apiKeyEnv must not be set with provider: bedrock; only provider: openai uses it"],
  [
    model("deployments: [{ modelId: m }]"),
    "models.a.deployments[0].region is required: an AWS Region such as us-east-1",
  ],
  [
    model("deployments: [{ region: local, modelId: m }]"),
    'models.a.deployments[0].region must be an AWS Region such as us-east-1; got "local"',
  ],
  [
    deployments("externalId: abc"),
    "models.a.deployments[0].externalId must be set together with roleArn; got no roleArn",
  ],
  [
    deployments("profile: a", "profile: a, externalId: abc, roleArn: 'arn:aws:iam::123456789012:role/x'"),
    "models.a.deployments[1] must be unique; got bedrock/us-east-1@a/m, which is already a deployment of a. For another account, set profile,",
  ],
  [
    quotas("unit: input_tokens, per: minute, limit: auto"),
    "quotas[0].limit must be a number, because AWS lists no quota on input_tokens per minute; got auto. AWS lists requests per minute,",
  ],
  [
    quotas("unit: tokens, per: minute, limit: 9000, fallback: 8000"),
    "quotas[0].fallback must not be set when the limit is a number; only limit: auto uses it",
  ],
  [
    model("fallbackModels: [a, b], deployments: [{ region: us-east-1, modelId: m }]"),
    "models.a.fallbackModels[0] must be another model; got the model itself",
  ],
  [
    model("fallbackModels: [b], deployments: [{ region: us-east-1, modelId: m }]"),
    'models.a.fallbackModels[0] must be one of the models a; got "b"',
  ],
  [
    "tenantWeights: { t: 1 }\ntenants: { t: { weight: 2 } }",
    "tenants.t.weight must be set in tenants or in tenantWeights, not in both (line 2)",
  ],
  [
    "tenants: { t: { regions: [eu-west-1] } }",
    "tenants.t.regions must include a region with a deployment (us-east-1), or no job of this tenant can run; got eu-west-1",
  ],
  [
    "defaultModel: llama3-70b",
    'defaultModel must be one of the models llama3-3-70b, nova-2-lite; got "llama3-70b". Did you mean llama3-3-70b?',
  ],
  [
    "models: { a: { deployments: [{ region: us-east-1, modelId: m }] }, b: { deployments: [{ region: us-east-1, modelId: n }] } }",
    "defaultModel is required with more than one model: one of a, b",
  ],
  [
    deployments("", ""),
    "models.a.deployments[1] must be unique; got bedrock/us-east-1/m, which is already a deployment of a",
  ],
  [
    model("alternative: x, deployments: [{ region: us-east-1, modelId: m }]"),
    'models.a.alternative must be one of the models a; got "x"',
  ],
  [
    model("alternative: a, deployments: [{ region: us-east-1, modelId: m }]"),
    "models.a.alternative must be another model; got the model itself",
  ],
  [
    model("maxOutputTokens: 9000, deployments: [{ region: us-east-1, modelId: meta.llama3-3-70b }]"),
    "models.a.maxOutputTokens must be at most 4096 (the model's limit, unless maxOutputTokensLimit sets another); got 9000",
  ],
  [
    model(
      "contextTokens: 100, maxOutputTokensLimit: 200, maxOutputTokens: 1, deployments: [{ region: us-east-1, modelId: m }]",
    ),
    "models.a.maxOutputTokensLimit must be at most contextTokens, 100; got 200",
  ],
  [
    quotas("unit: tokens, per: minute, limit: 2048"),
    "quotas[0].limit must be more than 2048, or no job with the model's 2048 output tokens can run; got 2048",
  ],
  [
    quotas("unit: tokens, per: minute, limit: auto, fallback: 2048"),
    "quotas[0].fallback must be more than 2048, or no job with the model's 2048 output tokens can run; got 2048",
  ],
  [
    model(
      "deployments: [{ region: us-east-1, modelId: us.anthropic.claude-opus-4-8, quotas: [{ unit: tokens, per: minute, limit: 30720 }] }]",
    ),
    "quotas[0].limit must be more than 30720, or no job with the model's 2048 output tokens, which count 15 times, can run; got 30720",
  ],
  [quotas("unit: requests, per: minute, limit: 3, burst: 4"), "quotas[0].burst must be at most the limit, 3; got 4"],
  [
    quotas("unit: requests, per: minute, limit: 3, resetHourUtc: 4"),
    "quotas[0].resetHourUtc must not be set with per: minute; only per: day uses it",
  ],
  [
    quotas("unit: requests, per: minute, limit: 3", "unit: requests, per: minute, limit: 4"),
    "quotas[1] must be the only quota on requests per minute; quotas[0] is another. Each call would be charged twice",
  ],
  [
    "models: { a: { deployments: [{ region: us-east-1, modelId: m, quotas: [{ unit: requests, per: minute, limit: 3, name: x }] }, " +
      "{ region: us-west-2, modelId: m, quotas: [{ unit: requests, per: minute, limit: 4, name: x }] }] } }",
    'models.a.deployments[1].quotas[0] must have the same unit, per, limit, burst and resetHourUtc as the quota "x" of bedrock/us-east-1/m; got different values',
  ],
  [
    "environments: { UAT: { database: x }, PROD: { database: X } }",
    "environments.PROD.database must be a name of its own; got X, which environment UAT uses",
  ],
  [
    "environments: { UAT: { database: sluice } }",
    "database must be a name of its own; got sluice, which the service itself uses",
  ],
  [
    "limits: { maxRequestBytes: 2000 }",
    "limits.maxPromptBytes must be at most limits.maxRequestBytes, 2000; got 1048576",
  ],
  ["worker: { backoffMaxMs: 10 }", "worker.backoffBaseMs must be at most worker.backoffMaxMs, 10; got 1000"],
  [
    "scheduler: { leaseMs: 1000, sendWithinMs: 2000 }",
    "scheduler.sendWithinMs must be at most scheduler.leaseMs, 1000; got 2000",
  ],
  ["timeouts: { totalMs: 100 }", "timeouts.firstByteMs must be at most timeouts.totalMs, 100; got 60000"],
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

test("a key in the place of its variable's name is not shown", async () => {
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
  [
    { SLUICE_DEFAULT_MODEL: "gpt" },
    'SLUICE_DEFAULT_MODEL must be one of the models llama3-3-70b, nova-2-lite; got "gpt"',
  ],
  [{ SLUICE_PROVIDER: "openai" }, 'SLUICE_PROVIDER must be one of bedrock, simulator; got "openai"'],
  [
    { AWS_ENDPOINT_URL_BEDROCK_RUNTIME: "localhost:9000" },
    'AWS_ENDPOINT_URL_BEDROCK_RUNTIME must be an http:// or https:// address without a user name, such as http://127.0.0.1:9000; got "localhost:9000"',
  ],
  [{ AWS_ENDPOINT_URL: "http://:x" }, 'such as http://127.0.0.1:9000; got "http://***"'],
  [{ SLUICE_AUTH: "no" }, 'SLUICE_AUTH must be one of keys, off; got "no"'],
  [
    { SLUICE_CONFIG: "missing.yaml" },
    /^The configuration file .*missing\.yaml \(SLUICE_CONFIG\) cannot be read: ENOENT\.$/,
  ],
])("environment %j", async (env, mistake) => {
  const message = await mistakesIn({ env: env as Record<string, string> });
  if (mistake instanceof RegExp) expect(message).toMatch(mistake);
  else expect(message).toContain(mistake);
});

test("the message names a command-line argument", async () => {
  expect(await mistakesIn({ env: { PORT: "1" }, args: { port: "x" } })).toContain(
    '--port must be an integer between 0 and 65535; got "x"',
  );
});

test("a file of more than a megabyte is not parsed", async () => {
  expect(await mistakesIn({ yaml: `# ${"x".repeat(1024 * 1024)}` })).toContain(
    "must have at most 1048576 bytes; got 1048578",
  );
});

test("any file gives settings or a ConfigError", async () => {
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

test("the nearest name is found, and none if nothing is near", () => {
  const names = ["maxOutputTokens", "maxOutputTokensLimit", "region"];
  expect(nearest("maxoutputtoken", names)).toBe("maxOutputTokens");
  expect(nearest("regoin", names)).toBe("region");
  expect(nearest("endpoint", names)).toBeUndefined();
  expect(nearest("x".repeat(100_000), names)).toBeUndefined();
});

test("the cases above start from something valid", async () => {
  await expect(load({ yaml: quotas("unit: requests, per: minute, limit: 3") })).resolves.toBeDefined();
});
