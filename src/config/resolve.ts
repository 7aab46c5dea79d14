// Turns a file of the right form into settings: fills in defaults (defaults.ts, catalogue.ts) and checks the rules
// between keys.
import { parseNetwork } from "../domain/networks.ts";
import { nearest } from "../schema/nearest.ts";
import { resolveBedrock } from "./bedrock-deployment.ts";
import { factsOf, type ModelFacts, type Overrides } from "./catalogue.ts";
import { type Path, type Problem, type Report, showValue } from "./config-problems.ts";
import type { FileDeployment, FileModel, FileSettings } from "./config-schema.ts";
import * as defaults from "./defaults.ts";
import { resolveOpenAi } from "./openai-deployment.ts";
import { checkQuotas, resolveQuota } from "./quota-settings.ts";
import { resolveRetention } from "./retention-settings.ts";
import type { DeploymentSettings, ModelSettings, Settings } from "./settings.ts";

/** Everything that a file decides. The rest depends on the environment and the command line. */
export type Resolved = Omit<
  Settings,
  "source" | "simulator" | "role" | "runs" | "distributed" | "authentication" | "metricsKey" | "dashboard" | "publicUrl"
>;

/** Resolves a file of the right form. Collects all mistakes instead of throwing. */
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
    trustedProxies: file.trustedProxies ?? [],
    dataDir: file.dataDir ?? defaults.defaultServer.dataDir,
    logLevel: file.logLevel ?? defaults.defaultServer.logLevel,
    defaultModel: file.defaultModel ?? (file.models ? Object.keys(models)[0]! : defaults.defaultModel),
    models,
    environments,
    priorityWeights: { ...defaults.defaultPriorityWeights, ...file.priorityWeights },
    tenantWeights: record([...Object.entries(file.tenantWeights ?? {}), ...ofTenants(file, "weight")]),
    tenantRegions: record(ofTenants(file, "regions")),
    limits: { ...defaults.defaultLimits, ...file.limits },
    worker: {
      concurrency: Math.min(concurrency, defaults.defaultConcurrencyCap),
      ...defaults.defaultWorker,
      ...file.worker,
    },
    scheduler: { ...defaults.defaultScheduler, ...file.scheduler },
    timeouts: { ...defaults.defaultTimeouts, ...file.timeouts },
    webhooks: { allowPrivateNetworks: file.webhooks?.allowPrivateNetworks ?? [] },
    tracing: { content: file.tracing?.content ?? false },
    metrics: { ...defaults.defaultMetrics, ...file.metrics },
    retention: resolveRetention(file.retention, Object.keys(environments), report),
    redis: { jobHashes: { ...defaults.defaultJobHashes, ...file.redis?.jobHashes } },
  };

  checkModelNames(file, settings, report);
  checkDatabases(settings, report);
  checkQuotas(settings.models, report);
  checkTenants(file, settings, report);
  checkPairs(settings, report);
  checkNetworks(settings, report);
  checkMetrics(file, settings, report);
  return { settings, problems };
}

/** Makes a map without a prototype, so a model that a client calls `constructor` is unknown like any other. */
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
      const facts = model.deployments.map((d) => factsOf(d.modelId, catalogue, d.provider, d.baseModel));
      const contextTokens = model.contextTokens ?? least(facts, "contextTokens");
      const limit = model.maxOutputTokensLimit ?? Math.min(least(facts, "maxOutputTokens"), contextTokens);
      const ownLimit = model.maxOutputTokensLimit !== undefined && { maxOutputTokens: model.maxOutputTokensLimit };
      const deployments = model.deployments.map((deployment, i) => {
        const here: Path = [...path, "deployments", i];
        const settings = resolveDeployment(deployment, { ...facts[i]!, ...ownLimit }, here, report);
        const other = seen.get(settings.id);
        if (other) {
          const account = "For another account, set profile, roleArn or account";
          report(here, `must be unique; got ${settings.id}, which is already ${other}. ${account}`);
        }
        seen.set(settings.id, `a deployment of ${alias}`);
        return settings;
      });
      const settings: ModelSettings = {
        maxOutputTokens: model.maxOutputTokens ?? Math.min(defaults.defaultMaxOutputTokens, limit),
        maxOutputTokensLimit: limit,
        contextTokens,
        tokenFactor: model.tokenFactor ?? Math.max(...facts.map((f) => f.tokenFactor)),
        ...(model.alternative !== undefined && { alternative: model.alternative }),
        fallbackModels: [...new Set(model.fallbackModels ?? [])],
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
    if (quota.auto && provider.provider === "openai") {
      report(
        [...path, "quotas", i, "limit"],
        "must be a number with provider: openai, because no API lists its quotas; got auto",
      );
    }
    const first = quotas.findIndex((q) => q.name === quota.name);
    if (first < i) {
      const what = d.quotas![i]!.name
        ? `must have a name of its own; got the name of quotas[${first}]`
        : `must be the only quota on ${quota.unit} per ${quota.per}; quotas[${first}] is another`;
      report([...path, "quotas", i], `${what}. Each call would be charged twice: remove one, or give it another name`);
    }
  });
  return {
    ...provider,
    modelId: d.modelId,
    maxConcurrency: d.maxConcurrency ?? defaults.defaultMaxConcurrency,
    streaming: d.streaming ?? facts.streaming,
    outputBurndown: d.outputBurndown ?? facts.outputBurndown,
    maxOutputTokens: facts.maxOutputTokens,
    traits: facts.traits,
    quotas,
  };
}

