// How a job is asked for: the bodies of POST /enqueue and POST /v1/jobs, and what they mean.
import Type, { type Static } from "typebox";
import type { Settings } from "../config/settings.ts";
import { type ErrorCode, SluiceError } from "../domain/errors.ts";
import { priorities } from "../domain/job.ts";
import type { CachePoint, Message } from "../domain/request.ts";
import type { SubmitInput } from "../jobs/submit-input.ts";
import { dryRunField } from "./dry-run-resource.ts";
import { contentFields, conversationField, conversationOf, toolsOf } from "./job-content.ts";
import { webhookUrlField } from "./webhook-resource.ts";

/** What both doors take. The limits are those of the configuration; the stricter ones of a model are checked later. */
function commonFields(settings: Settings) {
  return {
    environment: Type.Optional(
      Type.String({
        description: `Decides the database of the answer: ${Object.keys(settings.environments).join(" or ")}. Required, unless the API key has only one.`,
      }),
    ),
    model: Type.Optional(
      Type.String({
        description: `One of ${Object.keys(settings.models).join(", ")}; by default ${settings.defaultModel}.`,
      }),
    ),
    system: Type.Optional(Type.String({ description: "Instructions that stand before the conversation." })),
    max_tokens: Type.Optional(
      Type.Integer({
        minimum: 1,
        description:
          "Upper bound of the answer; reserved in the quotas while the call runs, so a tight one lets more jobs run.",
      }),
    ),
    temperature: Type.Optional(Type.Number({ minimum: 0, maximum: 2, description: "Bedrock takes up to 1." })),
    top_p: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
    priority: Type.Optional(Type.Enum([...priorities], { description: "By default standard." })),
    expires_in: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: settings.limits.maxExpiresInS,
        description: "Seconds; a job that has not completed by then expires. By default never.",
      }),
    ),
    metadata: Type.Optional(
      Type.Unsafe<Record<string, string>>({
        type: "object",
        additionalProperties: { type: "string", maxLength: 512 },
        maxProperties: 16,
        propertyNames: { minLength: 1, maxLength: 64 },
        description: "Labels of your own; they come back with the job.",
      }),
    ),
    webhook_url: Type.Optional(webhookUrlField("job")),
    ...dryRunField,
  };
}

export function enqueueBody(settings: Settings) {
  return Type.Object(
    { prompt: Type.String({ description: "What the model is asked." }), ...commonFields(settings) },
    {
      additionalProperties: false,
      examples: [{ prompt: "Why is the sky blue?", environment: Object.keys(settings.environments)[0] }],
    },
  );
}

export function jobBody(settings: Settings) {
  return Type.Object(
    {
      prompt: Type.Optional(Type.String({ description: "A single message of the user. Either this or messages." })),
      messages: conversationField,
      ...commonFields(settings),
      stop: Type.Optional(
        Type.Array(Type.String({ minLength: 1, maxLength: 256 }), {
          maxItems: 16,
          description: "The answer ends before any of these.",
        }),
      ),
      ...contentFields,
      regions: Type.Optional(
        Type.Array(Type.String({ minLength: 1, maxLength: 64 }), {
          minItems: 1,
          maxItems: 64,
          description: "Only deployments in these regions may serve the job. By default any.",
        }),
      ),
      fallback_models: Type.Optional(
        Type.Array(Type.String(), {
          maxItems: 8,
          description: "Used, in this order, when no deployment of the model is in service; the answer says so.",
        }),
      ),
      on_unknown: Type.Optional(
        Type.Enum(["retry", "fail"], {
          description: "What to do when a call was lost and may have been billed. By default retry.",
        }),
      ),
      not_before: Type.Optional(
        Type.Union(notBeforeForms(settings), {
          description: "A time, or seconds from now, before which the job does not start.",
        }),
      ),
    },
    {
      additionalProperties: false,
      examples: [{ prompt: "Why is the sky blue?", environment: Object.keys(settings.environments)[0] }],
    },
  );
}

/** A time, or seconds from now. */
export function notBeforeForms({ limits }: Settings): [Type.TString, Type.TNumber] {
  return [Type.String({ format: "date-time" }), Type.Number({ minimum: 0, maximum: limits.maxExpiresInS })];
}

type EnqueueBody = Static<ReturnType<typeof enqueueBody>>;
type JobBody = Static<ReturnType<typeof jobBody>>;

/** What a submit may answer besides the job. */
export const submitErrors: ErrorCode[] = [
  "invalid_request",
  "invalid_json",
  "unknown_environment",
  "forbidden",
  "limit_exceeded",
  "budget_exceeded",
  "unknown_model",
  "context_exceeded",
  "idempotency_conflict",
  "too_large",
  "unsupported_media_type",
  "exceeds_quota",
  "unavailable",
  "fate_unknown",
  "storage_full",
];

/** @throws SluiceError `invalid_request` for a body that its schema allows but that asks nothing, or two things */
export function submitInputOf(body: EnqueueBody | JobBody): SubmitInput {
  const { conversation, messagesField, ...system } = askedOf(body);
  const job: Partial<JobBody> = body;
  return {
    environment: body.environment,
    messages: conversation,
    messagesField,
    ...system,
    model: body.model,
    maxTokens: body.max_tokens,
    temperature: body.temperature,
    topP: body.top_p,
    topK: job.top_k,
    stop: job.stop,
    seed: job.seed,
    frequencyPenalty: job.frequency_penalty,
    presencePenalty: job.presence_penalty,
    reasoningEffort: job.reasoning_effort,
    tools: toolsOf(job.tools),
    toolChoice: job.tool_choice,
    responseFormat: job.response_format,
    serviceTier: job.service_tier,
    guardrail: job.guardrail,
    priority: body.priority,
    regions: job.regions,
    fallbackModels: job.fallback_models,
    onUnknown: job.on_unknown,
    notBefore: notBeforeOf(job.not_before),
    expiresInMs: body.expires_in === undefined ? undefined : body.expires_in * 1000,
    metadata: body.metadata,
    webhookUrl: body.webhook_url,
  };
}

interface Asked {
  conversation: Message[];
  messagesField: "prompt" | "messages";
  system?: string;
  systemCachePoint?: CachePoint;
}

function askedOf(body: EnqueueBody | JobBody): Asked {
  const messages = "messages" in body ? body.messages : undefined;
  if (messages && body.prompt !== undefined) {
    throw new SluiceError("invalid_request", "Give either prompt or messages, not both.", { field: "messages" });
  }
  if (!messages) {
    if (body.prompt === undefined) {
      throw new SluiceError("invalid_request", "prompt or messages is required.", { field: "prompt" });
    }
    const content = [{ type: "text" as const, text: body.prompt }];
    return { conversation: [{ role: "user", content }], messagesField: "prompt", system: body.system };
  }
  return { ...conversationOf(messages, body.system), messagesField: "messages" };
}

function notBeforeOf(value: string | number | undefined): SubmitInput["notBefore"] {
  if (value === undefined) return undefined;
  return typeof value === "string" ? { at: Date.parse(value) } : { inMs: Math.ceil(value * 1000) };
}
