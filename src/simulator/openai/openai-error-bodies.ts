// The errors of OpenAI's API, in its format and words.
import { BedrockError } from "../aws-errors.ts";

interface Details {
  type?: string;
  code?: string;
  param?: string;
}

/** A request that is refused with an HTTP error, with OpenAI's additional details. */
export class OpenAiError extends BedrockError {
  readonly details: Details;

  constructor(status: number, message: string, details: Details = {}) {
    super(details.code ?? details.type ?? typeOf(status), message, status);
    this.details = details;
  }
}

/** Returns the body of an error, which is also its event in a stream. An injected error is classified by its status. */
export function errorBody(error: BedrockError): { error: Record<string, string | null> } {
  const { type, code, param } = error instanceof OpenAiError ? error.details : injected(error);
  const { status, message } = error;
  return { error: { message, type: type ?? typeOf(status), param: param ?? null, code: code ?? null } };
}

function injected({ status, message }: BedrockError): Details {
  return status === 429 ? { type: /token/i.test(message) ? "tokens" : "requests", code: "rate_limit_exceeded" } : {};
}

function typeOf(status: number): string {
  if (status === 401) return "authentication_error";
  if (status === 403) return "permission_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}

export function invalid(message: string, param: string): OpenAiError {
  return new OpenAiError(400, message, { param });
}

/** Creates the error for an unknown model. */
export function noModel(id: string): OpenAiError {
  const message = `The model '${id.slice(0, 200)}' does not exist or you do not have access to it.`;
  return new OpenAiError(404, message, { param: "model", code: "model_not_found" });
}
