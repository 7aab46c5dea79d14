// From a file of the right form to settings: fills in what it leaves out (defaults.ts, catalogue.ts) and checks what
// must hold between keys.
import { isDeepStrictEqual } from "node:util";
import { factsOf, type ModelFacts, type Overrides } from "./catalogue.ts";
import * as defaults from "./defaults.ts";
import { type ProviderPart, reportForeignKeys, resolveOpenAi } from "./openai-deployment.ts";
import { nearest, type Path, type Problem, type Report } from "./problems.ts";
import type { FileDeployment, FileModel, FileQuota, FileSettings } from "./schema.ts";
import type { DeploymentSettings, ModelSettings, QuotaSettings, Settings } from "./settings.ts";

/** What a file decides, all but where it lies and who answers. */
export type Resolved = Omit<Settings, "source" | "simulator" | "role" | "runs" | "distributed" | "authentication">;

export function resolve(file: FileSettings): { settings: Resolved; problems: Problem[] } {
  const problems: Problem[] = [];
  const report: Report = (path, text) => problems.push({ path, text });

  const models = resolveModels(file.models ?? defaults.defaultModels, file.catalogue ?? {}, report);
  const environments = record(
    Object.entries(file.environments ?? defaults.defaultEnvironments).map(([name, e]) => [
      name,
      { database: e.database, weight: e.weight ?? 1 },
    ]),
  );
  const concurrency = Object.values(models)
    .flatMap((model) => model.deployments)
    .reduce((sum, deployment) => sum + deployment.maxConcurrency, 0);
  const settings: Resolved = {
    host: file.host ?? defaults.defaultServer.host,
    port: file.port ?? defaults.defaultServer.port,
    dataDir: file.dataDir ?? defaults.defaultServer.dataDir,
    logLevel: file.logLevel ?? defaults.defaultServer.logLevel,
    defaultModel: file.defaultModel ?? (file.models ? Object.keys(models)[0]! : defaults.defaultModel),
    models,
    environments,
    priorityWeights: { ...defaults.defaultPriorityWeights, ...file.priorityWeights },
    tenantWeights: record(Object.entries(file.tenantWeights ?? {})),
    limits: { ...defaults.defaultLimits, ...file.limits },
    worker: {
      concurrency: Math.min(concurrency, defaults.defaultConcurrencyCap),
      ...defaults.defaultWorker,
      ...file.worker,
    },
    scheduler: { ...defaults.defaultScheduler, ...file.scheduler },
    timeouts: { ...defaults.defaultTimeouts, ...file.timeouts },
    redis: { jobHashes: { ...defaults.defaultJobHashes, ...file.redis?.jobHashes } },
  };

  checkModelNames(file, settings, report);
  checkDatabases(settings, report);
  checkSharedQuotas(settings, report);
  checkPairs(settings, report);
  return { settings, problems };
}

/** A map without a prototype: a model that a client calls `constructor` is then unknown, like any other. */
function record<T>(entries: (readonly [string, T])[]): Record<string, T> {
  return Object.assign(Object.create(null), Object.fromEntries(entries));
}

// ---------------------------------------------------------------- models

function resolveModels(
  models: Record<string, FileModel>,
  catalogue: Overrides,
  report: Report,
): Record<string, ModelSettings> {
  const seen = new Map<string, string>();
  return record(
    Object.entries(models).map(([alias, model]) => {
      const path: Path = ["models", alias];
      const facts = model.deployments.map((d) => factsOf(d.modelId, catalogue, d.provider));
      const contextTokens = model.contextTokens ?? least(facts, "contextTokens");
      const limit = model.maxOutputTokensLimit ?? Math.min(least(facts, "maxOutputTokens"), contextTokens);
      const deployments = model.deployments.map((deployment, i) => {
        const here: Path = [...path, "deployments", i];
        const settings = resolveDeployment(deployment, facts[i]!, here, report);
        const other = seen.get(settings.id);
        if (other) report(here, `is ${settings.id}, and so is ${other}; a deployment serves one model, once`);
        seen.set(settings.id, `a deployment of ${alias}`);
        return settings;
      });
      const settings: ModelSettings = {
        maxOutputTokens: model.maxOutputTokens ?? Math.min(defaults.defaultMaxOutputTokens, limit),
        maxOutputTokensLimit: limit,
        contextTokens,
        tokenFactor: model.tokenFactor ?? Math.max(...facts.map((f) => f.tokenFactor)),
        ...(model.alternative !== undefined && { alternative: model.alternative }),
        choice: model.choice ?? "headroom",
        deployments,
      };
      checkTokens(settings, path, report);
      return [alias, settings] as const;
    }),
  );
}

