// Checks whether a job can ever run. It needs known models that accept its parameters, and a deployment in an allowed
// region. Its cost must fit the model's context and the quotas. A job that can never run is refused at submit and never
// queued.
import type { DeploymentSettings, ModelSettings, QuotaSettings, Settings } from "../../config/settings.ts";
import {
  type EmbeddingRequest,
  embeddingRequest,
  isEmbedding,
  largestCall,
  textsOf,
} from "../../domain/embedding-request.ts";
import { quote, SluiceError } from "../../domain/errors.ts";
import type { Job } from "../../domain/job.ts";
import { isNative, type JobRequest } from "../../domain/request.ts";
import { estimateInput, estimateTokens, type TokenCount } from "../../domain/tokens.ts";
import { reservedCost } from "../../scheduler/cost.ts";
import type { JobsContext } from "../jobs-context.ts";
import { servedBy } from "../served-by.ts";
import { reservedInput } from "../tokens/token-ratios.ts";
import { placeOf } from "./build-embedding.ts";
import type { FieldNames } from "./field-names.ts";
import { parameterRefusal } from "./parameters.ts";

/** The context to build and check a job without storing it. */
export type FeasibilityContext = Pick<JobsContext, "settings" | "clock" | "tokenCounter" | "tokenRatios" | "log">;

type Wanted = Pick<Job, "model" | "fallbackModels" | "regions" | "baseModel" | "request">;

/**
 * Returns a model's settings.
 * @throws SluiceError `unknown_model`
 */
function requireModel(settings: Settings, name: string, field: string): ModelSettings {
  if (Object.hasOwn(settings.models, name)) return settings.models[name]!;
  const known = Object.keys(settings.models).join(", ");
  throw new SluiceError("unknown_model", `${field} must be one of ${known}; got ${quote(name)}.`, { field });
}

/**
 * Returns what a call of the job reserves. The estimate is a one-pass upper bound. Only a job that it would refuse is
 * counted exactly, because an exact count costs a hundred times as much.
 * @param names how errors name the fields. Default: as `POST /v1/jobs` does
 * @returns a promise only if the job is counted exactly; see `buildJob`
 * @throws SluiceError `unknown_model`, `invalid_request` (a parameter that a model refuses, no deployment in the
 *   regions); the promise rejects with `context_exceeded`, `exceeds_quota`, `unavailable` (its tokens cannot be counted
 *   now)
 */
export function checkFeasibility(
  context: FeasibilityContext,
  wanted: Wanted,
  names?: FieldNames,
): TokenCount | Promise<TokenCount> {
  const { settings } = context;
  // Refuses models that are not configured.
  modelsOf(settings, wanted);
  const deployments = allowedDeployments(settings, wanted);
  const { request } = wanted;
  if (isEmbedding(request)) return checkEmbedding(context, { ...wanted, request }, deployments);
  const refused = isNative(request) ? undefined : parameterRefusal(settings, wanted, request, names);
  if (refused) throw refused;

  const estimated = reservedTokens(context, wanted, estimateInput(request));
  if (!refusalOf(settings, wanted, deployments, estimated)) return estimated;
  return countFeasible(context, wanted, deployments);
}

/** Checks the longest texts and the largest call. All calls of the job reserve as much as that one. */
function checkEmbedding(
  context: FeasibilityContext,
  wanted: Wanted & { request: EmbeddingRequest },
  deployments: readonly DeploymentSettings[],
): TokenCount | Promise<TokenCount> {
  const { settings } = context;
  const longest = textTokens(settings, wanted, deployments);
  const texts = textsOf(wanted.request);
  const request = largestCall(wanted.request, textsPerCall(deployments), estimateTokens);
  const call = { ...wanted, request };
  const estimated = reservedTokens(context, call, estimateInput(request));
  const long = texts.flatMap((text, i) => (estimateTokens(text) > longest ? [i] : []));
  if (long.length === 0 && !quotaRefusal(deployments, estimated)) return estimated;
  return countEmbedding(context, call, deployments, { texts, long });
}

/**
 * As `checkEmbedding`, by the exact count.
 * @param wanted the largest call
 * @param long indexes of the texts that may be too long
 */
async function countEmbedding(
  context: FeasibilityContext,
  wanted: Wanted,
  deployments: readonly DeploymentSettings[],
  { texts, long }: { texts: readonly string[]; long: readonly number[] },
): Promise<TokenCount> {
  const longest = textTokens(context.settings, wanted, deployments);
  for (const i of long) {
    const counted = await countExactly(context, embeddingRequest([texts[i]!], { format: "float" }));
    if (counted <= longest) continue;
    const field = placeOf(texts, i);
    const message = `${field} has about ${counted} tokens; ${wanted.model} takes at most ${longest} in a text.`;
    throw new SluiceError("context_exceeded", message, { field });
  }
  const tokens = reservedTokens(context, wanted, await countExactly(context, wanted.request));
  const refusal = quotaRefusal(deployments, tokens);
  if (refusal) throw refusal;
  return tokens;
}

