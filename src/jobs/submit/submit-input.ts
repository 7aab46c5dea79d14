// Defines the input of a submit, common to all APIs, before the configuration adds defaults.
import type { Priority, WaitingCaller } from "../../domain/job.ts";
import type { NativeCall } from "../../domain/native-request.ts";
import type { CanonicalRequest, EmbeddingOptions, Message, Parameters } from "../../domain/request.ts";
import type { TraceContext } from "../../domain/trace-context.ts";
import type { FieldNames } from "./field-names.ts";
import type { RequestHeaders } from "./native-headers.ts";
import type { NotBefore } from "./not-before.ts";

/** The parts of the canonical request and its parameters that are used as requested. */
type Requested = Pick<
  CanonicalRequest,
  "systemCachePoint" | "tools" | "toolChoice" | "parallelToolCalls" | "responseFormat" | "serviceTier" | "guardrail"
> &
  Partial<Parameters>;

/** A requested job. An absent field takes its default from the configuration. */
export type SubmitInput = CanonicalInput | NativeInput | EmbeddingInput;

/** A requested job whose conversation is in canonical form. */
export interface CanonicalInput extends JobInput, Requested {
  messages: Message[];
  /** The caller's name of the messages, for errors. */
  messagesField: "prompt" | "messages" | "input";
  /** The caller's names of other fields, for errors. Default: as `POST /v1/jobs` does. */
  fieldNames?: FieldNames;
  system?: string;
  /** A configured alias. Default: `defaultModel`. */
  model?: string;
  /** Default: the model's `maxOutputTokens`. */
  maxTokens?: number;
  /** The caller's name of the field, for errors. Default: `max_tokens`. */
  maxTokensField?: "max_tokens" | "max_completion_tokens" | "max_output_tokens";
  fallbackModels?: string[];
}

/** A requested job in Bedrock's own format. It has no fallbacks, because its body is written for one model. */
export interface NativeInput extends JobInput {
  native: Omit<NativeCall, "headers"> & {
    /** Headers of the caller. Those of the allow list are sent, and anthropic-beta becomes a field of the body. */
    headers?: RequestHeaders;
  };
  /** An alias, or Bedrock's ID or ARN of a model or an inference profile. Default: `defaultModel`. */
  model?: string;
}

/** Requested vectors of texts. They have no fallbacks, because vectors of two models cannot be compared. */
export interface EmbeddingInput extends JobInput {
  /** The texts to embed, in order. */
  texts: string[];
  embeddings: Omit<EmbeddingOptions, "texts">;
  /** A configured alias. */
  model: string;
}

/** The fields of every requested job. */
interface JobInput {
  /** May be absent if the caller has exactly one. */
  environment?: string;
  /** Default: `standard`. */
  priority?: Priority;
  regions?: string[];
  /** Default: `retry`. */
  onUnknown?: "retry" | "fail";
  /** The earliest start. Default: at once. */
  notBefore?: NotBefore;
  /** Milliseconds from the submit to the deadline. Default: no deadline. */
  expiresInMs?: number;
  metadata?: Record<string, string>;
  /** Whether to erase prompt and answer once the job has ended and its caller was answered. Default: false. */
  ephemeral?: boolean;
  /** URL that receives a webhook when the job ends. */
  webhookUrl?: string;
  /** Set for a synchronous call. */
  waitingCaller?: WaitingCaller;
  /** The submitter's trace. */
  trace?: TraceContext;
}
