// Runs many requests as one batch. It uploads an iterable as a file while it is produced, follows the batch until it
// ends, and yields results in the order of the requests. Memory use does not grow with their number.
import { type BatchMistake, SluiceBatchError, SluiceConnectionError, SluiceTimeoutError } from "./client-errors.ts";
import type { BatchDryRun } from "./client-types.ts";
import { linesOf } from "./lines.ts";
import { sleep, type Transport } from "./transport.ts";

/** A prompt, or a request body for the endpoint. Default endpoint: OpenAI's chat completions. */
export type BatchItem = string | { customId?: string; body: Record<string, unknown> };

/** Options that apply to all requests. */
export interface BatchInputOptions {
  /** Environment of the jobs. Default: the first environment that the key may use. */
  environment?: string;
  /** Model of requests that name none. Default: the service's default model. */
  model?: string;
  /** Maximum tokens of each answer, for requests given as a prompt. Default: the model's. */
  maxTokens?: number;
  /** Endpoint of the requests. Default: `/v1/chat/completions`. */
  endpoint?: string;
  /** Time limit of the batch in hours or days, from 1h to 14d. Default: 24h. */
  completionWindow?: string;
}

export interface BatchOptions extends BatchInputOptions {
  metadata?: Record<string, string>;
  /** URL that receives a signed webhook when the batch ends. */
  webhookUrl?: string;
  /** Called after every poll, and during the upload after every thousandth request. */
  onProgress?: (progress: BatchProgress) => void;
  /** Time between polls, in milliseconds. Default: 2,000. */
  pollMs?: number;
  /** Maximum time to wait for the end of the batch, in milliseconds. Default: no limit. */
  timeoutMs?: number;
  /** Ends the wait when aborted. The batch continues; `cancelBatch` ends it. */
  signal?: AbortSignal;
}

export interface BatchProgress {
  /** The batch's id. Absent during the upload. */
  batchId?: string;
  status: "uploading" | "validating" | "in_progress" | "finalizing" | "cancelling" | EndedStatus;
  /** Number of requests uploaded so far, or in the batch. */
  total: number;
  completed: number;
  failed: number;
  /** Expected start of the last request. */
  eta?: Date;
}

type EndedStatus = "failed" | "completed" | "expired" | "cancelled";

/** The result of one request. */
export interface BatchResult {
  customId: string;
  /** The answer's text. Null if there is none. */
  text: string | null;
  /** The response that the endpoint would have sent. Null if the request got no response. */
  response: { status: number; body: Record<string, unknown> } | null;
  /** Why the request failed. Null also for an answer without text. */
  error: { code: string; message: string } | null;
}

/** A batch as the service returns it. It may have more fields. */
export interface BatchResource {
  id: string;
  status: BatchProgress["status"];
  request_counts: { total: number; completed: number; failed: number };
  error_file_id?: string;
  errors?: { data: BatchMistake[] };
  /** Expected start of the last line, in Unix time in seconds. */
  eta?: number;
}

interface ResultLine {
  custom_id: string;
  line?: number;
  response: { status_code: number; body: Record<string, unknown> } | null;
  error: { code: string; message: string } | null;
}

/** Maximum number of lines in one response. */
const pageSize = 1000;
const uploadNoticeEach = 1000;
const resultTries = 5;

const defaultEndpoint = "/v1/chat/completions";
const defaultWindow = "24h";
/** Time limit of a dry run, in milliseconds. Checking a million requests takes less. */
const dryRunTimeoutMs = 600_000;

export async function* runBatch(
  transport: Transport,
  items: Iterable<BatchItem> | AsyncIterable<BatchItem>,
  options: BatchOptions,
): AsyncGenerator<BatchResult> {
  const { endpoint = defaultEndpoint, completionWindow = defaultWindow, signal } = options;
  const input = await upload(transport, items, endpoint, options);
  const created = await transport.json<BatchResource>("/v1/batches", {
    method: "POST",
    headers: { "idempotency-key": crypto.randomUUID() },
    body: {
      input_file_id: input,
      endpoint,
      completion_window: completionWindow,
      ...(options.metadata && { metadata: options.metadata }),
      ...(options.webhookUrl !== undefined && { webhook_url: options.webhookUrl }),
    },
    signal,
  });
  const ended = await untilEnd(transport, created, options);
  if (ended.status === "failed") throw new SluiceBatchError(ended.id, ended.errors?.data ?? []);
  yield* resultsOf(transport, ended, signal);
}

