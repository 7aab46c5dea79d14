// The form of the configuration file: its keys, their types and ranges. The files settings.ts and sluice.example.yaml
// say what each key means. The file resolve.ts checks the rules between keys.
import Type, { type Static, type TSchema } from "typebox";
import { type DocumentFormat, documentTypes } from "../domain/media.ts";
import { endpointForm } from "./endpoints.ts";
import {
  embeddingBodies,
  extraParameters,
  pastReasonings,
  prefills,
  refusable,
  schemaDrafts,
  serviceTiers,
  thinkings,
} from "./model-traits.ts";

/** Declares an object that refuses unknown keys. A key is required unless its type is optional. */
function section<P extends Record<string, TSchema>>(properties: P) {
  return Type.Object(properties, { additionalProperties: false });
}

/** Declares a map whose keys the operator chooses. `allowed` describes the pattern in words. */
function named<S extends TSchema>(pattern: string, allowed: string, value: S) {
  return Type.Record(Type.String({ pattern }), value, { additionalProperties: false, minProperties: 1, allowed });
}

const integer = (minimum: number, maximum: number) => Type.Optional(Type.Integer({ minimum, maximum }));
const weight = Type.Number({ exclusiveMinimum: 0, maximum: 1_000_000 });

const seconds = 1000;
const hours = 3_600_000;
const megabytes = 1024 * 1024;
/** Far above any existing quota or context, and exact in a double even when a day's worth is added up. */
const manyTokens = 1_000_000_000_000;

const region = Type.String({ pattern: "^[a-z]{2,}(-[a-z]+)+-\\d+$", allowed: "an AWS Region such as us-east-1" });

const quota = section({
  unit: Type.Enum(["tokens", "input_tokens", "output_tokens", "requests"]),
  per: Type.Enum(["minute", "day"]),
  limit: Type.Union([Type.Literal("auto"), Type.Integer({ minimum: 1, maximum: manyTokens })], {
    allowed: `auto, or a whole number from 1 to ${manyTokens}`,
  }),
  fallback: integer(1, manyTokens),
  burst: integer(1, manyTokens),
  name: Type.Optional(Type.String({ pattern: "^\\S.{0,199}$", allowed: "text of 1 to 200 characters" })),
  resetHourUtc: integer(0, 23),
});

/** Keys of deployments with `provider: openai`; see openai-deployment.ts. */
const openAiKeys = {
  baseUrl: Type.Optional(
    Type.String({
      pattern: "^https?://[^\\s@/?#]+(/[^\\s?#]*)?$",
      allowed: "an http:// or https:// address without a user name, such as http://127.0.0.1:11434/v1",
    }),
  ),
  apiKeyEnv: Type.Optional(
    Type.String({
      pattern: "^[A-Za-z_][A-Za-z0-9_]{0,127}$",
      allowed: "the name of the environment variable that holds the key, such as OPENAI_API_KEY; never the key itself",
      secret: true,
    }),
  ),
  name: Type.Optional(
    Type.String({
      pattern: "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
      allowed: "a name of letters, digits, . _ and - that begins with a letter or digit",
    }),
  ),
  maxTokensField: Type.Optional(Type.Enum(["max_tokens", "max_completion_tokens"])),
};

const deployment = section({
  provider: Type.Optional(Type.Enum(["bedrock", "openai"])),
  region: Type.Optional(
    Type.String({
      pattern: "^[a-z0-9][a-z0-9-]{0,62}$",
      allowed: "an AWS Region such as us-east-1, or a label like it",
    }),
  ),
  modelId: Type.String({
    pattern: "^[A-Za-z0-9._:/@-]{1,2048}$",
    allowed: "a Bedrock model ID, inference profile ID or ARN, or with provider: openai the server's name of the model",
  }),
  baseModel: Type.Optional(
    Type.String({
      pattern: "^[A-Za-z0-9._:-]{1,256}$",
      allowed: "the ID of a foundation model, such as anthropic.claude-sonnet-4-6",
    }),
  ),
  profile: Type.Optional(
    Type.String({ pattern: "^[^\\s\\[\\]]{1,128}$", allowed: "the name of a profile in ~/.aws, without spaces" }),
  ),
  roleArn: Type.Optional(
    Type.String({
      pattern: "^arn:aws[a-z-]*:iam::\\d{12}:role/[A-Za-z0-9+=,.@_/-]{1,512}$",
      allowed: "the ARN of an IAM role, such as arn:aws:iam::123456789012:role/bedrock-caller",
    }),
  ),
  externalId: Type.Optional(
    Type.String({
      pattern: "^[A-Za-z0-9+=,.@:/_-]{2,1224}$",
      allowed: "2 to 1224 letters, digits and + = , . @ : / _ -",
    }),
  ),
  account: Type.Optional(
    Type.String({
      pattern: "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
      allowed: "a name of letters, digits and . _ - (at most 64)",
    }),
  ),
  listedAs: Type.Optional(Type.String({ pattern: "^\\S.{0,199}$", allowed: "a model's name in Service Quotas" })),
  endpoint: Type.Optional(
    Type.String({
      ...endpointForm,
    }),
  ),
  ...openAiKeys,
  maxConcurrency: integer(1, 10_000),
  streaming: Type.Optional(Type.Boolean()),
  outputBurndown: Type.Optional(Type.Number({ minimum: 1, maximum: 1000 })),
  quotas: Type.Optional(Type.Array(quota, { maxItems: 20 })),
});

