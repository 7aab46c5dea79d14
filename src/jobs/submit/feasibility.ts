// Whether a job could ever be called: known environment and models, a deployment in an allowed region, and a cost that
// the model's context and the quotas can take. What can never run is refused at the door, not queued for ever.
import type { DeploymentSettings, ModelSettings, QuotaSettings, Settings } from "../../config/settings.ts";
import { quote, SluiceError } from "../../domain/errors.ts";
import type { JobHead } from "../../domain/job.ts";
import type { CanonicalRequest } from "../../domain/request.ts";
import { estimateInput, type TokenCount } from "../../domain/tokens.ts";
import { reservedCost } from "../../scheduler/cost.ts";
import type { JobsContext } from "../jobs-context.ts";
import { servedBy } from "../served-by.ts";
import { inputFactor } from "../tokens/token-ratios.ts";
import type { FieldNames } from "./field-names.ts";
import { parameterRefusal } from "./parameters.ts";

/** What it takes to build and check a job without storing it. */
export type AdmissionContext = Pick<
  JobsContext,
  "settings" | "clock" | "tokenCounter" | "tokenRatios" | "log" | "limits"
>;

type Wanted = Pick<JobHead, "model" | "fallbackModels" | "regions">;

/** @throws SluiceError `unknown_environment` */
export function requireEnvironment(settings: Settings, name: string): void {
  if (Object.hasOwn(settings.environments, name)) return;
  const known = Object.keys(settings.environments).join(", ");
  throw new SluiceError("unknown_environment", `environment must be one of ${known}; got ${quote(name)}.`, {
    field: "environment",
  });
}

/** @throws SluiceError `unknown_model` */
function requireModel(settings: Settings, name: string, field: string): ModelSettings {
  if (Object.hasOwn(settings.models, name)) return settings.models[name]!;
  const known = Object.keys(settings.models).join(", ");
  throw new SluiceError("unknown_model", `${field} must be one of ${known}; got ${quote(name)}.`, { field });
}

/**
 * What a call of the job is expected to reserve. The estimate is an upper bound made in one pass; only a job that it
 * would refuse is counted exactly, because an exact count costs a hundred times as much.
 * @throws SluiceError as `admitEstimated` and `admitCounted`
 */
export async function admit(
  context: AdmissionContext,
  wanted: Wanted,
  request: CanonicalRequest,
  names?: FieldNames,
): Promise<TokenCount> {
  return admitEstimated(context, wanted, request, names) ?? (await admitCounted(context, wanted, request));
}

/**
 * The estimate of what a call reserves, if every model and quota can take it; else undefined.
 * @param names how errors name the fields. Default: as `POST /v1/jobs` does
 * @throws SluiceError `unknown_model`, `invalid_request` (a parameter that a model refuses, no deployment in the regions)
 */
export function admitEstimated(
  context: AdmissionContext,
  wanted: Wanted,
  request: CanonicalRequest,
  names?: FieldNames,
): TokenCount | undefined {
  const { settings } = context;
  // Refuses what is unknown.
  modelsOf(settings, wanted);
  const deployments = allowedDeployments(settings, wanted);
  const refused = parameterRefusal(settings, wanted, request, names);
  if (refused) throw refused;
  const tokens = tokensOf(context, wanted, request, estimateInput(request));
  return contextRefusal(settings, wanted, tokens) || quotaRefusal(deployments, tokens) ? undefined : tokens;
}

/**
 * What a call reserves, counted exactly.
 * @throws SluiceError `context_exceeded`, `exceeds_quota`, `unavailable` (cannot be counted now)
 */
export async function admitCounted(
  context: AdmissionContext,
  wanted: Wanted,
  request: CanonicalRequest,
): Promise<TokenCount> {
  const { settings } = context;
  const tokens = tokensOf(context, wanted, request, await countExactly(context, request));
  const refusal =
    contextRefusal(settings, wanted, tokens) ?? quotaRefusal(allowedDeployments(settings, wanted), tokens);
  if (refusal) throw refusal;
  return tokens;
}

/** @param counted tokens of the input by our count */
function tokensOf(
  { settings, tokenRatios }: AdmissionContext,
  { model, fallbackModels }: Wanted,
  { parameters }: CanonicalRequest,
  counted: number,
): TokenCount {
  const factor = inputFactor(settings, tokenRatios, [model, ...fallbackModels], counted);
  return { input: Math.ceil(counted * factor), output: parameters.maxTokens };
}

