// What a caller of any API asks for when it submits a job, before the configuration fills in the rest.
import type { Priority, WaitingCaller } from "../../domain/job.ts";
import type { CanonicalRequest, Message, Parameters } from "../../domain/request.ts";
import type { FieldNames } from "./field-names.ts";
import type { NotBefore } from "./not-before.ts";

/** What of the canonical request and its parameters is taken over as it is asked for. */
type Asked = Pick<
  CanonicalRequest,
  "systemCachePoint" | "tools" | "toolChoice" | "parallelToolCalls" | "responseFormat" | "serviceTier" | "guardrail"
> &
  Partial<Parameters>;

/** A job as it is asked for. What is absent takes its default from the configuration. */
export interface SubmitInput extends Asked {
  /** May be absent if the caller has only one. */
  environment?: string;
  messages: Message[];
  /** What the caller calls the messages; errors name it. */
  messagesField: "prompt" | "messages" | "input";
  /** What the caller's API calls other fields that may be refused. Default: as `POST /v1/jobs` does. */
  fieldNames?: FieldNames;
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
  /** The earliest start. */
  notBefore?: NotBefore;
  /** The deadline, counted from the submit. */
  expiresInMs?: number;
  metadata?: Record<string, string>;
  /** Leave neither prompt nor answer on record once the job has ended and its caller has been answered. */
  ephemeral?: boolean;
  /** Where the end of the job is posted. */
  webhookUrl?: string;
  /** Set for a synchronous call. */
  waitingCaller?: WaitingCaller;
}
