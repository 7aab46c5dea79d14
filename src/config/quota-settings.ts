// The quotas of deployments: resolves them from the file, sets limits read from AWS, and checks the rules between them.
import { isDeepStrictEqual } from "node:util";
import { reservedCost } from "../scheduler/cost.ts";
import { ConfigError, formatPath, type Path, type Report } from "./config-problems.ts";
import type { FileQuota } from "./config-schema.ts";
import type { DeploymentSettings, ModelSettings, QuotaSettings, Settings } from "./settings.ts";

/** Resolves one quota of a deployment, and reports mistakes in its keys. */
export function resolveQuota(quota: FileQuota, deployment: string, path: Path, report: Report): QuotaSettings {
  const { unit, per, fallback } = quota;
  const isAuto = quota.limit === "auto";
  // Without a fallback this value never applies: if the limit stays unknown, the service does not start.
  const limit = quota.limit === "auto" ? (fallback ?? Number.MAX_SAFE_INTEGER) : quota.limit;
  if (!isAuto && quota.burst !== undefined && quota.burst > limit) {
    report([...path, "burst"], `must be at most the limit, ${limit}; got ${quota.burst}`);
  }
  if (!isAuto && fallback !== undefined) {
    report([...path, "fallback"], "must not be set when the limit is a number; only limit: auto uses it");
  }
  if (isAuto && !isListed(unit, per)) {
    report(
      [...path, "limit"],
      `must be a number, because AWS lists no quota on ${unit} per ${per}; got auto. AWS lists requests per minute, ` +
        "tokens per minute and tokens per day",
    );
  }
  if (quota.resetHourUtc !== undefined && per !== "day") {
    report([...path, "resetHourUtc"], "must not be set with per: minute; only per: day uses it");
  }
  return {
    name: quota.name ?? `${deployment}:${unit}/${per}`,
    unit,
    per,
    limit,
    ...(isAuto && {
      auto: {
        key: formatPath(path),
        defaultBurst: quota.burst === undefined,
        ...(fallback !== undefined && { fallback }),
      },
    }),
    burst: quota.burst ?? defaultBurst(unit, limit),
    ...(quota.resetHourUtc !== undefined && { resetHourUtc: quota.resetHourUtc }),
  };
}

function defaultBurst(unit: QuotaSettings["unit"], limit: number): number {
  return unit === "requests" ? limit : Math.max(1, Math.floor(limit / 10));
}

/** Returns whether Service Quotas lists quotas of this kind. */
function isListed(unit: QuotaSettings["unit"], per: QuotaSettings["per"]): boolean {
  return unit === "tokens" || (unit === "requests" && per === "minute");
}

// ---------------------------------------------------------------- limits that are read from AWS

/** A quota with `limit: auto`, and its deployment. */
export interface AutoQuota {
  deployment: DeploymentSettings;
  quota: QuotaSettings & { auto: NonNullable<QuotaSettings["auto"]> };
}

/** Returns the quotas whose limit is `auto`. */
export function autoQuotas(settings: Pick<Settings, "models">): AutoQuota[] {
  return Object.values(settings.models).flatMap((model) =>
    model.deployments.flatMap((deployment) =>
      deployment.quotas.flatMap((quota) => (quota.auto ? [{ deployment, quota: quota as AutoQuota["quota"] }] : [])),
    ),
  );
}

/**
 * Sets the limits of quotas with `limit: auto`.
 * @param limitOf returns the limit by the quota's name, or the reason why there is none
 * @throws ConfigError that names every key whose limit is unknown, or that conflicts with other keys
 */
export function setAutoLimits(settings: Pick<Settings, "models">, limitOf: (name: string) => number | string): void {
  const problems: string[] = [];
  for (const { quota } of autoQuotas(settings)) {
    const limit = limitOf(quota.name);
    if (typeof limit === "string") {
      problems.push(`${quota.auto.key}.limit is auto, but ${limit}`);
      continue;
    }
    quota.limit = limit;
    quota.burst = quota.auto.defaultBurst ? defaultBurst(quota.unit, limit) : Math.min(quota.burst, limit);
  }
  if (problems.length === 0) {
    checkQuotas(settings.models, (path, text) => problems.push(`${formatPath(path)} ${text}`));
  }
  if (problems.length > 0) {
    throw new ConfigError(
      [
        "Sluice cannot use the limits that AWS lists:",
        ...problems.map((problem) => `  ${problem}`),
        "Replace auto by a number, or add a fallback. `sluice quotas` shows what AWS lists.",
      ].join("\n"),
    );
  }
}

// ---------------------------------------------------------------- what must hold between keys

/** Checks the rules between quotas and models: a job can run at all, and quotas of one name agree. */
export function checkQuotas(models: Record<string, ModelSettings>, report: Report): void {
  checkRoomForOneAnswer(models, report);
  checkSharedQuotas(models, report);
}

function checkRoomForOneAnswer(models: Record<string, ModelSettings>, report: Report) {
  for (const [alias, { maxOutputTokens, deployments }] of Object.entries(models)) {
    deployments.forEach((deployment, i) => {
      deployment.quotas.forEach((quota, j) => {
        const output = reservedCost("output_tokens", { input: 0, output: maxOutputTokens }, deployment.outputBurndown);
        if ((quota.unit === "tokens" || quota.unit === "output_tokens") && quota.limit <= output) {
          const factor = deployment.outputBurndown > 1 ? `, which count ${deployment.outputBurndown} times,` : "";
          report(
            [
              "models",
              alias,
              "deployments",
              i,
              "quotas",
              j,
              quota.auto?.fallback === quota.limit ? "fallback" : "limit",
            ],
            `must be more than ${output}, or no job with the model's ${maxOutputTokens} output tokens${factor} can run; ` +
              `got ${quota.limit}`,
          );
        }
      });
    });
  }
}

function checkSharedQuotas(models: Record<string, ModelSettings>, report: Report) {
  const first = new Map<string, { quota: QuotaSettings; deployment: string }>();
  for (const [alias, model] of Object.entries(models)) {
    model.deployments.forEach((deployment, i) => {
      deployment.quotas.forEach((quota, j) => {
        const other = first.get(quota.name);
        if (!other) first.set(quota.name, { quota, deployment: deployment.id });
        else if (other.deployment !== deployment.id && !isDeepStrictEqual(comparable(other.quota), comparable(quota))) {
          report(
            ["models", alias, "deployments", i, "quotas", j],
            `must have the same unit, per, limit, burst and resetHourUtc as the quota "${quota.name}" of ` +
              `${other.deployment}; got different values`,
          );
        }
      });
    });
  }
}

/** Returns the part of a quota to compare. Two places that both say `auto` are equal. */
function comparable({ auto, ...quota }: QuotaSettings): object {
  return { ...quota, ...(auto && { fallback: auto.fallback }) };
}
