// Converts a job to the one resource that /status and /v1/jobs return. Fields that do not apply are null.

import Type, { type Static } from "typebox";
import {
  type Attempt,
  type AttemptEnd,
  finalStates,
  isErased,
  type JobError,
  type JobHead,
  type JobState,
  type JobSummary,
  jobStates,
  priorities,
  type Usage,
} from "../domain/job.ts";
import { toUsd } from "../domain/money.ts";
import { canonicalPart } from "../domain/request.ts";
import { type AttemptsCost, attemptUsage, costOfAttempts } from "../domain/usage.ts";
import { type WaitPart, waitKinds } from "../domain/wait-parts.ts";
import { waitParts } from "../domain/waiting.ts";
import { type Pause, pausedPart, pauseSentence } from "../jobs/pause.ts";
import type { JobView } from "../jobs/read/view.ts";
import type { Explanation, WaitingOn } from "../scheduler/scheduler.ts";
import { embeddingsResource, embeddingsSchema } from "./embeddings-resource.ts";
import { reasoningFields } from "./job-content.ts";
import { nativeAnswerResource, nativeAnswerSchema } from "./native-resource.ts";
import { iso, isoOrNull, nullable, time } from "./resource-types.ts";

const error = Type.Object({
  code: Type.String({ description: "A code from docs/errors.md." }),
  message: Type.String(),
});

const usage = Type.Object({
  input_tokens: Type.Integer(),
  output_tokens: Type.Integer(),
  cache_read_tokens: nullable(Type.Integer()),
  cache_write_tokens: nullable(Type.Integer()),
  reasoning_tokens: nullable(
    Type.Integer({ description: "Part of output_tokens. Null if the provider does not report it." }),
  ),
});

const cost = "US dollars at the catalogue's prices. Null if nothing was used, or if usage or price is unknown.";

const shownResults = [
  "in_progress",
  "unknown",
  "completed",
  "throttled",
  "capacity",
  "transient",
  "permanent",
  "not_sent",
] as const;

const waited = Type.Object({
  kind: Type.Enum([...waitKinds], {
    description: "As in `waiting_on`. `unknown`: before the worker started, or while the queue could not be read.",
  }),
  subject: nullable(Type.String({ description: "The quota, the deployment, or what was paused." })),
  ms: Type.Integer(),
});

const attempt = Type.Object({
  number: Type.Integer({ description: "Counts from 1." }),
  deployment: Type.String(),
  model: Type.String({ description: "The alias that the deployment serves." }),
  started_at: time("When the call was charged to the quotas."),
  result: Type.Enum([...shownResults], {
    description: "`unknown`: the call was sent but its result is unknown, so it may have been billed.",
  }),
  error: nullable(error),
  tokens_reserved: Type.Object(
    { input: Type.Integer(), output: Type.Integer() },
    { description: "Tokens that the attempt was charged to the quotas when it started. The end corrects the charge." },
  ),
  usage: nullable(usage),
  usage_estimated: Type.Boolean({
    description:
      "True if the provider reported no usage. Then usage and cost_usd are estimates from the input and the output seen or reserved.",
  }),
  waited_ms: Type.Integer({
    description: "Time that the job waited before the attempt: since the submit, or since its previous attempt.",
  }),
  waited: Type.Array(waited, {
    description: "What the job waited for. The sum is `waited_ms`. Less than a second is always `turn`.",
  }),
  duration_ms: nullable(Type.Number()),
  first_token_ms: nullable(Type.Number()),
  tokens_per_second: nullable(Type.Number({ description: "Output tokens per second of the whole call." })),
  service_tier: nullable(Type.String({ description: "The service tier that the provider reports." })),
  cost_usd: nullable(Type.Number({ description: cost })),
});

export const waitingOn = Type.Object({
  message: Type.String({ description: "A sentence that explains the wait." }),
  kind: Type.Enum([
    "turn",
    "fairness",
    "paused",
    "quota",
    "concurrency",
    "cool_down",
    "out_of_service",
    "refused",
    "configuration",
    "delay",
    "rebuild",
    "starting",
    "not_queued_yet",
  ]),
  deployment: nullable(Type.String()),
  quota: nullable(Type.String()),
  reason: nullable(Type.String()),
});

const toolCall = Type.Object({
  id: Type.String(),
  name: Type.String(),
  arguments: Type.String({
    description: "The text that the model wrote, unchanged. It is usually a JSON object, but may be malformed.",
  }),
});

export const jobParams = Type.Object({ job_id: Type.String({ format: "uuid" }) });

/** The fields that a list shows of a job. */
const summaryFields = {
  job_id: Type.String({ format: "uuid" }),
  status: Type.Enum([...jobStates]),
  environment: Type.String(),
  tenant: Type.String(),
  model: Type.String({ description: "The requested alias." }),
  priority: Type.Enum([...priorities]),
  error: nullable(error),
  created_at: time("When the job was submitted."),
  finished_at: nullable(time(`When the job became ${finalStates.join(", ")}.`)),
  not_before: nullable(time("Earliest start time.")),
  expires_at: nullable(time("When the job expires if it has not ended.")),
  retry_of: nullable(Type.String({ format: "uuid", description: "The job that this one retries." })),
  metadata: nullable(Type.Record(Type.String(), Type.String())),
};

