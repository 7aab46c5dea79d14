// What can go wrong when the service is asked for something.

/** The service refused, or a job that was waited for cannot be had. */
export class SluiceApiError extends Error {
  override readonly name: string = "SluiceApiError";
  /** Stable, such as `invalid_request`; docs/errors.md has all of them. */
  readonly code: string;
  /** Of HTTP. */
  readonly status: number;
  /** The field at fault, as it was sent. */
  readonly field?: string;
  /** What to do about it. */
  readonly advice?: string;
  /** The job that the error is about. */
  readonly jobId?: string;
  /** Stands in the log of the service. */
  readonly requestId?: string;
  /** Seconds after which it may be tried again, if the service said so. */
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

/** There was no answer, or not one of Sluice. `cause` is the error of the network. */
export class SluiceConnectionError extends Error {
  override readonly name = "SluiceConnectionError";
  /** Of HTTP, if something answered. */
  readonly status?: number;

  constructor(message: string, { status, cause }: { status?: number; cause?: unknown } = {}) {
    super(message, { cause });
    if (status !== undefined) this.status = status;
  }
}

/** The job or batch has not ended in the time that was given. It goes on. */
export class SluiceTimeoutError extends Error {
  override readonly name = "SluiceTimeoutError";
}

/** The file of a batch was refused: there are no jobs. */
export class SluiceBatchError extends Error {
  override readonly name = "SluiceBatchError";
  readonly batchId: string;
  /** The first 100 mistakes. `line` counts from 1; null if it is about the whole file. */
  readonly errors: readonly BatchMistake[];

  constructor(batchId: string, errors: readonly BatchMistake[]) {
    const [first] = errors;
    const where = first?.line == null ? "" : `line ${first.line}: `;
    super(`The batch was refused: ${where}${first?.message ?? "its file is at fault"}`);
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
