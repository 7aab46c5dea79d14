// The client of a running service, for TypeScript and JavaScript in Node 20 and newer, Deno and browsers. It has no
// dependencies.
import {
  createBatch,
  deleteBatch,
  dryRunBatchFile,
  listBatches,
  pathOf as pathOfBatch,
  readBatch,
  runBatch,
  tryBatch,
  untilEnd,
  type WaitForBatchOptions,
} from "./batch-client.ts";
import type {
  BatchInputOptions,
  BatchItem,
  BatchOptions,
  BatchRequest,
  BatchResource,
  BatchResult,
  FileResource,
} from "./batch-types.ts";
import { type UploadOptions, uploadFile } from "./batch-upload.ts";
import { SluiceTimeoutError } from "./client-errors.ts";
import {
  type ApiKey,
  type AuditEntry,
  type AuditQuery,
  type BatchDryRun,
  type DryRun,
  type EndedJob,
  type EnqueueRequest,
  isFinal,
  type Job,
  type JobEvent,
  type JobRequest,
  type JobSummary,
  type ListQuery,
} from "./client-types.ts";
import type { SubmittedRequest } from "./request-types.ts";
import { batchResults, resultLines } from "./result-lines.ts";
import { streamJob } from "./stream.ts";
import { type ClientOptions, type RequestOptions, Transport } from "./transport.ts";

export interface CallOptions {
  /** Ends the call when aborted. The call then rejects with the signal's reason. */
  signal?: AbortSignal;
}

export interface SubmitOptions extends CallOptions {
  /**
   * A text that you choose, unique to this request. A request with the same key returns the same job. Default: a new
   * key for each call, so that the client's own retries never create two jobs.
   */
  idempotencyKey?: string;
}

export interface WaitOptions extends CallOptions {
  /** Maximum time to wait, in milliseconds. Default: no limit. */
  timeoutMs?: number;
  /**
   * Receives the job after every read until it ends, with its position, the reason of the wait and its expected start.
   */
  onJob?: (job: Job) => void;
}

/** Seconds that one request waits for the end of a job: the lowest limits.maxWaitS that a configuration may have. */
const waitS = 5;
/** Time limit of a request that waits for a job, in milliseconds. */
const waitTimeoutMs = 30_000;
const listPageSize = 200;

/**
 * A client of a running Sluice service.
 *
 * ```ts
 * const sluice = new SluiceClient({ baseUrl: "http://127.0.0.1:8000", apiKey: process.env.SLUICE_API_KEY });
 * const { job_id } = await sluice.enqueue({ prompt: "Why is the sky blue?", environment: "UAT" });
 * const job = await sluice.wait(job_id);
 * console.log(job.status, job.text);
 * ```
 *
 * Every method rejects with `SluiceApiError` if the service refuses, and with `SluiceConnectionError` if it does not
 * respond. After 429, 503 or a lost connection the client retries up to `maxRetries` times, after the time that the
 * service names.
 */
export class SluiceClient {
  readonly #transport: Transport;

  constructor(options: ClientOptions = {}) {
    this.#transport = new Transport(options);
  }

  /** Submits a prompt. Once it resolves, the job is durable. */
  enqueue(request: EnqueueRequest, { idempotencyKey, signal }: SubmitOptions = {}): Promise<{ job_id: string }> {
    return this.#post("/enqueue", { body: request, signal, headers: onceUnder(idempotencyKey) });
  }

  /** Submits a job with all options, and returns the whole job. Once it resolves, the job is durable. */
  submit(request: JobRequest, { idempotencyKey, signal }: SubmitOptions = {}): Promise<Job> {
    return this.#post("/v1/jobs", { body: request, signal, headers: onceUnder(idempotencyKey) });
  }

  /** Estimates a job without storing it: tokens, cost, binding quota and expected start. */
  dryRun(request: JobRequest, { signal }: CallOptions = {}): Promise<DryRun> {
    return this.#post("/v1/jobs", { body: { ...request, dry_run: true }, signal });
  }

  /** Returns a job with its status, or its answer. */
  get(jobId: string, { signal }: CallOptions = {}): Promise<Job> {
    return this.#transport.json(pathOf(jobId), { signal });
  }

  /** Returns what a job asks the model: its prompt, tools and parameters. */
  getRequest(jobId: string, { signal }: CallOptions = {}): Promise<SubmittedRequest> {
    return this.#transport.json(`${pathOf(jobId)}/request`, { signal });
  }

