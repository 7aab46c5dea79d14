// Converts a request to the canonical form of a job, and checks it completely. It stores nothing.
import type { Settings } from "../../config/settings.ts";
import { SluiceError } from "../../domain/errors.ts";
import { newJobId } from "../../domain/ids.ts";
import type { Job } from "../../domain/job.ts";
import type { CanonicalRequest, JobRequest, Parameters } from "../../domain/request.ts";
import type { TokenCount } from "../../domain/tokens.ts";
import type { Caller } from "../caller.ts";
import { checkWebhookUrl } from "../webhooks/webhook-url.ts";
import { embeddingModelOf, embeddingRequestOf } from "./build-embedding.ts";
import { nativeRequestOf } from "./build-native.ts";
import { checkContent } from "./content.ts";
import { addFallbacks, checkFeasibility, type FeasibilityContext, modelsOf, tokensOfAllCalls } from "./feasibility.ts";
import { nativeModelOf } from "./native-model.ts";
import { startTime } from "./not-before.ts";
import { environmentFor, priorityFor, regionsFor, requireServedModel } from "./policy.ts";
import type { CanonicalInput, SubmitInput } from "./submit-input.ts";

/** Values of a job that its caller does not set. Default: a new id, submitted now. */
export type Given = Partial<Pick<Job, "id" | "submittedAt" | "expiresAt" | "batchId" | "customId" | "linkedTrace">>;

/**
 * Returns the requested job, checked.
 * @returns a promise only if its tokens are counted exactly or its model has fallbacks. Promises for each line of a
 *   batch took an eighth of the main thread's time
 * @throws SluiceError of one of the 4xx codes, with the field at fault; the promise rejects with the same errors, and
 *   with `unavailable` if its tokens cannot be counted now
 */
export function buildJob(
  context: FeasibilityContext,
  input: SubmitInput,
  caller: Caller,
  given: Given = {},
): Job | Promise<Job> {
  const job = uncountedJob(context, input, caller, given);
  if ("native" in input) return withTokens(context, job, checkFeasibility(context, job), false);
  if ("embeddings" in input) {
    const total = tokensOfAllCalls(context, job);
    if (total) job.totalTokens = total;
    return withTokens(context, job, checkFeasibility(context, job), false);
  }
  const tokens = checkFeasibility(context, job, input.fieldNames);
  const hasFallbacks = !input.fallbackModels && context.settings.models[job.model]!.fallbackModels.length > 0;
  return withTokens(context, job, tokens, hasFallbacks);
}

function withTokens(
  context: FeasibilityContext,
  job: Job,
  tokens: TokenCount | Promise<TokenCount>,
  hasFallbacks: boolean,
): Job | Promise<Job> {
  if (tokens instanceof Promise || hasFallbacks) return completed(context, job, tokens, hasFallbacks);
  job.tokens = tokens;
  return job;
}

async function completed(
  context: FeasibilityContext,
  job: Job,
  tokens: TokenCount | Promise<TokenCount>,
  hasFallbacks: boolean,
): Promise<Job> {
  job.tokens = await tokens;
  if (hasFallbacks) await addFallbacks(context, job);
  return job;
}

/** Returns the job without its tokens, which are 0. */
function uncountedJob({ settings, clock }: FeasibilityContext, input: SubmitInput, caller: Caller, given: Given): Job {
  const submittedAt = given.submittedAt ?? clock.wall();
  const target = targetOf(settings, input);
  const environment = environmentFor(settings, caller, input.environment);
  const priority = priorityFor(caller, input.priority);
  const regions = regionsFor(settings, caller, regionsOf(input, target.regions));
  requireServedModel(settings, caller, target);
  const deadline = input.expiresInMs === undefined ? undefined : submittedAt + input.expiresInMs;
  const notBefore = input.notBefore && startTime(settings, input.notBefore, submittedAt, deadline);
  const webhookUrl = input.webhookUrl === undefined ? undefined : checkWebhookUrl(settings, input.webhookUrl);
  const job: Job = {
    id: given.id ?? newJobId(),
    environment,
    tenant: caller.tenant,
    priority,
    model: target.model,
    fallbackModels: target.fallbackModels,
    tokens: { input: 0, output: 0 },
    submittedAt,
    onUnknown: input.onUnknown ?? "retry",
    request: target.requestOf(),
  };
  if (regions) job.regions = regions;
  if (target.baseModel !== undefined) job.baseModel = target.baseModel;
  if (caller.keyId !== undefined) job.keyId = caller.keyId;
  if (notBefore !== undefined) job.notBefore = notBefore;
  const expiresAt = given.expiresAt ?? deadline;
  if (expiresAt !== undefined) job.expiresAt = expiresAt;
  if (input.metadata) job.metadata = input.metadata;
  if (input.ephemeral) job.ephemeral = true;
  if (webhookUrl !== undefined) job.webhookUrl = webhookUrl;
  if (input.waitingCaller) job.waitingCaller = input.waitingCaller;
  if (input.trace) job.trace = input.trace;
  if (given.linkedTrace) job.linkedTrace = given.linkedTrace;
  if (given.batchId !== undefined) job.batchId = given.batchId;
  if (given.customId !== undefined) job.customId = given.customId;
  return job;
}

