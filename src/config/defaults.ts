// Values that apply when neither the environment nor a configuration file sets others.
import { defaultMaxFailedTries } from "../domain/attempts.ts";
import type { FileSettings } from "./config-schema.ts";
import type {
  LimitSettings,
  MetricsSettings,
  RedisSettings,
  SchedulerSettings,
  Settings,
  TimeoutSettings,
  WorkerSettings,
} from "./settings.ts";

export const defaultServer: Pick<Settings, "host" | "port" | "dataDir" | "logLevel"> = {
  host: "127.0.0.1",
  port: 8000,
  dataDir: "data",
  logLevel: "info",
};

/**
 * The default models. Llama 3.3 70B is Legacy on Bedrock (end of life 2027-03-30) and closed to accounts that have not
 * used it. So a current model is included as its alternative. Llama's quotas are a tenth of what AWS publishes for an
 * established account, which is what new accounts get.
 */
export const defaultModels = {
  "llama3-3-70b": {
    maxOutputTokens: 2048,
    alternative: "nova-2-lite",
    deployments: [
      {
        provider: "bedrock",
        region: "us-east-1",
        modelId: "us.meta.llama3-3-70b-instruct-v1:0",
        maxConcurrency: 50,
        quotas: [
          { unit: "requests", per: "minute", limit: 3 },
          { unit: "tokens", per: "minute", limit: 600_000 },
        ],
      },
    ],
  },
  "nova-2-lite": {
    maxOutputTokens: 2048,
    deployments: [
      {
        provider: "bedrock",
        region: "us-east-1",
        modelId: "us.amazon.nova-2-lite-v1:0",
        maxConcurrency: 50,
        quotas: [
          { unit: "requests", per: "minute", limit: 200 },
          { unit: "tokens", per: "minute", limit: 400_000 },
        ],
      },
    ],
  },
} satisfies NonNullable<FileSettings["models"]>;

export const defaultModel = "llama3-3-70b" satisfies keyof typeof defaultModels;

export const defaultEnvironments = {
  UAT: { database: "SSP-dev", weight: 1 },
  PROD: { database: "SSP-prod", weight: 4 },
} satisfies NonNullable<FileSettings["environments"]>;

export const defaultPriorityWeights: Settings["priorityWeights"] = { interactive: 16, standard: 4, batch: 1 };

/**
 * Used for a model that sets none. Enough for most answers, and small enough not to reserve quota that is never used.
 */
export const defaultMaxOutputTokens = 2048;
/** Default number of calls that a deployment runs at a time. */
export const defaultMaxConcurrency = 50;

export const defaultLimits: LimitSettings = {
  // A body of Bedrock may have 25,000,000 bytes, and POST /v1/jobs and lines of batches put it into another.
  maxRequestBytes: 25 * 1024 * 1024,
  maxPromptBytes: 1024 * 1024,
  maxMediaBytes: 20 * 1024 * 1024,
  maxAnswerBytes: 25 * 1024 * 1024,
  maxFileBytes: 1024 * 1024 * 1024,
  maxTenantFileBytes: 10 * 1024 * 1024 * 1024,
  unusedFileExpiresInS: 7 * 24 * 3600,
  maxBatchLines: 1_000_000,
  maxWaitS: 60,
  maxChatWaitS: 600,
  callerGraceS: 60,
  maxQueuedJobs: 10_000_000,
  minFreeDiskBytes: 256 * 1024 * 1024,
  maxExpiresInS: 14 * 24 * 3600,
};

/** Highest default of `worker.concurrency`, which is the sum of what the deployments allow. */
export const defaultConcurrencyCap = 512;

export const defaultWorker: Omit<WorkerSettings, "concurrency"> = {
  maxFailedTries: defaultMaxFailedTries,
  backoffBaseMs: 1000,
  backoffMaxMs: 60_000,
  drainMs: 20_000,
};

export const defaultScheduler: SchedulerSettings = {
  leaseMs: 30_000,
  sendWithinMs: 500,
  networkJitterMs: 300,
  missingModelWaitMs: 60 * 60_000,
};

export const defaultTimeouts: TimeoutSettings = {
  connectMs: 5000,
  firstByteMs: 60_000,
  idleMs: 60_000,
  totalMs: 600_000,
};

export const defaultMetrics: MetricsSettings = { enabled: true, host: "127.0.0.1", tenants: 0 };

export const defaultJobHashes: RedisSettings["jobHashes"] = { prompt: false, ttlSeconds: 24 * 3600 };
