// Taking jobs in: check everything, build the one canonical form, store durably, put into the queue.
import { SluiceError } from "../domain/errors.ts";
import { newJobId } from "../domain/ids.ts";
import type { Job, Priority } from "../domain/job.ts";
import { type CanonicalRequest, type Message, normaliseMessages, type Parameters } from "../domain/request.ts";
import { type AdmissionContext, admit, modelsOf, requireEnvironment } from "./admission.ts";
import { anybody, type Caller } from "./caller.ts";
import type { JobsContext } from "./context.ts";
import { type Once, withIdempotency } from "./idempotency.ts";
import { queueEntryOf } from "./queue-entry.ts";

/** What of the canonical request and its parameters is taken over as it is asked for. */
type Asked = Pick<CanonicalRequest, "tools" | "toolChoice" | "responseFormat" | "serviceTier"> & Partial<Parameters>;

/** A job as it is asked for. What is absent takes its default from the configuration. */
export interface SubmitInput extends Asked {
  environment: string;
  messages: Message[];
  /** What the caller calls the messages; errors name it. */
  messagesField: "prompt" | "messages" | "input";
  system?: string;
  /** An alias of the configuration; `defaultModel` if absent. */
  model?: string;
  /** `maxOutputTokens` of the model if absent. */
  maxTokens?: number;
  /** What the caller calls it; errors name it. `max_tokens` if absent. */
  maxTokensField?: "max_tokens" | "max_completion_tokens" | "max_output_tokens";
  /** `standard` if absent. */
  priority?: Priority;
  regions?: string[];
  fallbackModels?: string[];
  /** `retry` if absent. */
  onUnknown?: "retry" | "fail";
  /** Not to start before a time (milliseconds since the epoch), or for so long from the submit. */
  notBefore?: { at: number } | { inMs: number };
  /** The deadline, counted from the submit. */
  expiresInMs?: number;
  metadata?: Record<string, string>;
  /** Leave neither prompt nor answer on record once the job has ended and its caller has been answered. */
  ephemeral?: boolean;
}

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

/**
 * Accepts a job; under a key that was used for it before, answers with the job of that time instead.
 * @param announce told of a job before it is stored, so that whoever listens to it misses nothing
 * @throws SluiceError as `submit`, and `idempotency_conflict`
 */
export function submitOnce(
  context: JobsContext,
  input: SubmitInput,
  caller: Caller,
  once: Once | undefined,
  announce?: (job: Job) => void,
): Promise<Job> {
  return withIdempotency(context, caller, once, {
    newId: newJobId,
    find: async (id) => (await context.store.get(id))?.job,
    prepare: () => buildJob(context, input, caller),
    async commit(id, prepared) {
      const job = { ...prepared, id };
      announce?.(job);
      await accept(context, [job]);
      return job;
    },
  });
}

/**
 * Stores jobs and puts those that are new into the queue. A job that cannot be queued now is accepted all the same:
 * the record is the truth, and the reconciler adds what the queue lacks.
 */
export async function accept(context: JobsContext, jobs: readonly Job[]): Promise<void> {
  const { store, scheduler, events, clock, log } = context;
  let results: ("inserted" | "exists")[];
  try {
    results = await store.insertMany(jobs);
  } catch (error) {
    if (error instanceof SluiceError && error.code === "fate_unknown" && jobs.length === 1) {
      throw new SluiceError("fate_unknown", error.message, { ...error.details, jobId: jobs[0]!.id }, { cause: error });
    }
    throw error;
  }
  const inserted = jobs.filter((_, i) => results[i] === "inserted");
  if (inserted.length === 0) return;
  for (const { id, environment, submittedAt } of inserted) {
    events.publish({ type: "state", jobId: id, environment, state: "queued", at: submittedAt });
  }
  context.onAccepted?.(inserted);
  try {
    const now = clock.wall();
    await scheduler.add(inserted.map((job) => queueEntryOf(job, now)));
  } catch (error) {
    log.warn({ err: error, jobs: inserted.length }, "accepted jobs could not be queued; the reconciler will add them");
  }
}

/**
 * The job that is asked for, checked and with a new id; nothing is stored.
 * @throws SluiceError of one of the 4xx codes, with the field at fault; `unavailable` if it cannot be counted now.
 */
