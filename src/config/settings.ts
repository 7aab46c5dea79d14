// The shape of a validated configuration, as the rest of the program receives it. The file load.ts reads, checks and
// completes it. The file sluice.example.yaml documents each key for operators.
import type { Priority } from "../domain/job.ts";
import type { QuotaUnit } from "../scheduler/scheduler-configuration.ts";
import type { ModelTraits } from "./model-traits.ts";

/** A validated configuration. */
export interface Settings {
  /** Where the configuration came from: a file's path, or `defaults`. */
  source: string;
  /** Address to listen on. */
  host: string;
  /** Port to listen on; 0 picks a free one. */
  port: number;
  /** Addresses and networks of proxies whose X-Forwarded-For names the client, such as 10.0.0.0/8. Default: none. */
  trustedProxies: string[];
  /** Folder with the SQLite files. */
  dataDir: string;
  logLevel: "trace" | "debug" | "info" | "warn" | "error" | "silent";
  /** Model for jobs that name none. */
  defaultModel: string;
  /** Models by alias. */
  models: Record<string, ModelSettings>;
  /** Environments by name, such as UAT. */
  environments: Record<string, EnvironmentSettings>;
  /** Weights of the fair shares between priorities. */
  priorityWeights: Record<Priority, number>;
  /** Weights of the fair shares between tenants, by name. 1 for a tenant without an entry. */
  tenantWeights: Record<string, number>;
  /** Regions whose deployments may serve a tenant, by its name. A tenant without an entry may use any Region. */
  tenantRegions: Record<string, string[]>;
  limits: LimitSettings;
  worker: WorkerSettings;
  scheduler: SchedulerSettings;
  timeouts: TimeoutSettings;
  redis: RedisSettings;
  webhooks: WebhookSettings;
  tracing: TracingSettings;
  metrics: MetricsSettings;
  /** Secret that a program sends to read the metrics. Absent: see http/hooks/metrics-access.ts. */
  metricsKey?: string | undefined;
  retention: RetentionSettings;
  /** What this process does: everything, HTTP only, or running jobs only. The last two need `distributed`. */
  role: "all" | "api" | "worker";
  /** Environments whose jobs this process runs. */
  runs: string[];
  /** Addresses of the shared record and queue. If absent, SQLite and memory in this process. */
  distributed?: { mongoUrl: string; redisUrl: string };
  /** `off`: no request needs an API key, not even from the network. */
  authentication: "keys" | "off";
  /** Whether the service serves its dashboard at /ui/. */
  dashboard: boolean;
  /** Address under which browsers reach the service. Absent: they see the path that a proxy's prefix header names. */
  publicUrl?: string;
  /** Whether the built-in simulator answers instead of Bedrock. Its text is synthetic. */
  simulator: boolean;
}

/** A model, as callers name it by its alias. */
export interface ModelSettings {
  /** `max_tokens` of jobs that name none. */
  maxOutputTokens: number;
  /** Highest `max_tokens` that a job may ask for. */
  maxOutputTokensLimit: number;
  /** Longest input and output together, in tokens. */
  contextTokens: number;
  /**
   * Factor for estimated tokens of models whose tokenizer produces more tokens than cl100k. Used until enough calls
   * have shown what the provider counts.
   */
  tokenFactor: number;
  /** Alias to suggest when the provider refuses this model because it is Legacy or not accessible. */
  alternative?: string;
  /**
   * Aliases that may answer, in this order, while no deployment of this model is in service. A job's own list replaces
   * it.
   */
  fallbackModels: string[];
  /** How a deployment is chosen: by the most headroom in its quotas, or in the configured order. */
  choice: "headroom" | "order";
  deployments: DeploymentSettings[];
}

/** One place that serves a model, with its own quotas. */
export interface DeploymentSettings {
  /**
   * `bedrock/{region}/{modelId}`, or `bedrock/{region}@{account}/{modelId}` for a deployment with its own account, or
   * `openai/{host or name}/{modelId}`. `simulator` replaces the provider if the text is synthetic.
   */
  id: string;
  provider: "bedrock" | "openai";
  /** Region that a job's `regions` are compared with. With provider `openai` it is a label. */
  region: string;
  modelId: string;
  /**
   * ID of the foundation model behind `modelId`, without an ARN and the prefix of an inference profile. Native requests
   * for this model run here. Set if and only if the provider is `bedrock`.
   */
  baseModel?: string;
  account?: AccountSettings;
  /** Name of the model in Service Quotas, if it cannot be derived from the ID. */
  listedAs?: string;
  /** Address that replaces Bedrock's own. */
  endpoint?: string;
  /** Set if and only if the provider is `openai`. */
  openai?: OpenAiSettings;
  /** Maximum number of calls at a time. */
  maxConcurrency: number;
  /** Whether the model can stream. If not, Converse is used instead of ConverseStream. */
  streaming: boolean;
  /** Quota tokens charged per output token when a call is settled. */
  outputBurndown: number;
  /** Longest answer of the deployment's model, in tokens. A native request without a limit reserves it. */
  maxOutputTokens: number;
  /** What else is known about the model. */
  traits: ModelTraits;
  quotas: QuotaSettings[];
}

