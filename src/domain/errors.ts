// The table of stable error codes. Each has an HTTP status and advice. docs/errors.md has a row for each, and a test
// compares them. A failed job's `error.code` uses the same codes.

interface ErrorKind {
  status: number;
  /** What the reader should do about the error. */
  advice: string;
}

export const errorTable = {
  // Refused requests: nothing was written.
  invalid_request: { status: 400, advice: "Correct the named field and send the request again." },
  invalid_json: { status: 400, advice: "Send a JSON object with Content-Type: application/json." },
  unknown_environment: { status: 400, advice: "Use an environment that the configuration defines." },
  unknown_model: { status: 400, advice: "Use a model that the configuration defines; GET /v1/deployments lists them." },
  unauthenticated: {
    status: 401,
    advice: "Send the header Authorization: Bearer with an API key; sluice keys create creates one.",
  },
  budget_exceeded: { status: 402, advice: "Wait until next month, or ask for a key with a larger budget." },
  forbidden: { status: 403, advice: "Stay within what the API key allows, or use another key." },
  cross_origin: {
    status: 403,
    advice: "Call the service at localhost or an IP address, and not from a web page of another site.",
  },
  not_found: { status: 404, advice: "Check the path and the id." },
  job_not_found: { status: 404, advice: "Check the id: use the job_id that the submit call returned." },
  file_not_found: {
    status: 404,
    advice: "Check the id: use the one that the upload returned. The file may have been deleted.",
  },
  batch_not_found: { status: 404, advice: "Check the id: use the one that the call that created the batch returned." },
  delivery_not_found: { status: 404, advice: "Check the id; GET /v1/webhooks/deliveries lists the deliveries." },
  method_not_allowed: { status: 405, advice: "See /docs for the methods of this path." },
  request_timeout: { status: 408, advice: "Send the whole request without long pauses." },
  conflict: { status: 409, advice: "Read its current state first; that state does not allow this call." },
  idempotency_conflict: { status: 409, advice: "Use a new Idempotency-Key for a new request." },
  too_large: { status: 413, advice: "Send less, or raise the limit that the message names." },
  unsupported_media_type: { status: 415, advice: "Send an uncompressed body of the type that the message names." },
  exceeds_quota: { status: 422, advice: "Shorten the prompt or lower max_tokens; no quota would ever admit this job." },
  config_invalid: { status: 422, advice: "Correct the configuration file and reload again; nothing has changed." },
  limit_exceeded: { status: 429, advice: "Wait until usage is below the limit again; an immediate retry fails again." },
  internal: { status: 500, advice: "This is a bug in Sluice; the log has the details under the request's id." },
  unavailable: { status: 503, advice: "Nothing was accepted. Send the request again after the time in Retry-After." },
  paused: {
    status: 503,
    advice: "Nothing was accepted. Send it again after the pause ends, stream it, or submit a job with POST /v1/jobs.",
  },
  still_waiting: {
    status: 503,
    advice:
      "Send the same request again, as AWS's SDKs do by themselves: it waits for the same job, or gets its answer.",
  },
  fate_unknown: {
    status: 503,
    advice: "The job may run. Read it by the id in this response before you send it again.",
  },
  storage_full: { status: 507, advice: "Free space on the disk that holds the data folder." },

  // Why an accepted job failed. A caller that waits for the answer gets this status.
  provider_rejected: {
    status: 400,
    advice: "Correct the request; the message is the provider's own and says why it refused.",
  },
  context_exceeded: {
    status: 400,
    advice: "Shorten the prompt or lower max_tokens; together they exceed the model's context.",
  },
  content_filtered: {
    status: 400,
    advice: "Change the prompt; a guardrail or the model's own filter stopped the answer.",
  },
  malformed_output: {
    status: 502,
    advice: "Try again or change the prompt; the model's output could not be read.",
  },
  answer_too_large: { status: 502, advice: "Lower max_tokens, or ask for a shorter answer." },
  model_unavailable: { status: 502, advice: "The deployment cannot serve this model; GET /v1/deployments shows why." },
  tries_exhausted: {
    status: 502,
    advice: "Retry when the provider has recovered; the attempts show why each one failed.",
  },
  unknown_end: {
    status: 502,
    advice: "A call ended without an answer and may have been billed; retry if that is acceptable.",
  },
  expired: { status: 504, advice: "The deadline passed before the job completed; allow more time with expires_in." },
  stream_interrupted: { status: 502, advice: "Discard what was streamed so far and send the request again." },
  wait_timeout: { status: 504, advice: "Read the job by its id with GET /v1/jobs/{id}." },
  cancelled: { status: 409, advice: "Submit the job again if you still need the answer." },
  caller_disconnected: { status: 409, advice: "Send the request again if you still need the answer." },
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof errorTable;

/** What an error names besides its code and message. */
export interface ErrorDetails {
  /** The field at fault, as the caller wrote it. */
  field?: string;
  /** The job that the error concerns. */
  jobId?: string;
  /** Seconds to wait before trying again. */
  retryAfterS?: number;
}

/** An error that a user may see. Its message consists of whole sentences and contains no secret. */
export class SluiceError extends Error {
  override readonly name: string = "SluiceError";
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.details = details;
  }

  get status(): number {
    return errorTable[this.code].status;
  }
}

const maxQuotedLength = 60;

/** Returns a text in quotes, truncated to 60 characters. */
export function quote(text: string): string {
  return text.length <= maxQuotedLength ? JSON.stringify(text) : JSON.stringify(`${text.slice(0, maxQuotedLength)}...`);
}