export const jobSummarySchema = Type.Object(summaryFields, { $id: "JobSummary" });

export const jobSchema = Type.Object(
  {
    ...summaryFields,
    text: nullable(Type.String({ description: "The answer. Null until the job completes." })),
    tool_calls: nullable(Type.Array(toolCall)),
    reasoning: nullable(
      Type.Array(Type.Object(reasoningFields), {
        description: "What the model thought before it answered. Null if the provider does not show it.",
      }),
    ),
    native: nullable(nativeAnswerSchema),
    embeddings: nullable(embeddingsSchema),
    finish_reason: nullable(
      Type.String({ description: "stop, length (the answer is truncated), tool_calls or content_filter." }),
    ),
    usage: nullable(usage),
    cost_usd: nullable(Type.Number({ description: `Cost of all attempts, including estimates. ${cost}` })),
    cost_usd_estimated: nullable(
      Type.Number({ description: "The part of cost_usd that is an estimate because the usage is unknown." }),
    ),
    deployment: nullable(
      Type.String({ description: "The id of the deployment that answered. GET /v1/deployments lists deployments." }),
    ),
    answered_by: nullable(
      Type.String({ description: "The alias that answered. Differs from model if a fallback answered." }),
    ),
    synthetic: Type.Boolean({
      description: "True if the text comes from the built-in simulator and not from a model.",
    }),
    erased: Type.Boolean({ description: "True if prompt and answer were erased, so that `text` is empty." }),
    max_tokens: Type.Integer(),
    temperature: nullable(Type.Number()),
    top_p: nullable(Type.Number()),
    service_tier: nullable(
      Type.String({ description: "The requested service tier. Null for the provider's default." }),
    ),
    position: nullable(
      Type.Integer({
        description: "Estimated place among the jobs that it competes with; 1 is next. Null unless queued.",
      }),
    ),
    waiting_on: nullable(waitingOn),
    eta: nullable(time("Expected start. Null if unknown, and once the job runs.")),
    expected_finish: nullable(time("Expected end, from the recent call durations of its model. Null if unknown.")),
    attempts: Type.Array(attempt, { description: "The calls to a provider, in order." }),
  },
  { $id: "Job" },
);

type JobResource = Static<typeof jobSchema>;
type JobSummaryResource = Static<typeof jobSummarySchema>;

/**
 * Returns a job as the API shows it.
 * @param now milliseconds since the epoch, the basis of `eta`
 */
export function jobResource(view: JobView, now: number): JobResource {
  const { job, state, outcome, attempts, queuePosition } = view;
  const waiting = state === "queued" && queuePosition?.state === "waiting" ? queuePosition : undefined;
  const { parameters } = canonicalPart(job.request);
  const last = attempts.at(-1);
  const running = state === "in_progress" && !last?.end ? last : undefined;
  // Old attempts may be removed; the outcome has their cost.
  const cost = attempts.length > 0 ? costOfAttempts(attempts.filter((a) => a !== running)) : costOfOutcome(outcome);
  return {
    ...summaryFieldsOf(job, state, outcome?.at, outcome?.error),
    text: outcome?.text ?? null,
    tool_calls: outcome?.toolCalls?.length ? outcome.toolCalls : null,
    reasoning: outcome?.reasoning ?? null,
    native: nativeAnswerResource(job, outcome),
    embeddings: embeddingsResource(view),
    finish_reason: outcome?.finishReason ?? null,
    usage: usageOf(outcome?.usage),
    cost_usd: usdOf(cost?.nanoUsd),
    cost_usd_estimated: usdOf(cost?.estimatedNanoUsd),
    deployment: outcome?.deployment ?? null,
    answered_by: outcome?.model ?? null,
    synthetic: outcome?.deployment?.startsWith("simulator/") ?? false,
    erased: isErased(job.request),
    max_tokens: parameters.maxTokens,
    temperature: parameters.temperature ?? null,
    top_p: parameters.topP ?? null,
    service_tier: job.request.serviceTier ?? null,
    position: waiting?.position ?? null,
    waiting_on: state === "queued" && queuePosition ? waitingOnOf(queuePosition, view.pause) : null,
    eta: waiting?.startsInMs === undefined ? null : iso(now + waiting.startsInMs),
    expected_finish: isoOrNull(view.expectedFinish),
    attempts: attempts.map((a, i) => attemptOf(a, waitParts(job, a, attempts.slice(0, i)), a === running)),
  };
}

function costOfOutcome(outcome: JobView["outcome"]): AttemptsCost | undefined {
  const { costNanoUsd: nanoUsd, estimatedNanoUsd = 0 } = outcome ?? {};
  return nanoUsd === undefined ? undefined : { nanoUsd, estimatedNanoUsd };
}

export function jobSummaryResource({ job, state, finishedAt, error }: JobSummary): JobSummaryResource {
  return summaryFieldsOf(job, state, finishedAt, error);
}

