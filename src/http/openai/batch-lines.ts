// What a line of a batch may call, and how it is answered: what the endpoint itself takes and gives.
import type { Settings } from "../../config/settings.ts";
import { type ErrorCode, errorTable } from "../../domain/errors.ts";
import type { LineFormats } from "../../jobs/batches/lines.ts";
import { chatReader } from "./chat-request.ts";
import { chatCompletionOf } from "./chat-response.ts";
import { openAiErrorOf, openAiStatusOf } from "./errors.ts";

export function lineFormats(settings: Settings): LineFormats {
  return {
    "/v1/chat/completions": {
      read: chatReader(settings),
      respond: (job, outcome) => chatCompletionOf({ job, attempts: [], outcome }),
      fail: ({ code, message }) => {
        const known = Object.hasOwn(errorTable, code) ? (code as ErrorCode) : "internal";
        const error = openAiErrorOf({ code: known, message, details: {} });
        return { status: openAiStatusOf(known), body: { error } };
      },
    },
  };
}
