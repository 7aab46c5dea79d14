// Converts a request to the canonical form of a job, and checks it completely. It stores nothing.
import type { Settings } from "../../config/settings.ts";
import { SluiceError } from "../../domain/errors.ts";
import { newJobId } from "../../domain/ids.ts";
import type { Job } from "../../domain/job.ts";
import type { CanonicalRequest, Parameters } from "../../domain/request.ts";
import type { TokenCount } from "../../domain/tokens.ts";
import type { Caller } from "../caller.ts";
import { checkWebhookUrl } from "../webhooks/webhook-url.ts";
import { checkContent } from "./content.ts";
import { addFallbacks, checkFeasibility, type FeasibilityContext, modelsOf } from "./feasibility.ts";
import { startTime } from "./not-before.ts";
import { environmentFor, priorityFor, regionsFor, requireServedModel } from "./policy.ts";
import type { SubmitInput } from "./submit-input.ts";

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
  const job = canonicalJob(context, input, caller, given);
  const tokens = checkFeasibility(context, job, input.fieldNames);
  const hasFallbacks = !input.fallbackModels && context.settings.models[job.model]!.fallbackModels.length > 0;
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
function canonicalJob({ settings, clock }: FeasibilityContext, input: SubmitInput, caller: Caller, given: Given): Job {
  const submittedAt = given.submittedAt ?? clock.wall();
  const model = input.model ?? settings.defaultModel;
  const environment = environmentFor(settings, caller, input.environment);
  const priority = priorityFor(caller, input.priority);
  const regions = regionsFor(settings, caller, input.regions);
  requireServedModel(settings, caller, model);
  const deadline = input.expiresInMs === undefined ? undefined : submittedAt + input.expiresInMs;
  const notBefore = input.notBefore && startTime(settings, input.notBefore, submittedAt, deadline);
  const webhookUrl = input.webhookUrl === undefined ? undefined : checkWebhookUrl(settings, input.webhookUrl);
  checkContent(input, settings.limits);

  const fallbackModels = input.fallbackModels
    ? [...new Set(input.fallbackModels)].filter((name) => name !== model)
    : [];
  const parameters = parametersOf(input, maxTokensOf(settings, { model, fallbackModels }, input));
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

  const job: Job = {
    id: given.id ?? newJobId(),
    environment,
    tenant: caller.tenant,
    priority,
    model,
    fallbackModels,
    tokens: { input: 0, output: 0 },
    submittedAt,
    onUnknown: input.onUnknown ?? "retry",
    request,
  };
  if (regions) job.regions = regions;
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

/** Returns the requested parameters. The model chooses the others. */
function parametersOf(input: SubmitInput, maxTokens: number): Parameters {
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
  { maxTokens: requested, maxTokensField: field = "max_tokens" }: SubmitInput,
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
