// Defines the bodies of POST /enqueue and POST /v1/jobs, and converts them to submit input.
import Type, { type Static } from "typebox";
import type { Settings } from "../config/settings.ts";
import { type ErrorCode, SluiceError } from "../domain/errors.ts";
import type { CachePoint, Message } from "../domain/request.ts";
import type { CanonicalInput, NativeInput, SubmitInput } from "../jobs/submit/submit-input.ts";
import { contentFields, conversationField, conversationOf, formatOf, toolsOf } from "./job-content.ts";
import { nativeField, nativeInputOf } from "./native-resource.ts";
import {
  environmentField,
  notBeforeForms,
  notBeforeOf,
  placementFields,
  priority,
  reasoningEffort,
  samplingFields,
  stopTexts,
  submitFields,
  submitFieldsInput,
} from "./request-fields.ts";

/** Returns the fields of both requests. Later checks apply the stricter limits of a model. */
function commonFields(settings: Settings) {
  return {
    environment: environmentField(settings, "Required unless the API key has exactly one."),
    system: Type.Optional(Type.String({ description: "System instructions, sent before the conversation." })),
    max_tokens: Type.Optional(
      Type.Integer({
        minimum: 1,
        description:
          "Maximum number of tokens in the answer. Reserved in the quotas during the call, so a lower value lets more jobs run.",
      }),
    ),
    priority: Type.Optional(priority("Default: standard.")),
    ...submitFields(settings),
  };
}

export function enqueueBody(settings: Settings) {
  return Type.Object(
    { prompt: Type.String({ description: "The text sent to the model." }), ...commonFields(settings) },
    {
      additionalProperties: false,
      examples: [{ prompt: "Why is the sky blue?", environment: Object.keys(settings.environments)[0] }],
    },
  );
}

export function jobBody(settings: Settings) {
  return Type.Object(
    {
      prompt: Type.Optional(Type.String({ description: "A single user message. Set either prompt or messages." })),
      messages: conversationField,
      native: nativeField,
      ...commonFields(settings),
      stop: Type.Optional(stopTexts),
      ...contentFields,
      ...placementFields,
      ...samplingFields,
      reasoning_effort: Type.Optional(reasoningEffort),
      not_before: Type.Optional(
        Type.Union(notBeforeForms(settings), {
          description: "Earliest start: a time, or a number of seconds from now.",
        }),
      ),
    },
    {
      additionalProperties: false,
      examples: [{ prompt: "Why is the sky blue?", environment: Object.keys(settings.environments)[0] }],
    },
  );
}

type EnqueueBody = Static<ReturnType<typeof enqueueBody>>;
type JobBody = Static<ReturnType<typeof jobBody>>;

/** Error codes that a submit may return. */
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

/**
 * Converts a body to submit input.
 * @throws SluiceError `invalid_request` for a valid body with none of prompt, messages and native, or with two of them
 */
export function submitInputOf(body: EnqueueBody | JobBody): SubmitInput {
  return "native" in body && body.native ? nativeJobOf(body, body.native) : conversationJobOf(body);
}

/** Fields that apply to a native request. The others are part of its body. */
const nativeFields = new Set([
  ...["native", "environment", "model", "priority", "regions", "on_unknown", "not_before", "expires_in"],
  ...["metadata", "webhook_url", "dry_run"],
]);

function nativeJobOf(body: JobBody, native: NonNullable<JobBody["native"]>): NativeInput {
  for (const field of Object.keys(body)) {
    if (nativeFields.has(field)) continue;
    const message = `${field} must not be set together with native: the body of a native request says it.`;
    throw new SluiceError("invalid_request", message, { field });
  }
  const { model, regions, onUnknown, expiresInMs, metadata, webhookUrl } = submitFieldsInput(body);
  return {
    native: nativeInputOf(native),
    environment: body.environment,
    priority: body.priority,
    notBefore: body.not_before === undefined ? undefined : notBeforeOf(body.not_before),
    ...{ model, regions, onUnknown, expiresInMs, metadata, webhookUrl },
  };
}

function conversationJobOf(body: EnqueueBody | JobBody): CanonicalInput {
  const { conversation, messagesField, ...system } = contentOf(body);
  const job: Partial<JobBody> = body;
  return {
    environment: body.environment,
    messages: conversation,
    messagesField,
    maxTokens: body.max_tokens,
    stop: job.stop,
    seed: job.seed,
    frequencyPenalty: job.frequency_penalty,
    presencePenalty: job.presence_penalty,
    reasoningEffort: job.reasoning_effort,
    tools: toolsOf(job.tools),
    toolChoice: job.tool_choice,
    responseFormat: formatOf(job.response_format),
    serviceTier: job.service_tier,
    guardrail: job.guardrail,
    priority: body.priority,
    notBefore: job.not_before === undefined ? undefined : notBeforeOf(job.not_before),
    // The spread comes last: V8 needs 3 us more for an object with fields after a spread.
    ...system,
    ...submitFieldsInput(body),
  };
}

interface RequestedContent {
  conversation: Message[];
  messagesField: "prompt" | "messages";
  system?: string;
  systemCachePoint?: CachePoint;
}

function contentOf(body: EnqueueBody | JobBody): RequestedContent {
  const messages = "messages" in body ? body.messages : undefined;
  if (messages && body.prompt !== undefined) {
    throw new SluiceError("invalid_request", "Set either prompt or messages, not both.", { field: "messages" });
  }
  if (!messages) {
    if (body.prompt === undefined) {
      throw new SluiceError("invalid_request", "prompt, messages or native is required.", { field: "prompt" });
    }
    const content = [{ type: "text" as const, text: body.prompt }];
    return { conversation: [{ role: "user", content }], messagesField: "prompt", system: body.system };
  }
  return { ...conversationOf(messages, body.system), messagesField: "messages" };
}
