// Converts errors under the paths of the Bedrock Runtime API to AWS's form. Its SDKs choose their error classes by name,
// and decide by name and status whether to repeat a call.
import Type from "typebox";
import type { ErrorCode, SluiceError } from "../../domain/errors.ts";

/** Beginnings of the paths of Bedrock Runtime. Operations that Sluice lacks get AWS's form of errors, too. */
const beginnings = ["/model/", "/guardrail/", "/async-invoke"];

/** Returns whether the path belongs to the Bedrock Runtime API. */
export function isBedrockPath(url: string): boolean {
  return beginnings.some((text) => url.startsWith(text));
}

/** The schema of an error in AWS's form. Fastify registers it under this `$id`, and routes refer to it. */
export const bedrockErrorSchema = Type.Object(
  {
    message: Type.String({
      description: "A description of the error for people. The header x-amzn-errortype names it.",
    }),
  },
  { $id: "BedrockError", additionalProperties: false },
);

/** Statuses of AWS's errors. SDKs repeat a call after 5xx and after 429. Sluice never sends 429 here. */
const statuses = {
  AccessDeniedException: 403,
  ConflictException: 400,
  InternalServerException: 500,
  ModelErrorException: 424,
  ModelStreamErrorException: 424,
  ModelTimeoutException: 408,
  RequestEntityTooLargeException: 413,
  RequestTimeoutException: 408,
  ResourceNotFoundException: 404,
  ServiceQuotaExceededException: 400,
  ServiceUnavailableException: 503,
  UnknownOperationException: 404,
  UnrecognizedClientException: 403,
  UnsupportedMediaTypeException: 415,
  ValidationException: 400,
} as const;

type ExceptionName = keyof typeof statuses;

/**
 * The exception of each error. If a repeated call cannot help, SDKs must not repeat the exception. No error is a
 * ThrottlingException, because Sluice queues a call that a quota does not admit.
 */
const exceptions: Readonly<Record<ErrorCode, ExceptionName>> = {
  invalid_request: "ValidationException",
  invalid_json: "ValidationException",
  unknown_environment: "ValidationException",
  unknown_model: "ResourceNotFoundException",
  unauthenticated: "UnrecognizedClientException",
  budget_exceeded: "ServiceQuotaExceededException",
  forbidden: "AccessDeniedException",
  cross_origin: "AccessDeniedException",
  not_found: "UnknownOperationException",
  job_not_found: "ResourceNotFoundException",
  file_not_found: "ResourceNotFoundException",
  batch_not_found: "ResourceNotFoundException",
  delivery_not_found: "ResourceNotFoundException",
  method_not_allowed: "UnknownOperationException",
  request_timeout: "RequestTimeoutException",
  conflict: "ConflictException",
  idempotency_conflict: "ConflictException",
  too_large: "RequestEntityTooLargeException",
  unsupported_media_type: "UnsupportedMediaTypeException",
  exceeds_quota: "ValidationException",
  config_invalid: "ValidationException",
  limit_exceeded: "ServiceQuotaExceededException",
  internal: "InternalServerException",
  unavailable: "ServiceUnavailableException",
  paused: "ServiceUnavailableException",
  still_waiting: "ServiceUnavailableException",
  fate_unknown: "ServiceUnavailableException",
  storage_full: "ServiceUnavailableException",

  provider_rejected: "ValidationException",
  context_exceeded: "ValidationException",
  content_filtered: "ValidationException",
  malformed_output: "ModelErrorException",
  answer_too_large: "ModelErrorException",
  model_unavailable: "ModelErrorException",
  tries_exhausted: "ModelErrorException",
  unknown_end: "ModelErrorException",
  expired: "ModelTimeoutException",
  stream_interrupted: "ModelStreamErrorException",
  wait_timeout: "ServiceUnavailableException",
  cancelled: "ConflictException",
  caller_disconnected: "ConflictException",
};

/** An error in AWS's form. */
export interface BedrockError {
  /** Name of the exception, such as ValidationException. */
  name: ExceptionName;
  status: number;
  message: string;
}

/** Returns the status of an error. */
export function bedrockStatusOf(code: ErrorCode): number {
  return statuses[exceptions[code]];
}

export function bedrockErrorOf({ code, message }: Pick<SluiceError, "code" | "message">): BedrockError {
  const name = exceptions[code];
  return { name, status: statuses[name], message: code === "unauthenticated" ? `${message} ${howToSend}` : message };
}

const howToSend =
  "AWS's SDKs send the key if the environment variable AWS_SESSION_TOKEN is set to it, next to any access key.";

/** Names of the exceptions that both streamed operations define. */
const streamed: ReadonlySet<ExceptionName> = new Set([
  ...(["InternalServerException", "ModelStreamErrorException", "ServiceUnavailableException"] as const),
  "ValidationException" as const,
]);

/** Returns the `:exception-type` of an error within a stream, such as `validationException`. */
export function streamExceptionOf(code: ErrorCode): string {
  const name = exceptions[code];
  const known = streamed.has(name) ? name : "ModelStreamErrorException";
  return `${known[0]!.toLowerCase()}${known.slice(1)}`;
}
