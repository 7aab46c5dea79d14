// The errors that the client throws.

/** The service refused a request, or a requested job is unavailable. */
export class SluiceApiError extends Error {
  override readonly name: string = "SluiceApiError";
  /** Stable error code, such as `invalid_request`. docs/errors.md lists all codes. */
  readonly code: string;
  /** HTTP status. */
  readonly status: number;
  /** The field at fault, as it was sent. */
  readonly field?: string;
  /** What to do next. */
  readonly advice?: string;
  /** The job that the error is about. */
  readonly jobId?: string;
  /** The id of the request in the service's log. */
  readonly requestId?: string;
  /** Seconds to wait before a retry, if the service named a time. */
  readonly retryAfter?: number;

  constructor(
    details: Pick<SluiceApiError, "code" | "status" | "message"> &
      Partial<Pick<SluiceApiError, "field" | "advice" | "jobId" | "requestId" | "retryAfter">>,
  ) {
    super(details.message);
    this.code = details.code;
    this.status = details.status;
    if (details.field !== undefined) this.field = details.field;
    if (details.advice !== undefined) this.advice = details.advice;
    if (details.jobId !== undefined) this.jobId = details.jobId;
    if (details.requestId !== undefined) this.requestId = details.requestId;
    if (details.retryAfter !== undefined) this.retryAfter = details.retryAfter;
  }
}

/** The service did not respond, or the response is not from Sluice. `cause` is the network error. */
export class SluiceConnectionError extends Error {
  override readonly name = "SluiceConnectionError";
  /** HTTP status, if there was a response. */
  readonly status?: number;

  constructor(message: string, { status, cause }: { status?: number; cause?: unknown } = {}) {
    super(message, { cause });
    if (status !== undefined) this.status = status;
  }
}

/** The job or batch did not end within the given time. It continues. */
export class SluiceTimeoutError extends Error {
  override readonly name = "SluiceTimeoutError";
}

/** The service refused the file of a batch. No job was created. */
export class SluiceBatchError extends Error {
  override readonly name = "SluiceBatchError";
  readonly batchId: string;
  /** The first 100 errors. `line` counts from 1; null concerns the whole file. */
  readonly errors: readonly BatchMistake[];

  constructor(batchId: string, errors: readonly BatchMistake[]) {
    const [first] = errors;
    const where = first?.line == null ? "" : `line ${first.line}: `;
    super(`The batch was refused: ${where}${first?.message ?? "its file is invalid"}`);
    this.batchId = batchId;
    this.errors = errors;
  }
}

export interface BatchMistake {
  code: string;
  message: string;
  line: number | null;
  param: string | null;
}