/** How an OpenAI-compatible server is called. */
export interface OpenAiSettings {
  /** Address with the version, such as http://127.0.0.1:11434/v1. */
  baseUrl: string;
  /** Environment variable that holds the key. If absent, no key is sent. */
  apiKeyEnv?: string;
  /** The server's name for the limit of output tokens. */
  maxTokensField: "max_tokens" | "max_completion_tokens";
}

/** Credentials that a deployment is called with, if they differ from those of the process. */
export interface AccountSettings {
  /** Tells deployments of the same model in the same Region apart. It is part of their ids. */
  label: string;
  /** Profile in the files of the AWS SDK. */
  profile?: string;
  /** Role to assume, with the credentials of the profile, or else of the process. */
  roleArn?: string;
  /** External id that the role's trust policy may require. */
  externalId?: string;
}

/** A quota of one or several deployments. */
export interface QuotaSettings {
  /** Unique name. Quotas with the same explicit name are one quota. */
  name: string;
  unit: QuotaUnit;
  per: "minute" | "day";
  /** Limit per period. While an `auto` limit is unknown, this is its fallback. */
  limit: number;
  /** Set if the configuration says `limit: auto`. The limit is then the one that Service Quotas lists. */
  auto?: AutoLimit;
  /** See QuotaConfig. Default: the limit for requests, a tenth of it for tokens. */
  burst: number;
  /** Hour at which a quota per day starts again, 0 to 23 in UTC. Absent: the quota is a sliding day. */
  resetHourUtc?: number;
}

/** How to set a limit that AWS lists. */
export interface AutoLimit {
  /** Key for messages, such as `models.x.deployments[0].quotas[1]`. */
  key: string;
  /** Limit that applies if AWS lists none now and listed none before. */
  fallback?: number;
  /** Whether `burst` follows the limit, because the configuration sets none. */
  defaultBurst: boolean;
}

/** An environment, such as UAT or PROD. */
export interface EnvironmentSettings {
  /** Name of the environment's database. */
  database: string;
  weight: number;
}

/** Limits on what the service accepts. */
export interface LimitSettings {
  /** Maximum size of a request body, and of a line of a batch. `/enqueue` takes less; see `promptBodyBytes`. */
  maxRequestBytes: number;
  /** Maximum size of one job's prompt, system text and messages together, in UTF-8. Native requests do not have it. */
  maxPromptBytes: number;
  /** Maximum size of one job's images and documents together. They do not count as prompt. */
  maxMediaBytes: number;
  /** Maximum size of an answer to a native request, as the provider sends it. Other answers may have 4 MiB. */
  maxAnswerBytes: number;
  /** Maximum size of one uploaded file. */
  maxFileBytes: number;
  /** Maximum size of all files of one tenant: uploads, and results of batches. */
  maxTenantFileBytes: number;
  /** Time after which an uploaded file that no batch has read is deleted, in seconds. */
  unusedFileExpiresInS: number;
  /** Maximum number of requests in the file of one batch. Each may be as long as a request body. */
  maxBatchLines: number;
  /** Maximum time that `?wait=` may hold a request, in seconds. */
  maxWaitS: number;
  /** Maximum time that a chat completion may wait for its answer, in seconds. */
  maxChatWaitS: number;
  /** How long a synchronous call's job stays queued after its caller disconnected, if the caller can return. Seconds. */
  callerGraceS: number;
  /** Maximum number of waiting jobs over all API keys. More are refused. */
  maxQueuedJobs: number;
  /** Free space that the disk of the data folder must have. With less, no job is accepted. Ignored with MongoDB. */
  minFreeDiskBytes: number;
  /** The longest deadline of a job. */
  /** Longest deadline of a job, in seconds. */
  maxExpiresInS: number;
}

