// Taking jobs in: check everything, build the one canonical form, store durably, put into the queue.
import type { BatchId } from "../../domain/batch.ts";
import { SluiceError } from "../../domain/errors.ts";
import { newJobId } from "../../domain/ids.ts";
import type { Job } from "../../domain/job.ts";
import type { CanonicalRequest, Parameters } from "../../domain/request.ts";
import type { StagedJobs } from "../../store/job-store.ts";
import { anybody, type Caller, wasAbandoned } from "../caller.ts";
import type { JobsContext } from "../jobs-context.ts";
import { type QueuedJob, queueEntryOf } from "../queue-entry.ts";
import { expectDeliveries } from "../webhooks/webhook-records.ts";
import { checkWebhookUrl } from "../webhooks/webhook-url.ts";
import { checkContent, checkMessages, checkTools } from "./content.ts";
import { markEphemeral } from "./ephemeral.ts";
import { type AdmissionContext, admitCounted, admitEstimated, admitWithFallbacks, modelsOf } from "./feasibility.ts";
import { bindOnce, findOnce, type Once } from "./idempotency.ts";
import { startTime } from "./not-before.ts";
import { environmentFor, priorityFor, regionsFor, requireServedModel } from "./policy.ts";
import type { SubmitInput } from "./submit-input.ts";

/**
 * Accepts all of the jobs or none. When it resolves they are durable.
 * @throws SluiceError of one of the 4xx codes, with the field at fault; or what the store throws.
 */
export async function submit(
  context: JobsContext,
  inputs: readonly SubmitInput[],
  caller: Caller = anybody,
): Promise<Job[]> {
  const jobs: Job[] = [];
  for (const input of inputs) jobs.push(await buildJob(context, input, caller));
  await accept(context, jobs);
  return jobs;
}

export interface SubmitHooks {
  /** Runs before a new job is accepted, not for one that is found. What it throws refuses the job. */
  beforeNew?: (job: Job) => Promise<void>;
  /** Receives a new job before it is stored, so that a listener misses no event. */
  onNew?: (job: Job) => void;
}

/**
 * Accepts a job, or returns the job that was accepted under the same key before. A job that was cancelled because its
 * caller had disconnected was never answered: it does not count, and a new one is accepted.
 * @throws SluiceError as `submit`, and `idempotency_conflict`
 */
export async function submitOnce(
  context: JobsContext,
  input: SubmitInput,
  caller: Caller,
  once: Once | undefined,
  { beforeNew, onNew }: SubmitHooks = {},
): Promise<Job> {
  const find = (id: string) => findSubmitted(context, id);
  const submitted = await findOnce(context, caller, once, find);
  if (submitted) return submitted;

  const checked = await buildJob(context, input, caller);
  await context.limits?.check([checked]);
  await beforeNew?.(checked);

  const { id, existing } = await bindOnce(context, caller, once, newJobId, find);
  if (existing) return existing;
  const job = { ...checked, id };
  onNew?.(job);
  await accept(context, [job]);
  return job;
}

/** Returns null for a job that was cancelled because its caller had disconnected. */
async function findSubmitted({ store }: JobsContext, id: string): Promise<Job | null | undefined> {
  const record = await store.get(id);
  return record && wasAbandoned(record) ? null : record?.job;
}

/**
 * Sets aside what the limits of keys ask for, stores jobs and puts those that are new into the queue. A job that cannot be queued now is accepted all the same:
 * the record is the truth, and the reconciler adds what the queue lacks.
 */
export async function accept(context: JobsContext, jobs: readonly Job[]): Promise<void> {
  const { store, limits } = context;
  await limits?.reserve(jobs);
  let results: ("inserted" | "exists")[];
  let tried = false;
  try {
    await markEphemeral(context, jobs);
    await expectDeliveries(context, jobs);
    tried = true;
    results = await store.insertMany(jobs);
    limits?.stored(jobs.length);
  } catch (error) {
    const mayBeStored = tried && error instanceof SluiceError && error.code === "fate_unknown";
    if (mayBeStored) limits?.stored(jobs.length);
    // If that fails as well, it is found later that the jobs never came.
    else await limits?.release(jobs).catch(() => {});
    if (mayBeStored && jobs.length === 1) {
      throw new SluiceError("fate_unknown", error.message, { ...error.details, jobId: jobs[0]!.id }, { cause: error });
    }
    throw error;
  }
  const inserted = jobs.filter((_, i) => results[i] === "inserted");
  announce(context, inserted);
  context.onAccepted?.(inserted);
  await enqueue(context, inserted);
}

/**
 * Accepts the next lines of a batch that are laid ready. Their key has no limits, and none of them needs anything else to be on
 * record before it is (for a webhook, for an end without texts).
 */
export async function acceptStaged(
  context: JobsContext,
  staged: StagedJobs,
  batchId: BatchId,
  jobs: readonly QueuedJob[],
): Promise<void> {
  const { limits } = context;
  await limits?.reserveRoom(jobs.length, batchId);
  let known: Set<string>;
  try {
    known = new Set(await staged.insert(jobs.length));
    limits?.stored(jobs.length);
  } catch (error) {
    limits?.releaseRoom(jobs.length, batchId);
    throw error;
  }
  const inserted = known.size === 0 ? jobs : jobs.filter(({ id }) => !known.has(id));
  announce(context, inserted);
  await enqueue(context, inserted);
}

function announce({ events }: JobsContext, inserted: readonly QueuedJob[]): void {
  for (const { id, environment, submittedAt } of inserted) {
    events.publish({ type: "state", jobId: id, environment, state: "queued", at: submittedAt });
  }
}

