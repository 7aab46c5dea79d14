// Converts errors of Anthropic's API to its form. Its SDKs choose their error classes by status, and report the type.
import Type from "typebox";
import { type ErrorCode, errorTable, type SluiceError } from "../../domain/errors.ts";

/** Header that every client of Anthropic's API sends. */
export const versionHeader = "anthropic-version";

/** Returns whether the path belongs to Anthropic's API alone. */
export function isAnthropicPath(url: string): boolean {
  return /^\/v1\/messages(?=[/?]|$)/.test(url);
}

/** Returns whether a request is for Anthropic's API. OpenAI's API has the same path for models. */
export function isAnthropicCall({ url, headers }: { url: string; headers: Record<string, unknown> }): boolean {
  return isAnthropicPath(url) || (/^\/v1\/models(?=[/?]|$)/.test(url) && headers[versionHeader] !== undefined);
}

const types = [
  ...(["invalid_request_error", "authentication_error", "billing_error", "permission_error"] as const),
  ...(["not_found_error", "request_too_large", "rate_limit_error", "timeout_error"] as const),
  ...(["overloaded_error", "api_error", "conflict_error"] as const),
];

type ErrorType = (typeof types)[number];

/** The schema of an error in Anthropic's form. Fastify registers it under this `$id`, and routes refer to it. */
export const anthropicErrorSchema = Type.Object(
  {
    type: Type.Literal("error"),
    error: Type.Object({
      type: Type.Enum(types, { description: "Anthropic's category of the error." }),
      message: Type.String({ description: "A description of the error for people." }),
    }),
    request_id: Type.String({ description: "The id of the request in the service's log." }),
  },
  { $id: "AnthropicError", additionalProperties: false },
);

/** Returns `SluiceError.status`, except 404 for an unknown model and 400 for a request that no quota admits. */
export function anthropicStatusOf(code: ErrorCode): number {
  if (code === "unknown_model") return 404;
  const { status } = errorTable[code];
  return status === 422 ? 400 : status;
}

export function anthropicErrorOf({ code, message }: Pick<SluiceError, "code" | "message">, requestId: string) {
  const text = code === "unauthenticated" ? `${message} ${howToSend}` : message;
  return {
    type: "error" as const,
    error: { type: typeOf(anthropicStatusOf(code)), message: text },
    request_id: requestId,
  };
}

const howToSend = "Anthropic's SDKs send the key in x-api-key if ANTHROPIC_API_KEY is set to it.";

function typeOf(status: number): ErrorType {
  switch (status) {
    case 401:
      return "authentication_error";
    case 402:
      return "billing_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 409:
      return "conflict_error";
    case 413:
      return "request_too_large";
    case 429:
      return "rate_limit_error";
    case 503:
    case 507:
      return "overloaded_error";
    case 408:
    case 504:
      return "timeout_error";
    default:
      return status >= 500 ? "api_error" : "invalid_request_error";
  }
}