function summaryFieldsOf(job: JobHead, state: JobState, finishedAt?: number, error?: JobError): JobSummaryResource {
  return {
    job_id: job.id,
    status: state,
    environment: job.environment,
    tenant: job.tenant,
    model: job.model,
    priority: job.priority,
    error: error ?? null,
    created_at: iso(job.submittedAt),
    finished_at: isoOrNull(finishedAt),
    not_before: isoOrNull(job.notBefore),
    expires_at: isoOrNull(job.expiresAt),
    retry_of: job.retryOf ?? null,
    metadata: job.metadata ?? null,
  };
}

function attemptOf(record: Attempt, parts: readonly WaitPart[], mayRun: boolean): Static<typeof attempt> {
  const { end } = record;
  const used = mayRun ? undefined : attemptUsage(record);
  return {
    number: record.n,
    deployment: record.deployment,
    model: record.model,
    started_at: iso(record.chargedAt),
    result: resultOf(end, mayRun),
    error: end?.error ?? null,
    tokens_reserved: { input: record.reserved.input, output: record.reserved.output },
    usage: usageOf(used?.usage),
    usage_estimated: used?.estimated ?? false,
    waited_ms: parts.reduce((sum, { ms }) => sum + ms, 0),
    waited: parts.map(({ kind, subject = null, ms }) => ({ kind, subject, ms })),
    duration_ms: end?.durationMs ?? null,
    first_token_ms: end?.firstTokenMs ?? null,
    tokens_per_second: tokensPerSecond(end),
    service_tier: end?.serviceTier ?? null,
    cost_usd: usdOf(used?.nanoUsd),
  };
}

function resultOf(end: AttemptEnd | undefined, mayRun: boolean): (typeof shownResults)[number] {
  if (!end) return mayRun ? "in_progress" : "unknown";
  return end.result === "aborted" ? "unknown" : end.result;
}

/** Returns output tokens per second of the whole call, rounded to a tenth. */
function tokensPerSecond(end: AttemptEnd | undefined): number | null {
  if (!end?.usage || end.estimated || !end.durationMs) return null;
  return Math.round((end.usage.output * 10_000) / end.durationMs) / 10;
}

function usdOf(nanoUsd: number | undefined): number | null {
  return nanoUsd === undefined ? null : toUsd(nanoUsd);
}

function usageOf(usage: Usage | undefined) {
  return usage
    ? {
        input_tokens: usage.input,
        output_tokens: usage.output,
        cache_read_tokens: usage.cacheRead ?? null,
        cache_write_tokens: usage.cacheWrite ?? null,
        reasoning_tokens: usage.reasoning ?? null,
      }
    : null;
}

/**
 * Returns why a job waits.
 * @param pause the stored pause that the job waits for, if it is known
 */
export function waitingOnOf(queuePosition: Explanation, pause?: Pause): Static<typeof waitingOn> {
  if (queuePosition.state === "absent") {
    return { ...nothing, kind: "not_queued_yet", message: "It is stored and joins the queue within seconds." };
  }
  if (queuePosition.state === "running") {
    return { ...nothing, kind: "starting", deployment: queuePosition.deployment, message: "It is being started." };
  }
  return waitingOnResource(queuePosition.waitingOn, pause);
}

const nothing = { deployment: null, quota: null, reason: null };

/**
 * Returns what a job waits for.
 * @param pause the stored pause that the job waits for, if it is known
 */
export function waitingOnResource(on: WaitingOn, pause?: Pause): Static<typeof waitingOn> {
  const message = on.kind === "paused" && pause ? pauseSentence(pause) : sentence(on);
  if (on.kind !== "paused") return { ...nothing, ...on, message };
  const deployment = "deployment" in on.target ? on.target.deployment : null;
  return { ...nothing, kind: "paused", deployment, reason: pausedPart(on.target), message };
}

/** Ends a reason, which is a sentence or a few words, with a full stop. */
function ended(reason: string): string {
  return /[.!?]$/.test(reason) ? reason : `${reason}.`;
}

function sentence(on: WaitingOn): string {
  switch (on.kind) {
    case "turn":
      return "It may start at any moment.";
    case "fairness":
      return "Other jobs are ahead of it in the queue.";
    case "paused":
      return `It waits until ${pausedPart(on.target)} is resumed: an operator has paused it.`;
    case "quota":
      return `It waits for free capacity in the quota ${on.quota} of ${on.deployment}.`;
    case "concurrency":
      return `It waits for one of the running calls of ${on.deployment} to end.`;
    case "cool_down":
      return `It waits for ${on.deployment} to recover: ${ended(on.reason)}`;
    case "out_of_service":
      return `It waits for ${on.deployment}, which is out of service: ${ended(on.reason)}`;
    case "refused":
      return `${on.deployment} refused it. Sluice tries again later, and fails the job if other jobs are served: ${ended(on.reason)}`;
    case "configuration":
      return `It waits for another configuration: ${ended(on.reason)}`;
    case "delay":
      return "It waits for its time: a retry after an error, or not_before.";
    case "rebuild":
      return "It waits for the queue to be rebuilt after a start or a loss.";
  }
}