const model = section({
  maxOutputTokens: integer(1, manyTokens),
  maxOutputTokensLimit: integer(1, manyTokens),
  contextTokens: integer(1, manyTokens),
  tokenFactor: Type.Optional(Type.Number({ minimum: 0.1, maximum: 10 })),
  alternative: Type.Optional(Type.String()),
  fallbackModels: Type.Optional(Type.Array(Type.String(), { maxItems: 8 })),
  choice: Type.Optional(Type.Enum(["headroom", "order"])),
  deployments: Type.Array(deployment, { minItems: 1, maxItems: 100 }),
});

const tenant = section({
  weight: Type.Optional(weight),
  regions: Type.Optional(Type.Array(region, { minItems: 1, maxItems: 64 })),
});

const environment = section({
  database: Type.String({
    pattern: "^[A-Za-z0-9][A-Za-z0-9_-]{0,59}$",
    allowed: "a name of letters, digits, - and _ (at most 60)",
  }),
  weight: Type.Optional(weight),
});

const age = Type.Optional(
  Type.String({
    pattern: "^(keep|[1-9]\\d{0,4}[hd])$",
    allowed: "keep, or a number of hours or days such as 12h or 30d",
  }),
);

/** Ages of data; see RetentionAges. */
const ages = {
  texts: Type.Optional(
    Type.String({
      pattern: "^(keep|none|[1-9]\\d{0,4}[hd])$",
      allowed: "keep, none, or a number of hours or days such as 12h or 30d",
    }),
  ),
  jobs: age,
  attempts: age,
  files: age,
  deliveries: age,
  usage: age,
};

const flag = Type.Optional(Type.Boolean());
const usd = Type.Optional(Type.Number({ minimum: 0, maximum: 1_000_000 }));
const day = Type.Optional(
  Type.String({
    pattern: "^\\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\\d|3[01])$",
    allowed: "a day such as 2027-03-30",
  }),
);
const fieldPath = Type.Optional(
  Type.String({ pattern: "^\\w{1,64}(\\.\\w{1,64}){0,4}$", allowed: "a path of names such as inferenceConfig.topK" }),
);

const documentFormats = Object.keys(documentTypes) as DocumentFormat[];

/** A row of `catalogue`; see ModelRow. */
const catalogueRow = section({
  contextTokens: integer(1, manyTokens),
  maxOutputTokens: integer(1, manyTokens),
  tokenFactor: Type.Optional(Type.Number({ minimum: 0.1, maximum: 10 })),
  outputBurndown: Type.Optional(Type.Number({ minimum: 1, maximum: 1000 })),
  streaming: flag,
  tools: flag,
  streamingTools: flag,
  rootComposition: flag,
  schemaDraft: Type.Optional(Type.Enum([...schemaDrafts])),
  toolCallIdLength: integer(1, 64),
  systemPrompts: flag,
  prefill: Type.Optional(Type.Enum([...prefills])),
  maxTopK: integer(1, 10_000),
  reasoningEfforts: Type.Optional(
    Type.Array(Type.String({ minLength: 1, maxLength: 64 }), { minItems: 1, maxItems: 20 }),
  ),
  jsonSchema: flag,
  jsonObject: flag,
  images: flag,
  imageTokens: integer(1, manyTokens),
  documents: Type.Optional(Type.Array(Type.Enum(documentFormats), { maxItems: documentFormats.length })),
  pastReasoning: Type.Optional(Type.Enum([...pastReasonings])),
  thinking: Type.Optional(Type.Enum([...thinkings])),
  embeddings: Type.Optional(
    section({
      body: Type.Optional(Type.Enum([...embeddingBodies])),
      textsPerCall: integer(1, 2048),
      dimensions: Type.Optional(
        Type.Array(Type.Integer({ minimum: 1, maximum: 100_000 }), { minItems: 1, maxItems: 20 }),
      ),
      textTokens: integer(1, manyTokens),
      textCharacters: integer(1, manyTokens),
      inputTypes: Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 64 }), { maxItems: 20 })),
    }),
  ),
  guardrails: flag,
  promptCache: Type.Optional(Type.Enum(["none", "5m", "1h"])),
  toolCache: flag,
  refuses: Type.Optional(Type.Array(Type.Enum([...refusable]), { maxItems: refusable.length })),
  fields: Type.Optional(
    section(
      Object.fromEntries(extraParameters.map((name) => [name, fieldPath])) as Record<
        (typeof extraParameters)[number],
        typeof fieldPath
      >,
    ),
  ),
  serviceTiers: Type.Optional(Type.Array(Type.Enum([...serviceTiers]), { minItems: 1, maxItems: 3 })),
  prices: Type.Optional(
    section({
      input: usd,
      output: usd,
      cacheRead: usd,
      cacheWrite: usd,
      cacheWriteHour: usd,
      priorityFactor: usd,
      flexFactor: usd,
    }),
  ),
  regions: Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 64 }), { minItems: 1, maxItems: 100 })),
  legacySince: day,
  endOfLife: day,
});