export async function buildJob(context: AdmissionContext, input: SubmitInput, caller: Caller): Promise<Job> {
  const { settings, clock } = context;
  const submittedAt = clock.wall();
  requireEnvironment(settings, input.environment);
  const times = timesOf(input, submittedAt, settings.limits.maxExpiresInS);
  checkText(input, settings.limits.maxPromptBytes);
  const messages = askableMessages(input);

  const model = input.model ?? settings.defaultModel;
  const fallbackModels = [...new Set(input.fallbackModels ?? [])].filter((name) => name !== model);
  const wanted = { model, fallbackModels, ...(input.regions && { regions: input.regions }) };
  const parameters: Parameters = { maxTokens: maxTokensOf(context, wanted, input), ...parametersOf(input) };
  const request: CanonicalRequest = {
    messages,
    ...(input.system?.trim() && { system: input.system }),
    ...(input.tools?.length && { tools: input.tools }),
    ...(input.toolChoice !== undefined && { toolChoice: input.toolChoice }),
    ...(input.responseFormat && { responseFormat: input.responseFormat }),
    ...(input.serviceTier && { serviceTier: input.serviceTier }),
    parameters,
  };
  const tokens = await admit(context, wanted, request);

  return {
    id: newJobId(),
    environment: input.environment,
    tenant: caller.tenant,
    ...(caller.keyId !== undefined && { keyId: caller.keyId }),
    priority: input.priority ?? "standard",
    ...wanted,
    tokens,
    submittedAt,
    ...times,
    onUnknown: input.onUnknown ?? "retry",
    ...(input.metadata && { metadata: input.metadata }),
    ...(input.ephemeral && { ephemeral: true }),
    request,
  };
}

/** Those that were asked for; the others are left to the model. */
function parametersOf(input: SubmitInput): Omit<Parameters, "maxTokens"> {
  const { temperature, topP, topK, seed, frequencyPenalty, presencePenalty, reasoningEffort } = input;
  const stop = input.stop?.length ? input.stop : undefined;
  const asked = { temperature, topP, topK, stop, seed, frequencyPenalty, presencePenalty, reasoningEffort };
  return Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined));
}

/** @throws SluiceError `invalid_request` for a start that is too far away, or not before the deadline */
function timesOf(input: SubmitInput, now: number, maxS: number): { notBefore?: number; expiresAt?: number } {
  const expiresAt = input.expiresInMs === undefined ? undefined : now + input.expiresInMs;
  if (!input.notBefore) return expiresAt === undefined ? {} : { expiresAt };
  const notBefore = "at" in input.notBefore ? input.notBefore.at : now + input.notBefore.inMs;
  const field = "not_before";
  if (notBefore > now + maxS * 1000) {
    throw new SluiceError("invalid_request", `not_before must be at most ${maxS} seconds from now.`, { field });
  }
  if (expiresAt === undefined) return { notBefore };
  if (notBefore >= expiresAt) {
    throw new SluiceError("invalid_request", "not_before must be earlier than the deadline that expires_in sets.", {
      field,
    });
  }
  return { notBefore, expiresAt };
}

/** @throws SluiceError `too_large`, or `invalid_request` for text that is not Unicode */
function checkText(input: SubmitInput, maxBytes: number): void {
  const { messages, messagesField, system = "", stop = [], tools, responseFormat } = input;
  let bytes = Buffer.byteLength(system);
  requireUnicode(system, "system");
  for (const text of stop) requireUnicode(text, "stop");
  for (const block of messages.flatMap((m) => m.content)) {
    if (block.type === "cache_point") continue;
    const texts = block.type === "tool_call" ? [block.id, block.name, JSON.stringify(block.input)] : [block.text];
    if (block.type === "tool_result") texts.push(block.callId);
    for (const text of texts) {
      bytes += Buffer.byteLength(text);
      requireUnicode(text, messagesField);
    }
  }
  // As JSON, where half of a surrogate pair is escaped: what is checked is its size.
  for (const schema of [tools, responseFormat]) if (schema) bytes += Buffer.byteLength(JSON.stringify(schema));
  if (bytes > maxBytes) {
    throw new SluiceError(
      "too_large",
      `${messagesField} and system are ${bytes} bytes of UTF-8; at most ${maxBytes} are allowed.`,
      {
        field: messagesField,
      },
    );
  }
}

/** Half of a surrogate pair cannot be written as UTF-8: the provider would get another text than the caller sent. */
function requireUnicode(text: string, field: string): void {
  if (/\p{Surrogate}/u.test(text)) {
    throw new SluiceError("invalid_request", `${field} must be valid Unicode; it holds half of a surrogate pair.`, {
      field,
    });
  }
}

/** @throws SluiceError `invalid_request` if there is nothing that a model could answer */
function askableMessages({ messages, messagesField: field }: SubmitInput): Message[] {
  const normalised = normaliseMessages(messages);
  if (normalised.length === 0) {
    throw new SluiceError("invalid_request", `${field} must not be empty or only whitespace.`, { field });
  }
  if (normalised[0]!.role !== "user") {
    throw new SluiceError("invalid_request", `${field} must start with a message of the user that is not blank.`, {
      field,
    });
  }
  return normalised;
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
