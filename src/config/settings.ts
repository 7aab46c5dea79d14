// The shape of a validated configuration: what the rest of the program is given. How it is read, checked and defaulted
// is in load.ts; how it is written by an operator is documented key by key in sluice.example.yaml.
import type { Priority } from "../domain/job.ts";
import type { QuotaUnit } from "../scheduler/scheduler-configuration.ts";
import type { ModelTraits } from "./model-traits.ts";

export interface Settings {
  /** Where the configuration came from: a file's path, or `defaults`. */
  source: string;
  host: string;
  port: number;
  /** The folder with the SQLite files. */
  dataDir: string;
  logLevel: "trace" | "debug" | "info" | "warn" | "error" | "silent";
  /** Used by jobs that name no model. */
  defaultModel: string;
  /** By alias. */
  models: Record<string, ModelSettings>;
  /** By name, such as UAT. */
  environments: Record<string, EnvironmentSettings>;
  /** Weights of the fair shares between priorities, and between tenants by name (1 where missing). */
  priorityWeights: Record<Priority, number>;
  tenantWeights: Record<string, number>;
  /** Regions whose deployments may serve a tenant, by its name; any where missing. */
  tenantRegions: Record<string, string[]>;
  limits: LimitSettings;
  worker: WorkerSettings;
  scheduler: SchedulerSettings;
  timeouts: TimeoutSettings;
  redis: RedisSettings;
  webhooks: WebhookSettings;
  /** What this process does: everything, HTTP only, or running jobs only. The last two need `distributed`. */
  role: "all" | "api" | "worker";
  /** Environments whose jobs this process runs. */
  runs: string[];
  /** Where record and queue are shared with other processes; absent: SQLite and memory, in this process alone. */
  distributed?: { mongoUrl: string; redisUrl: string };
  /** `off`: nobody needs an API key, also on the network. */
  authentication: "keys" | "off";
  /** Set if the built-in simulator answers instead of Bedrock: the text is synthetic. */
  simulator: boolean;
}

export interface ModelSettings {
  /** Sent as max_tokens when a job names none. */
  maxOutputTokens: number;
  /** What a job may ask for at most. */
  maxOutputTokensLimit: number;
  /** Input and output together. */
  contextTokens: number;
  /**
   * An estimate of tokens is multiplied by this for models whose tokenizer makes more of a text than cl100k does, until
   * enough calls have shown what the provider counts.
   */
  tokenFactor: number;
  /** An alias to suggest when the provider refuses this model because it is Legacy or not accessible. */
  alternative?: string;
  /** Aliases that may answer, in this order, while no deployment of this model is in service; unless the job names its own. */
  fallbackModels: string[];
  choice: "headroom" | "order";
  deployments: DeploymentSettings[];
}

export interface DeploymentSettings {
  /**
   * `bedrock/{region}/{modelId}`, or `bedrock/{region}@{account}/{modelId}` for one with an account of its own, or
   * `openai/{host or name}/{modelId}`; `simulator` in place of the provider if the text is synthetic.
   */
  id: string;
  provider: "bedrock" | "openai";
  /** What a job's `regions` are compared with; with `openai` a label. */
  region: string;
  modelId: string;
  account?: AccountSettings;
  /** What Service Quotas calls the model, if that is not to be found out from the ID. */
  listedAs?: string;
  /** Replaces Bedrock's own address. */
  endpoint?: string;
  /** With provider `openai`, and only then. */
  openai?: OpenAiSettings;
  maxConcurrency: number;
  /** Whether the model can stream; if not, Converse is used in place of ConverseStream. */
  streaming: boolean;
  outputBurndown: number;
  /** What else is known of its model. */
  traits: ModelTraits;
  quotas: QuotaSettings[];
}

/** How an OpenAI-compatible server is called. */
export interface OpenAiSettings {
  /** With the version, as in http://127.0.0.1:11434/v1. */
  baseUrl: string;
  /** The environment variable that holds the key; absent: no key is sent. */
  apiKeyEnv?: string;
  /** What the server calls the limit of output tokens. */
  maxTokensField: "max_tokens" | "max_completion_tokens";
}