/** A list of networks; resolve.ts checks each. */
const networks = Type.Optional(Type.Array(Type.String({ maxLength: 100 }), { maxItems: 100 }));

const address = Type.String({ pattern: "^[A-Za-z0-9.:_-]{1,253}$", allowed: "an address or host name" });

/** Schema of the whole configuration file. */
export const fileSchema = section({
  host: Type.Optional(address),
  port: integer(0, 65_535),
  trustedProxies: networks,
  dataDir: Type.Optional(Type.String({ minLength: 1, maxLength: 4096 })),
  logLevel: Type.Optional(Type.Enum(["trace", "debug", "info", "warn", "error", "silent"])),
  defaultModel: Type.Optional(Type.String()),
  models: Type.Optional(
    named(
      "^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$",
      "names of letters, digits and . _ : / - that begin with a letter or digit",
      model,
    ),
  ),
  catalogue: Type.Optional(named("^[A-Za-z0-9._:/-]{1,2048}$", "model IDs, profile IDs or ARNs", catalogueRow)),
  environments: Type.Optional(
    named(
      "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$",
      "names of letters, digits, - and _ that begin with a letter or digit",
      environment,
    ),
  ),
  priorityWeights: Type.Optional(
    section({ interactive: Type.Optional(weight), standard: Type.Optional(weight), batch: Type.Optional(weight) }),
  ),
  tenantWeights: Type.Optional(named("^\\S.{0,199}$", "names of 1 to 200 characters", weight)),
  tenants: Type.Optional(named("^\\S.{0,199}$", "names of 1 to 200 characters", tenant)),
  limits: Type.Optional(
    section({
      maxRequestBytes: integer(1024, 64 * megabytes),
      maxPromptBytes: integer(1, 64 * megabytes),
      maxMediaBytes: integer(0, 64 * megabytes),
      maxAnswerBytes: integer(1024, 64 * megabytes),
      maxFileBytes: integer(1024, 1024 * 1024 * megabytes),
      maxTenantFileBytes: integer(1024, Number.MAX_SAFE_INTEGER),
      unusedFileExpiresInS: integer(3600, 10 * 365 * 24 * 3600),
      maxBatchLines: integer(1, 100_000_000),
      maxWaitS: integer(5, 600),
      maxChatWaitS: integer(1, 24 * 3600),
      callerGraceS: integer(0, 3600),
      maxQueuedJobs: integer(1, 1_000_000_000),
      minFreeDiskBytes: integer(0, Number.MAX_SAFE_INTEGER),
      maxExpiresInS: integer(1, 365 * 24 * 3600),
    }),
  ),
  worker: Type.Optional(
    section({
      concurrency: integer(1, 10_000),
      maxFailedTries: integer(1, 100),
      backoffBaseMs: integer(1, 600 * seconds),
      backoffMaxMs: integer(1, 24 * hours),
      drainMs: integer(0, hours),
    }),
  ),
  scheduler: Type.Optional(
    section({
      leaseMs: integer(1 * seconds, hours),
      sendWithinMs: integer(10, 60 * seconds),
      networkJitterMs: integer(0, 60 * seconds),
      missingModelWaitMs: integer(0, 7 * 24 * hours),
    }),
  ),
  timeouts: Type.Optional(
    section({
      connectMs: integer(1, 600 * seconds),
      firstByteMs: integer(1, hours),
      idleMs: integer(1, hours),
      totalMs: integer(1, 24 * hours),
    }),
  ),
  webhooks: Type.Optional(section({ allowPrivateNetworks: networks })),
  tracing: Type.Optional(section({ content: flag })),
  metrics: Type.Optional(
    section({
      enabled: flag,
      host: Type.Optional(address),
      port: integer(0, 65_535),
      tenants: integer(0, 1000),
    }),
  ),
  retention: Type.Optional(
    section({
      ...ages,
      environments: Type.Optional(named("^\\S.{0,63}$", "names of environments", section(ages))),
      tenants: Type.Optional(named("^\\S.{0,199}$", "names of 1 to 200 characters", section(ages))),
      archive: Type.Optional(Type.String({ minLength: 1, maxLength: 4096 })),
      warnAboveBytes: integer(1, Number.MAX_SAFE_INTEGER),
    }),
  ),
  redis: Type.Optional(
    section({
      jobHashes: Type.Optional(
        section({ prompt: Type.Optional(Type.Boolean()), ttlSeconds: integer(0, 365 * 24 * 3600) }),
      ),
    }),
  ),
});

export type FileSettings = Static<typeof fileSchema>;
export type FileModel = Static<typeof model>;
export type FileDeployment = Static<typeof deployment>;
export type FileQuota = Static<typeof quota>;
