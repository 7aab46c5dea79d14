// What a line of a batch may call, and how it is answered: what the endpoint itself takes and gives.
import type { Settings } from "../../config/settings.ts";
import { type ErrorCode, errorTable } from "../../domain/errors.ts";
import type { Job } from "../../domain/job.ts";
import type { LineFormat, LineFormats } from "../../jobs/batches/lines.ts";
import { chatReader } from "./chat-request.ts";
import { chatCompletionOf } from "./chat-response.ts";
import { openAiErrorOf, openAiStatusOf } from "./errors.ts";
import { refuse } from "./fields.ts";
import { responseReader } from "./responses-request.ts";
import { responseOf } from "./responses-response.ts";

export function lineFormats(settings: Settings): LineFormats {
  const readResponse = responseReader(settings);
  return {
    "/v1/chat/completions": {
      read: chatReader(settings),
      needsRequest: false,
      respond: (job, outcome) => chatCompletionOf({ job, attempts: [], outcome }),
      fail,
    },
    "/v1/responses": {
      read(body, defaults) {
        const { input, stream, background } = readResponse(body, defaults);
        if (background) refuse("background", "background must not be true in a batch.");
        return { input, stream };
      },
      needsRequest: true,
      respond: (job, outcome) => responseOf({ job: job as Job, state: outcome.status, attempts: [], outcome }),
      fail,
    },
  };
}

const fail: LineFormat["fail"] = ({ code, message }) => {
  const known = Object.hasOwn(errorTable, code) ? (code as ErrorCode) : "internal";
  return { status: openAiStatusOf(known), body: { error: openAiErrorOf({ code: known, message, details: {} }) } };
};