  /**
   * Waits until the job has ended, in whatever state: check its `status`.
   * @throws SluiceTimeoutError if the job has not ended in time; the job continues
   */
  async wait(
    jobId: string,
    { timeoutMs = Number.POSITIVE_INFINITY, signal, onJob }: WaitOptions = {},
  ): Promise<EndedJob> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const leftS = Math.max(0, Math.ceil((deadline - Date.now()) / 1000));
      const path = `${pathOf(jobId)}?wait=${Math.min(waitS, leftS)}`;
      const job = await this.#transport.json<Job>(path, { signal, timeoutMs: waitTimeoutMs });
      if (isFinal(job.status)) return job as EndedJob;
      onJob?.(job);
      if (leftS === 0) throw new SluiceTimeoutError(`Job ${jobId} did not end within ${timeoutMs} ms. It continues.`);
    }
  }

  /**
   * Streams the states and the text of a job until it ends. After a lost connection, it reconnects and continues.
   *
   * ```ts
   * let text = "";
   * for await (const event of sluice.stream(job_id)) {
   *   if (event.type === "text") text += event.text;
   *   else if (event.type === "restart") text = "";
   * }
   * ```
   */
  stream(jobId: string, { signal }: CallOptions = {}): AsyncGenerator<JobEvent> {
    return streamJob(this.#transport, jobId, signal);
  }

  /** Cancels a job that has not ended, and aborts its running call. Cancelling twice is not an error. */
  cancel(jobId: string, { signal }: CallOptions = {}): Promise<Job> {
    return this.#post(`${pathOf(jobId)}/cancel`, { signal });
  }

  /**
   * Submits a job again that ended without completing, and returns the new job. Retrying twice returns the same new
   * job.
   */
  retry(jobId: string, { signal }: CallOptions = {}): Promise<Job> {
    return this.#post(`${pathOf(jobId)}/retry`, { signal });
  }

  /** Lists jobs, newest first. It fetches pages as you iterate. */
  async *list(query: ListQuery = {}, { signal }: CallOptions = {}): AsyncGenerator<JobSummary> {
    const { metadata = {}, ...fields } = query;
    const named = Object.entries(fields).filter(([, value]) => value !== undefined);
    const labels = Object.entries(metadata).map(([key, value]) => [`metadata[${key}]`, value] as [string, string]);
    yield* this.#pages<JobSummary>("/v1/jobs", [...named, ...labels], signal);
  }

  /** Lists API keys without their secrets, oldest first. It fetches pages as you iterate. Requires an admin key. */
  keys({ signal }: CallOptions = {}): AsyncGenerator<ApiKey> {
    return this.#pages<ApiKey>("/v1/keys", [], signal);
  }

  /** Returns the API key of this client, with its limits and what is used of them. */
  ownKey({ signal }: CallOptions = {}): Promise<ApiKey> {
    return this.#transport.json("/v1/keys/self", { signal });
  }

  /** Lists who changed what, newest first. It fetches pages as you iterate. Requires an admin key. */
  audit(query: AuditQuery = {}, { signal }: CallOptions = {}): AsyncGenerator<AuditEntry> {
    const named = Object.entries(query).filter(([, value]) => value !== undefined);
    return this.#pages<AuditEntry>("/v1/audit", named, signal);
  }

  async *#pages<T>(path: string, filter: [string, string][], signal: AbortSignal | undefined): AsyncGenerator<T> {
    const parameters = new URLSearchParams([...filter, ["limit", String(listPageSize)]]);
    for (;;) {
      const page = await this.#transport.json<{ data: T[]; next_cursor?: string | null }>(`${path}?${parameters}`, {
        signal,
      });
      yield* page.data;
      // Older services do not page keys.
      if (page.next_cursor == null) return;
      parameters.set("cursor", page.next_cursor);
    }
  }

  /**
   * Runs many requests: uploads them while they are produced, waits for the end of the batch, and yields the results in
   * the order of the requests. Requests that did not run before the batch was cancelled or expired come last.
   *
   * The upload is not retried. If it fails, the call rejects and nothing has run. Errors of the iterable are rethrown.
   *
   * ```ts
   * const prompts = ["Name a river.", "Name a mountain."];
   * for await (const { customId, text, error } of sluice.batch(prompts, { environment: "UAT" })) {
   *   console.log(customId, text ?? error?.message);
   * }
   * ```
   * @throws SluiceBatchError if a request is invalid; then none has run
   */
  batch(
    items: Iterable<BatchItem> | AsyncIterable<BatchItem>,
    options: BatchOptions = {},
  ): AsyncGenerator<BatchResult> {
    return runBatch(this.#transport, items, options);
  }

  /**
   * Estimates a batch of these requests. Uploads and checks them like `batch`, then deletes the file; none runs.
   * `errors` reports invalid requests.
   */
  dryRunBatch(
    items: Iterable<BatchItem> | AsyncIterable<BatchItem>,
    options: BatchInputOptions & CallOptions = {},
  ): Promise<BatchDryRun> {
    return tryBatch(this.#transport, items, options);
  }

  /**
   * Uploads the file of a batch, one request a line, while it is produced. It is uploaded once: if the connection breaks, the
   * call rejects. What the iterable throws is thrown as it is.
   */
  uploadFile(
    content: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
    options: UploadOptions = {},
  ): Promise<FileResource> {
    return uploadFile(this.#transport, content, options);
  }

  /** Deletes a file. */
  deleteFile(fileId: string, { signal }: CallOptions = {}): Promise<{ id: string; deleted: true }> {
    return this.#transport.json(`/v1/files/${encodeURIComponent(fileId)}`, { method: "DELETE", signal });
  }

  /** Creates a batch from an uploaded file. Its lines run once the service has checked all of them. */
  createBatch(request: BatchRequest, { idempotencyKey, signal }: SubmitOptions = {}): Promise<BatchResource> {
    return createBatch(this.#transport, request, { idempotencyKey: idempotencyKey ?? crypto.randomUUID(), signal });
  }

  /** Tells what would become of a batch from an uploaded file. Nothing is stored, and the file stays. */
  dryRunBatchFile(request: BatchRequest, { signal }: CallOptions = {}): Promise<BatchDryRun> {
    return dryRunBatchFile(this.#transport, request, signal);
  }

  /** Reads a batch. */
  getBatch(batchId: string, { signal }: CallOptions = {}): Promise<BatchResource> {
    return readBatch(this.#transport, batchId, signal);
  }

  /** Lists batches, newest first. Pages are fetched as they are needed. */
  listBatches({ signal }: CallOptions = {}): AsyncGenerator<BatchResource> {
    return listBatches(this.#transport, signal);
  }

  /**
   * Resolves when the batch has ended, in whichever way: see its `status`.
   * @throws SluiceTimeoutError if it has not ended in time; it continues
   */
  async waitForBatch(batchId: string, options: WaitForBatchOptions = {}): Promise<BatchResource> {
    return untilEnd(this.#transport, await readBatch(this.#transport, batchId, options.signal), options);
  }

  /** The results in the order of the lines. Of a batch that has not ended, those of the lines that have. */
  async *batchResults(batchId: string, { signal }: CallOptions = {}): AsyncGenerator<BatchResult> {
    yield* batchResults(this.#transport, await readBatch(this.#transport, batchId, signal), signal);
  }

  /** The same results as the service writes them: one JSON object a line, without line ends. */
  async *batchResultLines(batchId: string, { signal }: CallOptions = {}): AsyncGenerator<string> {
    yield* resultLines(this.#transport, await readBatch(this.#transport, batchId, signal), signal);
  }

  /** Cancels a batch. Waiting lines end at once; running calls have ten minutes to end. */
  cancelBatch(batchId: string, { signal }: CallOptions = {}): Promise<BatchResource> {
    return this.#post(`${pathOfBatch(batchId)}/cancel`, { signal });
  }

  /** Creates a batch from the lines that did not complete. Retrying a batch twice gives the same new batch. */
  retryBatch(batchId: string, { signal }: CallOptions = {}): Promise<BatchResource> {
    return this.#post(`${pathOfBatch(batchId)}/retry`, { signal });
  }

  /** Deletes an ended batch with its jobs, answers and files. */
  deleteBatch(batchId: string, { signal }: CallOptions = {}): Promise<{ id: string; deleted: true }> {
    return deleteBatch(this.#transport, batchId, signal);
  }

  /**
   * Makes any other call to the service; `/docs` lists them all. It retries like the others, so the call must be
   * repeatable.
   */
  request<T>(method: "GET" | "POST" | "DELETE", path: string, body?: object, { signal }: CallOptions = {}): Promise<T> {
    return this.#transport.json<T>(path, { method, signal, ...(body && { body }) });
  }

  #post<T>(path: string, options: RequestOptions): Promise<T> {
    return this.#transport.json<T>(path, { method: "POST", ...options });
  }
}

function pathOf(jobId: string): string {
  return `/v1/jobs/${encodeURIComponent(jobId)}`;
}

function onceUnder(key: string = crypto.randomUUID()): Record<string, string> {
  return { "idempotency-key": key };
}