/**
 * Returns the requested regions, limited to those that the model's ID allows.
 * @throws SluiceError `invalid_request` if none is left
 */
function regionsOf({ regions, model }: SubmitInput, allowed: string[] | undefined): string[] | undefined {
  const both = allowed && regions ? regions.filter((region) => allowed.includes(region)) : (regions ?? allowed);
  if (both?.length !== 0 || !allowed) return both;
  const message = `regions must have one of ${allowed.join(", ")}, because the model is ${model}; got ${regions?.join(", ")}.`;
  throw new SluiceError("invalid_request", message, { field: "regions" });
}

/** Returns the models that may answer, where its ID allows them to run, and what builds the request for them. */
function targetOf(
  settings: Settings,
  input: SubmitInput,
): Pick<Job, "model" | "fallbackModels" | "baseModel" | "regions"> & { requestOf: () => JobRequest } {
  if ("native" in input) {
    const target = nativeModelOf(settings, input.model);
    return { ...target, fallbackModels: [], requestOf: () => nativeRequestOf(settings, input, target) };
  }
  if ("embeddings" in input) {
    const target = embeddingModelOf(settings, input.model);
    return { ...target, fallbackModels: [], requestOf: () => embeddingRequestOf(settings, input) };
  }
  const { model = settings.defaultModel, fallbackModels: others = [] } = input;
  const fallbackModels = [...new Set(others)].filter((name) => name !== model);
  return {
    model,
    fallbackModels,
    requestOf: () => canonicalRequestOf(settings, input, { model, fallbackModels }),
  };
}

/** Returns the request in canonical form. @throws SluiceError as `checkContent`, and of `max_tokens` */
function canonicalRequestOf(
  settings: Settings,
  input: CanonicalInput,
  wanted: { model: string; fallbackModels: string[] },
): CanonicalRequest {
  checkContent(input, settings.limits);
  const parameters = parametersOf(input, maxTokensOf(settings, wanted, input));
  const request: CanonicalRequest = { messages: input.messages, parameters };
  if (input.system?.trim()) request.system = input.system;
  if (input.systemCachePoint) request.systemCachePoint = input.systemCachePoint;
  if (input.tools?.length) {
    request.tools = input.tools;
    if (input.toolChoice) request.toolChoice = input.toolChoice;
    if (input.parallelToolCalls !== undefined) request.parallelToolCalls = input.parallelToolCalls;
  }
  if (input.responseFormat) request.responseFormat = input.responseFormat;
  if (input.serviceTier) request.serviceTier = input.serviceTier;
  if (input.guardrail) request.guardrail = input.guardrail;
  return request;
}

/** Returns the requested parameters. The model chooses the others. */
function parametersOf(input: CanonicalInput, maxTokens: number): Parameters {
  const parameters: Parameters = { maxTokens };
  if (input.temperature !== undefined) parameters.temperature = input.temperature;
  if (input.topP !== undefined) parameters.topP = input.topP;
  if (input.topK !== undefined) parameters.topK = input.topK;
  if (input.stop?.length) parameters.stop = input.stop;
  if (input.seed !== undefined) parameters.seed = input.seed;
  // Clients send zeros by default, even to models without penalties.
  if (input.frequencyPenalty) parameters.frequencyPenalty = input.frequencyPenalty;
  if (input.presencePenalty) parameters.presencePenalty = input.presencePenalty;
  if (input.reasoningEffort !== undefined) parameters.reasoningEffort = input.reasoningEffort;
  return parameters;
}

/**
 * Returns the job's max_tokens.
 * @throws SluiceError `unknown_model`, `invalid_request`
 */
function maxTokensOf(
  settings: Settings,
  wanted: { model: string; fallbackModels: string[] },
  { maxTokens: requested, maxTokensField: field = "max_tokens" }: CanonicalInput,
): number {
  const models = modelsOf(settings, wanted);
  const limit = Math.min(...models.map((m) => m.maxOutputTokensLimit));
  if (requested === undefined) return Math.min(models[0].maxOutputTokens, limit);
  if (requested < 1 || requested > limit) {
    throw new SluiceError("invalid_request", `${field} must be an integer between 1 and ${limit}; got ${requested}.`, {
      field,
    });
  }
  return requested;
}