/**
 * The same for a job that names no fallback models: it gets those of the configuration, without the ones that could not
 * take it. They are there to help, so none of them is a reason to refuse a job.
 * @throws SluiceError as `admit`
 */
export async function admitWithFallbacks(
  context: AdmissionContext,
  wanted: Wanted,
  request: CanonicalRequest,
  names?: FieldNames,
): Promise<Wanted & { tokens: TokenCount }> {
  const { models } = context.settings;
  let admitted = { ...wanted, tokens: await admit(context, wanted, request, names) };
  for (const name of models[wanted.model]!.fallbackModels) {
    if (models[name]!.maxOutputTokensLimit < request.parameters.maxTokens) continue;
    const more = { ...wanted, fallbackModels: [...admitted.fallbackModels, name] };
    try {
      admitted = { ...more, tokens: await admit(context, more, request) };
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
    }
  }
  return admitted;
}

async function countExactly({ tokenCounter, log }: AdmissionContext, request: CanonicalRequest): Promise<number> {
  try {
    const [count] = await tokenCounter.count([request]);
    return count!;
  } catch (error) {
    // Refusing for good what is only estimated to be too much would be wrong; queueing it could be.
    log.warn({ err: error }, "failed to count a prompt near a limit");
    throw new SluiceError("unavailable", "The prompt is near a limit and cannot be counted at the moment.", {
      retryAfterS: 1,
    });
  }
}

/** The settings of the job's model and of its fallbacks, in that order. */
export function modelsOf(settings: Settings, wanted: Wanted): [ModelSettings, ...ModelSettings[]] {
  const own = requireModel(settings, wanted.model, "model");
  if (wanted.fallbackModels.length === 0) return [own];
  return [own, ...wanted.fallbackModels.map((name) => requireModel(settings, name, "fallback_models"))];
}

/** Only of the job's own model: a fallback answers for deployments that are out of service, not for too small a quota. */
function allowedDeployments(settings: Settings, wanted: Wanted): readonly DeploymentSettings[] {
  const { model } = wanted;
  const allowed = servedBy(settings, wanted);
  if (allowed.length === 0) {
    const served = [...new Set(servedBy(settings, { model }).map((d) => d.region))].join(", ");
    throw new SluiceError("invalid_request", `regions must name a region that serves ${model}: ${served}.`, {
      field: "regions",
    });
  }
  return allowed;
}

function contextRefusal(settings: Settings, wanted: Wanted, tokens: TokenCount): SluiceError | undefined {
  const total = tokens.input + tokens.output;
  for (const name of [wanted.model, ...wanted.fallbackModels]) {
    const { contextTokens } = settings.models[name]!;
    if (total > contextTokens) {
      return new SluiceError(
        "context_exceeded",
        `The job needs ${total} tokens (${spelled(tokens)}); ${name} can take ${contextTokens}.`,
      );
    }
  }
  return undefined;
}

function quotaRefusal(deployments: readonly DeploymentSettings[], tokens: TokenCount): SluiceError | undefined {
  const fits = (deployment: DeploymentSettings) =>
    deployment.quotas.every(({ unit, limit }) => reservedCost(unit, tokens, deployment.outputBurndown) <= limit);
  if (deployments.some(fits)) return undefined;
  let nearest: { quota: QuotaSettings; deployment: DeploymentSettings; cost: number; ratio: number } | undefined;
  for (const deployment of deployments) {
    const worst = deployment.quotas
      .map((quota) => {
        const cost = reservedCost(quota.unit, tokens, deployment.outputBurndown);
        return { quota, deployment, cost, ratio: cost / quota.limit };
      })
      .reduce<typeof nearest>((a, b) => (a && a.ratio >= b.ratio ? a : b), undefined);
    if (worst && (!nearest || worst.ratio < nearest.ratio)) nearest = worst;
  }
  if (!nearest) return undefined;
  const { quota, deployment, cost } = nearest;
  return new SluiceError(
    "exceeds_quota",
    `The job would reserve ${cost} ${quota.unit} (${spelled(tokens, deployment.outputBurndown)}); ` +
      `the quota ${quota.name} of ${deployment.id} admits at most ${quota.limit} per ${quota.per}.`,
  );
}

function spelled(tokens: TokenCount, outputBurndown = 1): string {
  const factor = outputBurndown > 1 ? `, each counted ${outputBurndown} times` : "";
  return `input ${tokens.input} + max_tokens ${tokens.output}${factor}`;
}