/**
 * Returns the maximum size of a body that has only a prompt and its parameters: four times the longest prompt, because
 * JSON escapes make it longer.
 */
export function promptBodyBytes({ maxRequestBytes, maxPromptBytes }: LimitSettings): number {
  return Math.min(maxRequestBytes, 4 * Math.max(maxPromptBytes, 16 * 1024));
}

/** How a process runs jobs. */
export interface WorkerSettings {
  /** Maximum number of calls that one process runs at a time. */
  concurrency: number;
  /** Number of failed tries after which a job fails. */
  maxFailedTries: number;
  /** First delay of the exponential backoff between failed tries, in milliseconds. */
  backoffBaseMs: number;
  /** Longest delay of the backoff, in milliseconds. */
  backoffMaxMs: number;
  /** How long SIGTERM waits for running calls before it aborts and requeues them, in milliseconds. */
  drainMs: number;
}

/** How jobs are granted to workers. */
export interface SchedulerSettings {
  /** How long a worker holds a job without renewing its lease, in milliseconds. */
  leaseMs: number;
  /** See SchedulerConfig. Milliseconds. */
  sendWithinMs: number;
  /** See SchedulerConfig. Milliseconds. */
  networkJitterMs: number;
  /** How long jobs wait for a model or quota that a configuration change removed, in milliseconds. */
  missingModelWaitMs: number;
}

/** What spans contain. Whether there are any is decided by the standard variables of OpenTelemetry. */
export interface TracingSettings {
  /** Whether spans contain prompts and answers. */
  content: boolean;
}

/** Where webhooks may be sent. */
export interface WebhookSettings {
  /** Networks that webhooks may be sent to although they are not public, such as 10.0.0.0/8. */
  allowPrivateNetworks: string[];
}

/** What is measured, and where programs such as Prometheus read it. */
export interface MetricsSettings {
  /** Whether anything is measured and served. */
  enabled: boolean;
  /** Address of the listener for metrics. Used only with `port`. */
  host: string;
  /** Port of the listener for metrics; 0 picks a free one. Absent: the HTTP API serves them. */
  port?: number;
  /** Maximum number of tenants that have metrics of their own. With 0, no tenant is named. */
  tenants: number;
}

/** What Redis is used for besides the queue. Ignored without Redis. */
export interface RedisSettings {
  /** State of jobs for programs that read it in Redis: hashes `job:<uuid>`. */
  jobHashes: {
    /**
     * Whether a job has a hash from its submit on, with its prompt. If not, it has one from its first call on, without
     * its prompt.
     */
    prompt: boolean;
    /** How long a hash remains after the job's last change of state, in seconds. 0: no hash is written. */
    ttlSeconds: number;
  };
}

/** What is removed by its age. */
export const retentionKinds = ["texts", "jobs", "attempts", "files", "deliveries", "usage"] as const;
export type RetentionKind = (typeof retentionKinds)[number];

/** Milliseconds after which something is removed, or `keep`. */
export type Age = number | "keep";

/** Ages of one environment or tenant. The file retention-policy.ts says how they limit each other. */
export interface RetentionAges extends Record<RetentionKind, Age | "none"> {
  /** Prompts and answers, since the end of their job. `none`: until they were read completely, at most a day. */
  texts: Age | "none";
  /** Records of jobs and batches, since their end. */
  jobs: Age;
  /** Attempts, since their charge. */
  attempts: Age;
  /** Uploaded files and results of batches, since their creation. */
  files: Age;
  /** Records of webhook deliveries, since their creation. */
  deliveries: Age;
  /** Sums of usage, since their day. */
  usage: Age;
}

/** How long data is kept. */
export interface RetentionSettings {
  ages: RetentionAges;
  /** Ages of environments, by name. They replace those above, kind by kind. */
  environments: Record<string, Partial<RetentionAges>>;
  /** Ages of tenants, by name. They replace both above. */
  tenants: Record<string, Partial<RetentionAges>>;
  /** Folder to which jobs are written before they are erased or removed. Absent: none. */
  archive?: string;
  /** Size of the store above which the start warns if everything is kept. */
  warnAboveBytes: number;
}

/** Timeouts of one call to a provider, in milliseconds. */
export interface TimeoutSettings {
  /** Until the connection is established. */
  connectMs: number;
  /** From sending the request to the first event. */
  firstByteMs: number;
  /** Between two events. */
  idleMs: number;
  /** The whole call. */
  totalMs: number;
}