function least(facts: ModelFacts[], key: "contextTokens" | "maxOutputTokens"): number {
  return Math.min(...facts.map((f) => f[key]));
}

function resolveDeployment(d: FileDeployment, facts: ModelFacts, path: Path, report: Report): DeploymentSettings {
  const provider = d.provider === "openai" ? resolveOpenAi(d, path, report) : resolveBedrock(d, path, report);
  const { id } = provider;
  const quotas = (d.quotas ?? []).map((quota, i) => resolveQuota(quota, id, [...path, "quotas", i], report));
  quotas.forEach((quota, i) => {
    const first = quotas.findIndex((q) => q.name === quota.name);
    if (first < i) {
      const what = d.quotas![i]!.name
        ? `has the name of quotas[${first}]`
        : `is a second quota on ${quota.unit} per ${quota.per}`;
      report(
        [...path, "quotas", i],
        `${what}; a call would be charged twice. Keep one of them, or give it a name of its own`,
      );
    }
  });
  return {
    ...provider,
    modelId: d.modelId,
    maxConcurrency: d.maxConcurrency ?? defaults.defaultMaxConcurrency,
    streaming: d.streaming ?? facts.streaming,
    outputBurndown: d.outputBurndown ?? facts.outputBurndown,
    traits: facts.traits,
    quotas,
  };
}

function resolveBedrock(d: FileDeployment, path: Path, report: Report): ProviderPart {
  const allowed = "an AWS Region such as us-east-1";
  const { region = "" } = d;
  if (d.region === undefined) report([...path, "region"], `is missing; allowed: ${allowed}`);
  else if (!/^[a-z]{2,}(-[a-z]+)+-\d+$/.test(region)) {
    report([...path, "region"], `is "${region}"; allowed: ${allowed}`);
  }
  reportForeignKeys(d, path, report);
  return {
    id: `bedrock/${region}/${d.modelId}`,
    provider: "bedrock",
    region,
    ...(d.endpoint !== undefined && { endpoint: d.endpoint }),
  };
}

function resolveQuota(quota: FileQuota, deployment: string, path: Path, report: Report): QuotaSettings {
  const { unit, per, limit } = quota;
  if (quota.burst !== undefined && quota.burst > limit) {
    report([...path, "burst"], `is ${quota.burst}; allowed: at most the limit, ${limit}`);
  }
  if (quota.resetHourUtc !== undefined && per !== "day") {
    report([...path, "resetHourUtc"], "stands beside per: minute; allowed: only with per: day");
  }
  return {
    name: quota.name ?? `${deployment}:${unit}/${per}`,
    unit,
    per,
    limit,
    burst: quota.burst ?? (unit === "requests" ? limit : Math.max(1, Math.floor(limit / 10))),
    ...(quota.resetHourUtc !== undefined && { resetHourUtc: quota.resetHourUtc }),
  };
}

// ---------------------------------------------------------------- what must hold between keys

