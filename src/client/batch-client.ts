// Runs many requests as one batch. It uploads an iterable as a file while it is produced, and follows the batch until
// it ends. It yields results in the order of the requests. Memory use does not grow with their number.

import type {
  BatchInputOptions,
  BatchItem,
  BatchOptions,
  BatchProgress,
  BatchRequest,
  BatchResource,
  BatchResult,
} from "./batch-types.ts";
import { defaultEndpoint, uploadItems } from "./batch-upload.ts";
import { SluiceBatchError, SluiceTimeoutError } from "./client-errors.ts";
import type { BatchDryRun } from "./client-types.ts";
import { batchResults } from "./result-lines.ts";
import { sleep, type Transport } from "./transport.ts";

export interface WaitForBatchOptions {
  /** Receives the batch whenever it was read. */
  onBatch?: (batch: BatchResource) => void;
  /** Time between two reads, in milliseconds. Default: 2,000. */
  pollMs?: number;
  /** Maximum time to wait, in milliseconds. Default: no limit. */
  timeoutMs?: number;
  /** Ends the waiting. The batch continues. */
  signal?: AbortSignal;
}

const defaultWindow = "24h";
const defaultPollMs = 2000;
/** A million requests are checked in less. */
const dryRunTimeoutMs = 600_000;
/** Deleting many lines takes a while, and the answer waits for most of it. */
const deleteTimeoutMs = 120_000;
const listPageSize = 100;

export async function* runBatch(
  transport: Transport,
  items: Iterable<BatchItem> | AsyncIterable<BatchItem>,
  options: BatchOptions,
): AsyncGenerator<BatchResult> {
  const { endpoint, completionWindow, metadata, webhookUrl, onProgress, pollMs, timeoutMs, signal } = options;
  const request: BatchRequest = {
    input_file_id: await uploadItems(transport, items, options),
    ...(endpoint !== undefined && { endpoint }),
    ...(completionWindow !== undefined && { completion_window: completionWindow }),
    ...(metadata && { metadata }),
    ...(webhookUrl !== undefined && { webhook_url: webhookUrl }),
  };
  const created = await createBatch(transport, request, { idempotencyKey: crypto.randomUUID(), signal });
  const ended = await untilEnd(transport, created, {
    ...(onProgress && { onBatch: (batch: BatchResource) => onProgress(progressOf(batch)) }),
    ...(pollMs !== undefined && { pollMs }),
    ...(timeoutMs !== undefined && { timeoutMs }),
    ...(signal && { signal }),
  });
  if (ended.status === "failed") throw new SluiceBatchError(ended.id, ended.errors?.data ?? []);
  yield* batchResults(transport, ended, signal);
}

/** Estimates a batch. It runs nothing and deletes the uploaded file. */
export async function tryBatch(
  transport: Transport,
  items: Iterable<BatchItem> | AsyncIterable<BatchItem>,
  options: BatchInputOptions & Pick<BatchOptions, "signal">,
): Promise<BatchDryRun> {
  const { endpoint, completionWindow, signal } = options;
  const input = await uploadItems(transport, items, options);
  try {
    const request: BatchRequest = {
      input_file_id: input,
      ...(endpoint !== undefined && { endpoint }),
      ...(completionWindow !== undefined && { completion_window: completionWindow }),
    };
    return await dryRunBatchFile(transport, request, signal);
  } finally {
    // A file that cannot be deleted stays in the list of files; the result matters more.
    await transport.json(`/v1/files/${input}`, { method: "DELETE" }).catch(() => {});
  }
}

export function dryRunBatchFile(
  transport: Transport,
  request: BatchRequest,
  signal: AbortSignal | undefined,
): Promise<BatchDryRun> {
  const body = { ...withDefaults(request), dry_run: true };
  return transport.json<BatchDryRun>("/v1/batches", { method: "POST", body, signal, timeoutMs: dryRunTimeoutMs });
}

export function createBatch(
  transport: Transport,
  request: BatchRequest,
  { idempotencyKey, signal }: { idempotencyKey: string; signal: AbortSignal | undefined },
): Promise<BatchResource> {
  const headers = { "idempotency-key": idempotencyKey };
  return transport.json<BatchResource>("/v1/batches", { method: "POST", headers, body: withDefaults(request), signal });
}

function withDefaults(request: BatchRequest): BatchRequest {
  return { endpoint: defaultEndpoint, completion_window: defaultWindow, ...request };
}

export function readBatch(transport: Transport, id: string, signal: AbortSignal | undefined): Promise<BatchResource> {
  return transport.json<BatchResource>(pathOf(id), { signal });
}

/** Yields all batches, newest first; reads pages as they are needed. */
export async function* listBatches(
  transport: Transport,
  signal: AbortSignal | undefined,
): AsyncGenerator<BatchResource> {
  for (let after = ""; ; ) {
    const path = `/v1/batches?limit=${listPageSize}${after}`;
    const page = await transport.json<{ data: BatchResource[]; has_more: boolean; last_id?: string }>(path, { signal });
    yield* page.data;
    if (!page.has_more || page.last_id === undefined) return;
    after = `&after=${page.last_id}`;
  }
}

export function deleteBatch(
  transport: Transport,
  id: string,
  signal: AbortSignal | undefined,
): Promise<{ id: string; deleted: true }> {
  return transport.json(pathOf(id), { method: "DELETE", signal, timeoutMs: deleteTimeoutMs });
}

/** @throws SluiceTimeoutError */
export async function untilEnd(
  transport: Transport,
  created: BatchResource,
  { onBatch, pollMs = defaultPollMs, timeoutMs, signal }: WaitForBatchOptions,
): Promise<BatchResource> {
  const deadline = timeoutMs === undefined ? Number.POSITIVE_INFINITY : Date.now() + timeoutMs;
  for (let batch = created; ; ) {
    onBatch?.(batch);
    if (hasEnded(batch)) return batch;
    const leftMs = deadline - Date.now();
    if (leftMs <= 0) {
      throw new SluiceTimeoutError(`Batch ${batch.id} did not end within ${timeoutMs} ms. It continues.`);
    }
    await sleep(Math.min(pollMs, leftMs), signal);
    batch = await readBatch(transport, batch.id, signal);
  }
}

function hasEnded({ status }: BatchResource): boolean {
  return status === "failed" || status === "completed" || status === "expired" || status === "cancelled";
}

function progressOf({ id, status, request_counts: counts, eta }: BatchResource): BatchProgress {
  return { batchId: id, status, ...counts, ...(eta !== undefined && { eta: new Date(eta * 1000) }) };
}

export function pathOf(batchId: string): string {
  return `/v1/batches/${encodeURIComponent(batchId)}`;
}