/** Whose credentials a deployment is called with, where those are not the ones that the process has anyway. */
export interface AccountSettings {
  /** Tells deployments of the same model in the same Region apart: stands in their ids. */
  label: string;
  /** A profile in the files of the AWS SDK. */
  profile?: string;
  /** A role to assume, with the credentials of the profile or else of the process. */
  roleArn?: string;
  /** What the role's trust policy may ask for. */
  externalId?: string;
}

export interface QuotaSettings {
  /** Unique; quotas with the same explicit name are one and the same. */
  name: string;
  unit: QuotaUnit;
  per: "minute" | "day";
  /** Until it is read, the fallback of a limit that is `auto`. */
  limit: number;
  /** Set if the configuration says `limit: auto`: the limit is the one that Service Quotas lists. */
  auto?: AutoLimit;
  /** See QuotaConfig. By default the limit for requests, a tenth of it for tokens. */
  burst: number;
  resetHourUtc?: number;
}

export interface AutoLimit {
  /** The key, for messages: `models.x.deployments[0].quotas[1]`. */
  key: string;
  /** Counts if nothing is listed and nothing was in the past. */
  fallback?: number;
  /** Whether `burst` follows the limit, because the configuration does not say. */
  defaultBurst: boolean;
}

export interface EnvironmentSettings {
  database: string;
  weight: number;
}

export interface LimitSettings {
  /** Of a request body. */
  maxRequestBytes: number;
  /** Of one job's prompt, system text and messages together, in UTF-8. */
  maxPromptBytes: number;
  /** Of one uploaded file. */
  maxFileBytes: number;
  /** Of all files of one tenant: uploads, and results of batches. */
  maxTenantFileBytes: number;
  /** After this long, in seconds, an uploaded file is deleted that no batch has read. */
  unusedFileExpiresInS: number;
  /** Requests in the file of one batch. Each may be as long as the body of a request. */
  maxBatchLines: number;
  /** How long `?wait=` may hold an answer. */
  maxWaitS: number;
  /** How long a chat completion may wait for its answer. */
  maxChatWaitS: number;
  /** How long the job of a held call stays queued after its caller disconnected, if the caller can come back. Seconds. */
  callerGraceS: number;
  /** Jobs that may wait at a time, over all keys; more are refused. */
  maxQueuedJobs: number;
  /** On the disk of the data folder; with less no job is taken. Not used where the record is in MongoDB. */
  minFreeDiskBytes: number;
  /** The longest deadline of a job. */
  maxExpiresInS: number;
}

export interface WorkerSettings {
  /** Calls that one process runs at a time. */
  concurrency: number;
  maxFailedTries: number;
  /** Of the exponential backoff between failed tries. */
  backoffBaseMs: number;
  backoffMaxMs: number;
  /** How long SIGTERM waits for running calls before they are aborted and handed back. */
  drainMs: number;
}

export interface SchedulerSettings {
  leaseMs: number;
  sendWithinMs: number;
  networkJitterMs: number;
  /** How long jobs wait for a model or a quota that a change of the configuration took from them. */
  missingModelWaitMs: number;
}

export interface WebhookSettings {
  /** Networks that webhooks may be sent to although they are not public, such as 10.0.0.0/8. */
  allowPrivateNetworks: string[];
}

/** What Redis is used for besides the queue; only where there is one. */
export interface RedisSettings {
  /** The state of jobs for those who look there: hashes `job:<uuid>`. */
  jobHashes: {
    /** Whether jobs have a hash from their submit on, with their prompt. If not, from their first call on, without. */
    prompt: boolean;
    /** How long a hash stays after the last change of its job's state, in seconds. 0: none is written. */
    ttlSeconds: number;
  };
}

/** Of one call to a provider. */
export interface TimeoutSettings {
  connectMs: number;
  /** From sending to the first event. */
  firstByteMs: number;
  /** Between two events. */
  idleMs: number;
  totalMs: number;
}
