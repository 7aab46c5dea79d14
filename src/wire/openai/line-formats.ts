// Maps each endpoint that a batch line may call to the reader and the responses of that endpoint.
import type { Settings } from "../../config/settings.ts";
import { isEmbedding } from "../../domain/embedding-request.ts";
import { type ErrorCode, errorTable } from "../../domain/errors.ts";
import type { Job } from "../../domain/job.ts";
import type { EmbeddingOptions } from "../../domain/request.ts";
import type { LineFormat, LineFormats } from "../../jobs/batches/batch-lines.ts";
import { type ChatRequest, chatReader, chatTexts } from "./chat-request.ts";
import { chatCompletionOf } from "./chat-response.ts";
import { type EmbeddingsRequest, embeddingsReader } from "./embeddings-request.ts";
import { embeddingsOf } from "./embeddings-response.ts";
import { nativeEndpoints, nativeLines } from "./native-lines.ts";
import { openAiErrorOf, openAiStatusOf } from "./openai-errors.ts";
import { refuse } from "./openai-fields.ts";
import { type ResponseRequest, responseReader, responseTexts } from "./responses-request.ts";
import { responseOf } from "./responses-response.ts";

export function lineFormats(settings: Settings): LineFormats {
  const readChat = chatReader(settings);
  const readResponse = responseReader(settings);
  const readEmbeddings = embeddingsReader(settings);
  const formats: Record<string, LineFormat> = {
    "/v1/chat/completions": {
      keptAsText: chatTexts,
      read: (body, defaults) => asLine(readChat(body, defaults)),
      needsRequest: false,
      respond: (job, outcome) => chatCompletionOf({ job, attempts: [], outcome }),
      fail,
    },
    "/v1/responses": {
      keptAsText: responseTexts,
      read(body, defaults) {
        const read = readResponse(body, defaults);
        if (read.background) refuse("background", "background must not be true in a batch.");
        return asLine(read);
      },
      needsRequest: true,
      respond: (job, outcome) => responseOf({ job: job as Job, state: outcome.status, attempts: [], outcome }),
      fail,
    },
    "/v1/embeddings": {
      keptAsText: [],
      read: (body, defaults) => ({ ...asLine(readEmbeddings(body, defaults)), stream: false }),
      needsRequest: true,
      respond: (job, outcome) => embeddingsOf(job, outcome, formatOf(job)),
      fail,
    },
  };
  return {
    of: (endpoint) => (Object.hasOwn(formats, endpoint) ? formats[endpoint] : nativeLines(endpoint, fail)),
    endpoints: [...Object.keys(formats), ...nativeEndpoints],
  };
}

/**
 * Refuses what only a single call supports.
 * @throws SluiceError `invalid_request`
 */
function asLine<R extends ChatRequest | ResponseRequest | EmbeddingsRequest>(read: R): R {
  if (read.dryRun) refuse("dry_run", "dry_run must not be true in a line. Set it on the batch.");
  if (read.input.webhookUrl !== undefined) {
    refuse("webhook_url", "webhook_url is not allowed in a line. Set it on the batch, which then sends one webhook.");
  }
  return read;
}

/** Returns the format that the line asked for. A removed job has no request. */
function formatOf({ request }: Partial<Job>): EmbeddingOptions["format"] {
  return request && isEmbedding(request) ? request.embeddings.format : "float";
}

const fail: LineFormat["fail"] = ({ code, message }) => {
  const known = Object.hasOwn(errorTable, code) ? (code as ErrorCode) : "internal";
  return { status: openAiStatusOf(known), body: { error: openAiErrorOf({ code: known, message, details: {} }) } };
};