function checkTokens(model: ModelSettings, path: Path, report: Report) {
  const { maxOutputTokens, maxOutputTokensLimit, contextTokens } = model;
  if (maxOutputTokensLimit > contextTokens) {
    report(
      [...path, "maxOutputTokensLimit"],
      `is ${maxOutputTokensLimit}; allowed: at most contextTokens, ${contextTokens}`,
    );
  }
  if (maxOutputTokens > maxOutputTokensLimit) {
    const hint = "the model's own cap unless maxOutputTokensLimit says otherwise";
    report([...path, "maxOutputTokens"], `is ${maxOutputTokens}; allowed: at most ${maxOutputTokensLimit} (${hint})`);
  }
  model.deployments.forEach((deployment, i) => {
    deployment.quotas.forEach((quota, j) => {
      if ((quota.unit === "tokens" || quota.unit === "output_tokens") && quota.limit <= maxOutputTokens) {
        report(
          [...path, "deployments", i, "quotas", j, "limit"],
          `is ${quota.limit}, so no job with the model's ${maxOutputTokens} output tokens could ever run; ` +
            "allowed: more than maxOutputTokens",
        );
      }
    });
  });
}

function checkModelNames(file: FileSettings, settings: Resolved, report: Report) {
  const aliases = Object.keys(settings.models);
  const known = (path: Path, name: string) => {
    if (name in settings.models) return;
    const near = nearest(name, aliases);
    report(
      path,
      `is "${name}", which models does not have${near ? `; did you mean ${near}?` : ";"} Allowed: ${aliases.join(", ")}`,
    );
  };
  known(["defaultModel"], settings.defaultModel);
  if (file.models && file.defaultModel === undefined && aliases.length > 1) {
    report(["defaultModel"], `is missing, and there is more than one model; allowed: one of ${aliases.join(", ")}`);
  }
  for (const [alias, model] of Object.entries(settings.models)) {
    if (model.alternative === undefined) continue;
    const path = ["models", alias, "alternative"];
    if (model.alternative === alias) report(path, "is the model itself; allowed: another model, or nothing");
    else known(path, model.alternative);
  }
}

function checkDatabases(settings: Resolved, report: Report) {
  // File systems that ignore case would put two such databases into one file.
  const taken = new Map([["sluice", "the service itself"]]);
  for (const [name, { database }] of Object.entries(settings.environments)) {
    const owner = taken.get(database.toLowerCase());
    if (owner)
      report(["environments", name, "database"], `is ${database}, which ${owner} uses; allowed: a name of its own`);
    taken.set(database.toLowerCase(), `environment ${name}`);
  }
}

function checkSharedQuotas(settings: Resolved, report: Report) {
  const first = new Map<string, { quota: QuotaSettings; deployment: string }>();
  for (const [alias, model] of Object.entries(settings.models)) {
    model.deployments.forEach((deployment, i) => {
      deployment.quotas.forEach((quota, j) => {
        const other = first.get(quota.name);
        if (!other) first.set(quota.name, { quota, deployment: deployment.id });
        else if (other.deployment !== deployment.id && !isDeepStrictEqual(other.quota, quota)) {
          report(
            ["models", alias, "deployments", i, "quotas", j],
            `shares the quota "${quota.name}" with ${other.deployment} but differs from it; ` +
              "allowed: the same unit, per, limit, burst and resetHourUtc wherever a name is used",
          );
        }
      });
    });
  }
}

/** Pairs of numbers of which the first may not exceed the second. */
function checkPairs(settings: Resolved, report: Report) {
  const pairs = [
    ["limits", "maxPromptBytes", "maxRequestBytes", settings.limits],
    ["worker", "backoffBaseMs", "backoffMaxMs", settings.worker],
    ["scheduler", "sendWithinMs", "leaseMs", settings.scheduler],
    ["timeouts", "firstByteMs", "totalMs", settings.timeouts],
    ["timeouts", "idleMs", "totalMs", settings.timeouts],
  ] as const;
  for (const [section, smaller, larger, values] of pairs) {
    const numbers = values as unknown as Record<string, number>;
    if (numbers[smaller]! > numbers[larger]!) {
      report([section, smaller], `is ${numbers[smaller]}; allowed: at most ${section}.${larger}, ${numbers[larger]}`);
    }
  }
}