/** Estimates a batch. It runs nothing and deletes the uploaded file. */
export async function tryBatch(
  transport: Transport,
  items: Iterable<BatchItem> | AsyncIterable<BatchItem>,
  options: BatchInputOptions & Pick<BatchOptions, "signal">,
): Promise<BatchDryRun> {
  const { endpoint = defaultEndpoint, completionWindow = defaultWindow, signal } = options;
  const input = await upload(transport, items, endpoint, options);
  try {
    return await transport.json<BatchDryRun>("/v1/batches", {
      method: "POST",
      body: { input_file_id: input, endpoint, completion_window: completionWindow, dry_run: true },
      signal,
      timeoutMs: dryRunTimeoutMs,
    });
  } finally {
    // The result matters more than the deletion. A file that cannot be deleted remains in the list of files.
    await transport.json(`/v1/files/${input}`, { method: "DELETE" }).catch(() => {});
  }
}

// -------------------------------------------------------------- upload

async function upload(
  transport: Transport,
  items: Iterable<BatchItem> | AsyncIterable<BatchItem>,
  endpoint: string,
  { environment, signal, onProgress, ...defaults }: BatchOptions,
): Promise<string> {
  const boundary = `sluice-${crypto.randomUUID()}`;
  const encoder = new TextEncoder();
  /** An error of the caller's iterable during the upload. */
  let thrown: { error: unknown } | undefined;
  async function* form(): AsyncGenerator<Uint8Array> {
    const part = (name: string) => `--${boundary}\r\nContent-Disposition: form-data; name="${name}"`;
    yield encoder.encode(`${part("purpose")}\r\n\r\nbatch\r\n`);
    yield encoder.encode(`${part("file")}; filename="batch.jsonl"\r\nContent-Type: application/jsonl\r\n\r\n`);
    let n = 0;
    try {
      for await (const item of items) {
        n++;
        yield encoder.encode(`${onOneLine(JSON.stringify(lineOf(item, n, endpoint, defaults)))}\n`);
        if (n % uploadNoticeEach === 0) onProgress?.({ status: "uploading", total: n, completed: 0, failed: 0 });
      }
    } catch (error) {
      thrown = { error };
      throw error;
    }
    yield encoder.encode(`\r\n--${boundary}--\r\n`);
  }
  const type = `multipart/form-data; boundary=${boundary}`;
  const body = canStream() ? streamOf(form()) : await whole(form());
  try {
    const file = await transport.json<{ id: string }>("/v1/files", {
      method: "POST",
      stream: { body, type },
      headers: environment === undefined ? {} : { "x-sluice-environment": environment },
      signal,
      timeoutMs: 0,
    });
    return file.id;
  } catch (error) {
    // The transport reports it as a lost connection.
    if (thrown && !signal?.aborted) throw thrown.error;
    throw error;
  }
}

function lineOf(item: BatchItem, n: number, url: string, { model, maxTokens }: BatchOptions) {
  const { customId = `request-${n}`, body } = typeof item === "string" ? { body: ofPrompt(item, maxTokens) } : item;
  return { custom_id: customId, method: "POST", url, body: { ...(model !== undefined && { model }), ...body } };
}

function ofPrompt(content: string, maxTokens: number | undefined): Record<string, unknown> {
  return { messages: [{ role: "user", content }], ...(maxTokens !== undefined && { max_tokens: maxTokens }) };
}

function streamOf(pieces: AsyncGenerator<Uint8Array>): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await pieces.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      await pieces.return(undefined);
    },
  });
}