async function enqueue({ scheduler, clock, log }: JobsContext, inserted: readonly QueuedJob[]): Promise<void> {
  if (inserted.length === 0) return;
  try {
    const now = clock.wall();
    await scheduler.enqueue(inserted.map((job) => queueEntryOf(job, now)));
  } catch (error) {
    log.warn({ err: error, jobs: inserted.length }, "failed to queue accepted jobs; the reconciler adds them");
  }
}

/** What a job is given that its caller does not ask for. */
export type Given = Partial<Pick<Job, "id" | "submittedAt" | "expiresAt" | "batchId" | "customId">>;

/**
 * The job that is asked for, checked; nothing is stored. It has a new id and is submitted now, unless both are given. Only
 * a job that has to be counted exactly, or gets fallbacks, is waited for: a batch has a million, and hardly one of them is.
 * @throws SluiceError, at once or later, of one of the 4xx codes, with the field at fault; `unavailable` if it cannot be
 *   counted now
 */
export function buildJob(
  context: AdmissionContext,
  input: SubmitInput,
  caller: Caller,
  given?: Given,
): Job | Promise<Job> {
  const job = uncountedJob(context, input, caller, given);
  const { model, fallbackModels, regions, request } = job;
  const wanted = { model, fallbackModels, regions };
  if (!input.fallbackModels && context.settings.models[model]?.fallbackModels.length) {
    return admitWithFallbacks(context, wanted, request, input.fieldNames).then((admitted) =>
      Object.assign(job, admitted),
    );
  }
  const tokens = admitEstimated(context, wanted, request, input.fieldNames);
  if (!tokens) return admitCounted(context, wanted, request).then((counted) => Object.assign(job, { tokens: counted }));
  job.tokens = tokens;
  return job;
}

const uncounted = { input: 0, output: 0 };

/** All of the job but its tokens. */
function uncountedJob(context: AdmissionContext, input: SubmitInput, caller: Caller, given?: Given): Job {
  const { settings, clock } = context;
  const submittedAt = given?.submittedAt ?? clock.wall();
  const environment = environmentFor(settings, caller, input.environment);
  const priority = priorityFor(caller, input.priority);
  const regions = regionsFor(settings, caller, input.regions);
  const deadline = input.expiresInMs === undefined ? undefined : submittedAt + input.expiresInMs;
  const notBefore = input.notBefore && startTime(settings, input.notBefore, submittedAt, deadline);
  const webhookUrl = input.webhookUrl === undefined ? undefined : checkWebhookUrl(settings, input.webhookUrl);
  checkContent(input, settings.limits.maxPromptBytes);
  checkTools(input.tools, input.toolChoice);
  checkMessages(input);

  const model = input.model ?? settings.defaultModel;
  const fallbackModels = input.fallbackModels
    ? [...new Set(input.fallbackModels)].filter((name) => name !== model)
    : [];
  const asked = { model, fallbackModels, regions };
  requireServedModel(settings, caller, model);
  const parameters = parametersOf(input, maxTokensOf(context, asked, input));
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
    id: given?.id ?? newJobId(),
    environment,
    tenant: caller.tenant,
    priority,
    model,
    fallbackModels,
    tokens: uncounted,
    submittedAt,
    onUnknown: input.onUnknown ?? "retry",
    request,
  };
  if (regions) job.regions = regions;
  if (caller.keyId !== undefined) job.keyId = caller.keyId;
  if (notBefore !== undefined) job.notBefore = notBefore;
  const expiresAt = given?.expiresAt ?? deadline;
  if (expiresAt !== undefined) job.expiresAt = expiresAt;
  if (input.metadata) job.metadata = input.metadata;
  if (input.ephemeral) job.ephemeral = true;
  if (webhookUrl !== undefined) job.webhookUrl = webhookUrl;
  if (input.waitingCaller) job.waitingCaller = input.waitingCaller;
  if (given?.batchId !== undefined) job.batchId = given.batchId;
  if (given?.customId !== undefined) job.customId = given.customId;
  return job;
}

/** Those that were asked for; the others are left to the model. */
function parametersOf(input: SubmitInput, maxTokens: number): Parameters {
  const parameters: Parameters = { maxTokens };
  if (input.temperature !== undefined) parameters.temperature = input.temperature;
  if (input.topP !== undefined) parameters.topP = input.topP;
  if (input.topK !== undefined) parameters.topK = input.topK;
  if (input.stop?.length) parameters.stop = input.stop;
  if (input.seed !== undefined) parameters.seed = input.seed;
  // Clients send zeros by habit, to models too that have no penalties.
  if (input.frequencyPenalty) parameters.frequencyPenalty = input.frequencyPenalty;
  if (input.presencePenalty) parameters.presencePenalty = input.presencePenalty;
  if (input.reasoningEffort !== undefined) parameters.reasoningEffort = input.reasoningEffort;
  return parameters;
}

/** @throws SluiceError `unknown_model`, `invalid_request` */
function maxTokensOf(
  { settings }: AdmissionContext,
  wanted: { model: string; fallbackModels: string[] },
  { maxTokens: asked, maxTokensField: field = "max_tokens" }: SubmitInput,
): number {
  const models = modelsOf(settings, wanted);
  const limit = Math.min(...models.map((m) => m.maxOutputTokensLimit));
  if (asked === undefined) return Math.min(models[0].maxOutputTokens, limit);
  if (asked < 1 || asked > limit) {
    throw new SluiceError("invalid_request", `${field} must be an integer between 1 and ${limit}; got ${asked}.`, {
      field,
    });
  }
  return asked;
}
