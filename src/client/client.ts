// The client of a running service, for TypeScript and JavaScript: Node 20 and newer, Deno, browsers. No dependencies.
import {
  type BatchInputOptions,
  type BatchItem,
  type BatchOptions,
  type BatchResource,
  type BatchResult,
  runBatch,
  tryBatch,
} from "./batch-client.ts";
import { SluiceTimeoutError } from "./client-errors.ts";
import {
  type ApiKey,
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
import { streamJob } from "./stream.ts";
import { type ClientOptions, type RequestOptions, Transport } from "./transport.ts";

export interface CallOptions {
  /** Ends the call; it then rejects with the signal's reason. */
  signal?: AbortSignal;
}

export interface SubmitOptions extends CallOptions {
  /**
   * Text of your own, unique to this request: sending it again under the same one gives the same job. By default one is
   * made for each call, so that what is tried again inside of it never makes two jobs.
   */
  idempotencyKey?: string;
}

export interface WaitOptions extends CallOptions {
  /** In milliseconds. Default: for ever. */
  timeoutMs?: number;
  /** Receives the job whenever it was read and has not ended: its position, what it waits for, its expected start. */
  onJob?: (job: Job) => void;
}

/** How long one request waits for the end of a job: the least that any configuration allows (limits.maxWaitS). */
const waitS = 5;
/** Of a request that the service holds for that long. */
const heldTimeoutMs = 30_000;
const listPageSize = 200;

/**
 * ```ts
 * const sluice = new SluiceClient({ baseUrl: "http://127.0.0.1:8000", apiKey: process.env.SLUICE_API_KEY });
 * const { job_id } = await sluice.enqueue({ prompt: "Why is the sky blue?", environment: "UAT" });
 * const job = await sluice.wait(job_id);
 * console.log(job.status, job.text);
 * ```
 *
 * Every method rejects with `SluiceApiError` if the service refuses, and with `SluiceConnectionError` if there is no
 * answer. Requests that were refused with 429 or 503, or whose connection was lost, are tried again as often as
 * `maxRetries` says, after the time that the service asks for.
 */
export class SluiceClient {
  readonly #transport: Transport;

  constructor(options: ClientOptions = {}) {
    this.#transport = new Transport(options);
  }

  /** Puts a prompt into the queue. When it resolves the job is durable. */
  enqueue(request: EnqueueRequest, { idempotencyKey, signal }: SubmitOptions = {}): Promise<{ job_id: string }> {
    return this.#post("/enqueue", { body: request, signal, headers: onceUnder(idempotencyKey) });
  }

  /** The same with every option there is, and the whole job as the answer. */
  submit(request: JobRequest, { idempotencyKey, signal }: SubmitOptions = {}): Promise<Job> {
    return this.#post("/v1/jobs", { body: request, signal, headers: onceUnder(idempotencyKey) });
  }

  /** What would become of the job: tokens, cost, the quota that binds, expected start. Nothing is stored. */
  dryRun(request: JobRequest, { signal }: CallOptions = {}): Promise<DryRun> {
    return this.#post("/v1/jobs", { body: { ...request, dry_run: true }, signal });
  }

  /** Where a job stands, or its answer. */
  get(jobId: string, { signal }: CallOptions = {}): Promise<Job> {
    return this.#transport.json(pathOf(jobId), { signal });
  }

  /**
   * Resolves when the job has ended, whichever way: look at its `status`.
   * @throws SluiceTimeoutError if it has not by then; it goes on
   */
  async wait(
    jobId: string,
    { timeoutMs = Number.POSITIVE_INFINITY, signal, onJob }: WaitOptions = {},
  ): Promise<EndedJob> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const leftS = Math.max(0, Math.ceil((deadline - Date.now()) / 1000));
      const path = `${pathOf(jobId)}?wait=${Math.min(waitS, leftS)}`;
      const job = await this.#transport.json<Job>(path, { signal, timeoutMs: heldTimeoutMs });
      if (isFinal(job.status)) return job as EndedJob;
      onJob?.(job);
      if (leftS === 0) throw new SluiceTimeoutError(`Job ${jobId} has not ended within ${timeoutMs} ms; it goes on.`);
    }
  }

  /**
   * States and text of a job as they come, to its end. A connection that is lost is made again, and goes on where it was.
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

  /** Ends a job that has not ended; a call that runs for it is aborted. Cancelling twice is no error. */
  cancel(jobId: string, { signal }: CallOptions = {}): Promise<Job> {
    return this.#post(`${pathOf(jobId)}/cancel`, { signal });
  }

  /** Submits an ended job that did not complete again, and answers with the new one. Asking twice gives the same. */
  retry(jobId: string, { signal }: CallOptions = {}): Promise<Job> {
    return this.#post(`${pathOf(jobId)}/retry`, { signal });
  }

  /** Jobs, newest first, as many as are asked for: pages are fetched as they are needed. */
  async *list(query: ListQuery = {}, { signal }: CallOptions = {}): AsyncGenerator<JobSummary> {
    const { metadata = {}, ...fields } = query;
    const named = Object.entries(fields).filter(([, value]) => value !== undefined);
    const labels = Object.entries(metadata).map(([key, value]) => [`metadata[${key}]`, value] as [string, string]);
    yield* this.#pages<JobSummary>("/v1/jobs", [...named, ...labels], signal);
  }

  /** API keys, in the order of their creation, without their secrets; needs an admin key. Pages are fetched as they are needed. */
  keys({ signal }: CallOptions = {}): AsyncGenerator<ApiKey> {
    return this.#pages<ApiKey>("/v1/keys", [], signal);
  }

  async *#pages<T>(path: string, filter: [string, string][], signal: AbortSignal | undefined): AsyncGenerator<T> {
    const parameters = new URLSearchParams([...filter, ["limit", String(listPageSize)]]);
    for (;;) {
      const page = await this.#transport.json<{ data: T[]; next_cursor?: string | null }>(`${path}?${parameters}`, {
        signal,
      });
      yield* page.data;
      // An older service has no pages of keys.
      if (page.next_cursor == null) return;
      parameters.set("cursor", page.next_cursor);
    }
  }

  /**
   * Runs many requests: uploads them as they are produced, waits for the end of the batch, and gives their results in
   * the order of the requests. Requests that the batch was over before (cancelled, expired) come last. The upload is
   * made once; if it fails the call rejects, and nothing has run. What the iterable throws is thrown as it is.
   *
   * ```ts
   * const prompts = ["Name a river.", "Name a mountain."];
   * for await (const { customId, text, error } of sluice.batch(prompts, { environment: "UAT" })) {
   *   console.log(customId, text ?? error?.message);
   * }
   * ```
   * @throws SluiceBatchError if a request is not as it must be: then none has run
   */
  batch(
    items: Iterable<BatchItem> | AsyncIterable<BatchItem>,
    options: BatchOptions = {},
  ): AsyncGenerator<BatchResult> {
    return runBatch(this.#transport, items, options);
  }

  /**
   * What would become of a batch of these requests. They are uploaded and checked as by `batch`, and the file is deleted
   * again; none of them runs. One that is not as it must be is told in `errors`.
   */
  dryRunBatch(
    items: Iterable<BatchItem> | AsyncIterable<BatchItem>,
    options: BatchInputOptions & CallOptions = {},
  ): Promise<BatchDryRun> {
    return tryBatch(this.#transport, items, options);
  }

  /** Lines that wait end at once; calls that run may end within ten minutes. */
  cancelBatch(batchId: string, { signal }: CallOptions = {}): Promise<BatchResource> {
    return this.#post(`/v1/batches/${encodeURIComponent(batchId)}/cancel`, { signal });
  }

  /** Any other call of the service; `/docs` has them all. It is tried again like the others, so it must bear that. */
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
