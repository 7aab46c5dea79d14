// Converts errors under OpenAI's paths to OpenAI's shape. Its clients choose their error classes by status.
import Type from "typebox";
import { type ErrorCode, errorTable, type SluiceError } from "../../domain/errors.ts";

const paths = /^\/v1\/(chat|embeddings|models|responses|files|batches)(?=[/?]|$)/;

/** Returns whether the path belongs to OpenAI's API. */
export function isOpenAiPath(url: string): boolean {
  return paths.test(url);
}

/** The schema of an error in OpenAI's shape. Fastify registers it under this `$id`, and routes refer to it. */
export const openAiErrorSchema = Type.Object(
  {
    error: Type.Object({
      message: Type.String({ description: "A description of the error for people." }),
      type: Type.String({ description: "OpenAI's category of the error." }),
      param: Type.Union([Type.String(), Type.Null()], { description: "The field that is at fault." }),
      code: Type.String({ description: "A code from docs/errors.md, or model_not_found." }),
    }),
  },
  { $id: "OpenAIError", additionalProperties: false },
);

/** Returns `SluiceError.status`, except 404 for an unknown model, as OpenAI's clients expect. */
export function openAiStatusOf(code: ErrorCode): number {
  return code === "unknown_model" ? 404 : errorTable[code].status;
}

export function openAiErrorOf({ code, message, details }: Pick<SluiceError, "code" | "message" | "details">) {
  const status = openAiStatusOf(code);
  return {
    message,
    type: typeOf(status),
    param: details.field ?? null,
    code: code === "unknown_model" ? "model_not_found" : code,
  };
}

function typeOf(status: number): string {
  if (status >= 500) return "server_error";
  switch (status) {
    case 401:
      return "authentication_error";
    case 402:
      return "insufficient_quota";
    case 403:
      return "permission_error";
    case 429:
      return "rate_limit_error";
    default:
      return "invalid_request_error";
  }
}