// ---------------------------------------------------------------- what must hold between keys

function checkTokens(model: ModelSettings, path: Path, report: Report) {
  const { maxOutputTokens, maxOutputTokensLimit, contextTokens } = model;
  if (maxOutputTokensLimit > contextTokens) {
    report(
      [...path, "maxOutputTokensLimit"],
      `must be at most contextTokens, ${contextTokens}; got ${maxOutputTokensLimit}`,
    );
  }
  if (maxOutputTokens > maxOutputTokensLimit) {
    const hint = "the model's limit, unless maxOutputTokensLimit sets another";
    report([...path, "maxOutputTokens"], `must be at most ${maxOutputTokensLimit} (${hint}); got ${maxOutputTokens}`);
  }
}

function checkModelNames(file: FileSettings, settings: Resolved, report: Report) {
  const aliases = Object.keys(settings.models);
  const known = (path: Path, name: string) => {
    if (name in settings.models) return;
    const near = nearest(name, aliases);
    report(
      path,
      `must be one of the models ${aliases.join(", ")}; got "${name}"${near ? `. Did you mean ${near}?` : ""}`,
    );
  };
  known(["defaultModel"], settings.defaultModel);
  if (file.models && file.defaultModel === undefined && aliases.length > 1) {
    report(["defaultModel"], `is required with more than one model: one of ${aliases.join(", ")}`);
  }
  for (const [alias, model] of Object.entries(settings.models)) {
    model.fallbackModels.forEach((name, i) => {
      const path = ["models", alias, "fallbackModels", i];
      if (name === alias) report(path, "must be another model; got the model itself");
      else known(path, name);
    });
    if (model.alternative === undefined) continue;
    const path = ["models", alias, "alternative"];
    if (model.alternative === alias) report(path, "must be another model; got the model itself");
    else known(path, model.alternative);
  }
}

function ofTenants<K extends "weight" | "regions">(file: FileSettings, key: K) {
  return Object.entries(file.tenants ?? {}).flatMap(([name, tenant]) => {
    const value = tenant[key];
    return value === undefined ? [] : [[name, value] as [string, NonNullable<typeof value>]];
  });
}

function checkTenants(file: FileSettings, settings: Resolved, report: Report) {
  const deployments = Object.values(settings.models).flatMap((model) => model.deployments);
  const served = [...new Set(deployments.map((d) => d.region))];
  for (const [name, tenant] of Object.entries(file.tenants ?? {})) {
    if (tenant.weight !== undefined && file.tenantWeights && Object.hasOwn(file.tenantWeights, name)) {
      report(["tenants", name, "weight"], "must be set in tenants or in tenantWeights, not in both");
    }
    if (tenant.regions && !tenant.regions.some((region) => served.includes(region))) {
      const path = ["tenants", name, "regions"];
      report(
        path,
        `must include a region with a deployment (${served.join(", ")}), or no job of this tenant can run; got ${tenant.regions.join(", ")}`,
      );
    }
  }
}

function checkDatabases(settings: Resolved, report: Report) {
  // File systems that ignore case would put two such databases into one file.
  const owners = new Map([["sluice", "the service itself"]]);
  for (const [name, { database }] of Object.entries(settings.environments)) {
    const owner = owners.get(database.toLowerCase());
    if (owner)
      report(["environments", name, "database"], `must be a name of its own; got ${database}, which ${owner} uses`);
    owners.set(database.toLowerCase(), `environment ${name}`);
  }
}

function checkNetworks({ webhooks, trustedProxies }: Resolved, report: Report) {
  const check = (path: Path, networks: readonly string[]) =>
    networks.forEach((network, i) => {
      if (parseNetwork(network)) return;
      const allowed = "an address, or a network such as 10.0.0.0/8 or fd00::/8";
      report([...path, i], `must be ${allowed}; got ${showValue(network)}`);
    });
  check(["webhooks", "allowPrivateNetworks"], webhooks.allowPrivateNetworks);
  check(["trustedProxies"], trustedProxies);
}

function checkMetrics({ metrics }: FileSettings, { port }: Resolved, report: Report) {
  if (metrics?.host !== undefined && metrics.port === undefined) {
    report(["metrics", "host"], "needs metrics.port: without it, the HTTP API serves the metrics at its own address");
  }
  if (metrics?.port !== undefined && metrics.port === port && port !== 0) {
    const advice = "Remove it, and the HTTP API serves the metrics";
    report(["metrics", "port"], `must differ from the port of the HTTP API; got ${port}. ${advice}`);
  }
}

/** Checks pairs of numbers of which the first must not exceed the second. */
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
      report([section, smaller], `must be at most ${section}.${larger}, ${numbers[larger]}; got ${numbers[smaller]}`);
    }
  }
}