/** Returns the longest text that every deployment takes, in tokens. */
function textTokens(settings: Settings, { model }: Wanted, deployments: readonly DeploymentSettings[]): number {
  const { contextTokens } = settings.models[model]!;
  return Math.min(...deployments.map(({ traits }) => traits.embeddings?.textTokens ?? contextTokens));
}

/** Returns the maximum number of texts in one call, of the deployment that takes most. */
function textsPerCall(deployments: readonly DeploymentSettings[]): number {
  return Math.max(...deployments.map(({ traits }) => traits.embeddings?.textsPerCall ?? Number.POSITIVE_INFINITY));
}

/** Returns what all calls of a job reserve together. Undefined if it needs only one. */
export function tokensOfAllCalls(context: FeasibilityContext, wanted: Wanted): TokenCount | undefined {
  const { request } = wanted;
  if (!isEmbedding(request)) return undefined;
  if (request.embeddings.texts <= textsPerCall(servedBy(context.settings, wanted))) return undefined;
  return reservedTokens(context, wanted, estimateInput(request));
}

/** As `checkFeasibility`, by the exact count. */
async function countFeasible(
  context: FeasibilityContext,
  wanted: Wanted,
  deployments: readonly DeploymentSettings[],
): Promise<TokenCount> {
  const counted = reservedTokens(context, wanted, await countExactly(context, wanted.request));
  const refusal = refusalOf(context.settings, wanted, deployments, counted);
  if (refusal) throw refusal;
  return counted;
}

function refusalOf(
  settings: Settings,
  wanted: Wanted,
  deployments: readonly DeploymentSettings[],
  tokens: TokenCount,
): SluiceError | undefined {
  // Whether a native request fits the context is for Bedrock to say: a header may extend it.
  const refusal = isNative(wanted.request) ? undefined : contextRefusal(settings, wanted, tokens);
  return refusal ?? quotaRefusal(deployments, tokens);
}

/**
 * Adds the configured fallback models to a job without any, except those that cannot take it. They are optional, so
 * none of them is a reason to refuse a job.
 */
export async function addFallbacks(context: FeasibilityContext, job: Wanted & Pick<Job, "tokens">): Promise<void> {
  const { models } = context.settings;
  for (const name of models[job.model]!.fallbackModels) {
    if (models[name]!.maxOutputTokensLimit < job.request.parameters.maxTokens) continue;
    const fallbackModels = [...job.fallbackModels, name];
    try {
      job.tokens = await checkFeasibility(context, { ...job, fallbackModels });
      job.fallbackModels = fallbackModels;
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
    }
  }
}

/**
 * Returns the tokens to reserve.
 * @param counted tokens of the text as Sluice counts them
 */
function reservedTokens(
  { settings, tokenRatios }: FeasibilityContext,
  { model, fallbackModels, request }: Wanted,
  counted: number,
): TokenCount {
  const input = reservedInput(settings, tokenRatios, [model, ...fallbackModels], request, counted);
  return { input, output: request.parameters.maxTokens };
}

async function countExactly({ tokenCounter, log }: FeasibilityContext, request: JobRequest): Promise<number> {
  try {
    const [count] = await tokenCounter.count([request]);
    return count!;
  } catch (error) {
    // An estimate must not refuse a job permanently, nor let an infeasible one into the queue.
    log.warn({ err: error }, "failed to count a prompt near a limit");
    throw new SluiceError(
      "unavailable",
      "The prompt is near a limit, and its tokens cannot be counted at the moment.",
      {
        retryAfterS: 1,
      },
    );
  }
}

/**
 * Returns the settings of the job's model and of its fallbacks, in that order.
 * @throws SluiceError `unknown_model`
 */
export function modelsOf(
  settings: Settings,
  wanted: Pick<Wanted, "model" | "fallbackModels">,
): [ModelSettings, ...ModelSettings[]] {
  const own = requireModel(settings, wanted.model, "model");
  if (wanted.fallbackModels.length === 0) return [own];
  return [own, ...wanted.fallbackModels.map((name) => requireModel(settings, name, "fallback_models"))];
}

/**
 * Returns the deployments of the job's own model. Fallbacks replace deployments that are out of service, not quotas
 * that are too small.
 * @throws SluiceError `invalid_request`
 */
function allowedDeployments(settings: Settings, wanted: Wanted): readonly DeploymentSettings[] {
  const allowed = servedBy(settings, wanted);
  if (allowed.length === 0) {
    const { model, regions, ...anywhere } = wanted;
    const served = [...new Set(servedBy(settings, { ...anywhere, model }).map((d) => d.region))].join(", ");
    const requested = regions?.join(", ");
    const message = `regions: no deployment of ${model} serves ${requested}; available: ${served}.`;
    throw new SluiceError("invalid_request", message, { field: "regions" });
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
        `The job needs ${total} tokens (${spelled(tokens)}); ${name} accepts at most ${contextTokens}.`,
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