/** Returns whether fetch can stream a body. Some browsers convert a stream to text without reading `duplex`. */
function canStream(): boolean {
  let readDuplex = false;
  const init = {
    method: "POST",
    body: new ReadableStream(),
    get duplex() {
      readDuplex = true;
      return "half";
    },
  };
  const { headers } = new Request("http://localhost/", init as RequestInit);
  return readDuplex && !headers.has("content-type");
}

async function whole(pieces: AsyncIterable<Uint8Array>): Promise<Blob> {
  const all: Uint8Array<ArrayBuffer>[] = [];
  for await (const piece of pieces) all.push(piece as Uint8Array<ArrayBuffer>);
  return new Blob(all);
}

// -------------------------------------------------------------- the end

async function untilEnd(
  transport: Transport,
  created: BatchResource,
  { onProgress, pollMs = 2000, timeoutMs, signal }: BatchOptions,
): Promise<BatchResource> {
  const deadline = timeoutMs === undefined ? Number.POSITIVE_INFINITY : Date.now() + timeoutMs;
  for (let batch = created; ; ) {
    const { id, status, request_counts: counts, eta } = batch;
    onProgress?.({ batchId: id, status, ...counts, ...(eta !== undefined && { eta: new Date(eta * 1000) }) });
    if (status === "failed" || status === "completed" || status === "expired" || status === "cancelled") return batch;
    const leftMs = deadline - Date.now();
    if (leftMs <= 0) throw new SluiceTimeoutError(`Batch ${id} did not end within ${timeoutMs} ms. It continues.`);
    await sleep(Math.min(pollMs, leftMs), signal);
    batch = await transport.json<BatchResource>(`/v1/batches/${id}`, { signal });
  }
}

async function* resultsOf(
  transport: Transport,
  { id, request_counts: { total }, error_file_id: errorFile }: BatchResource,
  signal: AbortSignal | undefined,
): AsyncGenerator<BatchResult> {
  let received = 0;
  /** Custom ids of requests without an answer, which the error file also contains. */
  const unanswered = new Set<string>();
  let after = 0;
  for (let tries = 0; ; ) {
    let inPage = 0;
    try {
      const response = await transport.open(`/v1/batches/${id}/results?after=${after}&limit=${pageSize}`, { signal });
      for await (const text of linesOf(response)) {
        const line = JSON.parse(text) as ResultLine;
        after = line.line!;
        inPage++;
        received++;
        tries = 0;
        if (line.response?.status_code !== 200) unanswered.add(line.custom_id);
        yield resultOf(line);
      }
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      // If a page was cut, the next one starts after the last received line.
      const cut = !(error instanceof Error && error.name.startsWith("Sluice"));
      if (!cut || ++tries >= resultTries) throw error;
      continue;
    }
    if (inPage < pageSize) break;
  }
  if (received === total || errorFile === undefined) return;

  // Reads the requests that never became jobs, because the batch ended first.
  const response = await transport.open(`/v1/files/${errorFile}/content`, { signal });
  for await (const text of linesOf(response)) {
    const line = JSON.parse(text) as ResultLine;
    if (unanswered.has(line.custom_id)) continue;
    received++;
    yield resultOf(line);
  }
  if (received < total) {
    throw new SluiceConnectionError(`Batch ${id} returned only ${received} of ${total} results.`);
  }
}

function resultOf({ custom_id, response, error }: ResultLine): BatchResult {
  if (!response) return { customId: custom_id, text: null, response: null, error };
  const { status_code: status, body } = response;
  const { choices, error: refused } = body as {
    choices?: { message?: { content?: string | null } }[];
    error?: { code?: string | null; message?: string };
  };
  const answered = { customId: custom_id, text: choices?.[0]?.message?.content ?? null, response: { status, body } };
  if (status === 200) return { ...answered, error: null };
  return { ...answered, error: { code: refused?.code ?? "unknown", message: refused?.message ?? `Status ${status}.` } };
}

/** Escapes characters that some readers treat as line breaks. */
function onOneLine(json: string): string {
  return json.replace(/[\u0085\u2028\u2029]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
