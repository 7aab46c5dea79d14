// Creates, reads, cancels and retries batches.

import {
  type BatchId,
  type BatchRequest,
  type BatchStatus,
  batchStatus,
  derivedId,
  newBatchId,
  retryBatchId,
} from "../../domain/batch.ts";
import { quote, SluiceError } from "../../domain/errors.ts";
import { onOneLine } from "../../domain/json-lines.ts";
import type { TraceContext } from "../../domain/trace-context.ts";
import { sluice } from "../../telemetry/span-names.ts";
import { type AuditNote, audited } from "../audit/audited.ts";
import type { Caller } from "../caller.ts";
import { fileIdOf, readFile, requireFile, type StoredFile, writeFile } from "../files/files.ts";
import type { JobsContext } from "../jobs-context.ts";
import { bindOnce, findOnce, type Once } from "../submit/idempotency.ts";
import { inSendSpan } from "../submit/send-span.ts";
import { deletedAmong } from "../tombstones.ts";
import { checkWebhookUrl } from "../webhooks/webhook-url.ts";
import type { LineFormats } from "./batch-lines.ts";
import { type Batch, findBatch, insertBatch, openBatches, requireBatch, takeStep } from "./batch-records.ts";
import { answeredLines } from "./batch-results.ts";

export interface BatchInput {
  inputFileId: string;
  endpoint: string;
  /** A number of hours or days, such as `24h` or `7d`. */
  completionWindow: string;
  metadata?: Record<string, string>;
  /** URL that receives a webhook when the batch ends. */
  webhookUrl?: string;
  /** Milliseconds until the output and error files are deleted. Absent: never. */
  outputExpiresInMs?: number;
  /** The submitter's trace. */
  trace?: TraceContext;
}

const hourMs = 3_600_000;
const minWindowMs = hourMs;
const maxWindowMs = 14 * 24 * hourMs;

/**
 * Creates a batch.
 * @throws SluiceError `invalid_request`, `file_not_found`, `idempotency_conflict`, or what the store throws
 */
export async function createBatch(
  context: JobsContext,
  formats: LineFormats,
  input: BatchInput,
  caller: Caller,
  once?: Once,
): Promise<Batch> {
  const request = await createOnce(context, formats, input, caller, once);
  context.onBatch?.();
  return { request, steps: {} };
}

async function createOnce(
  context: JobsContext,
  formats: LineFormats,
  input: BatchInput,
  caller: Caller,
  once: Once | undefined,
): Promise<BatchRequest> {
  const find = async (id: string) => (await requireBatch(context, id, caller).catch(() => undefined))?.request;
  const created = await findOnce(context, caller, once, find);
  if (created) return created;

  const checked = await batchRequestOf(context, formats, input, caller);
  const { id, existing } = await bindOnce(context, caller, once, newBatchId, find);
  return existing ?? send(context, { id, ...checked });
}

/**
 * Stores a batch. Its lines are linked to the span of that, or without tracing to the submitter's trace.
 * @param before trace of the batch that it repeats
 */
function send(context: JobsContext, request: BatchRequest, before?: TraceContext): Promise<BatchRequest> {
  const sent = { ...request, ...(before && { linkedTrace: before }) };
  const attributesOf = () => ({ [sluice.batchId]: request.id });
  return inSendSpan(context, sent, request.createdAt, attributesOf, ({ linkedTrace, trace = linkedTrace, ...batch }) =>
    insertBatch(context, { ...batch, ...(trace && { trace }) }),
  );
}

/**
 * Returns the request of a batch. It checks everything but the content of the file, and stores nothing.
 * @throws SluiceError `invalid_request`, `file_not_found`, or what the store throws
 */
export async function batchRequestOf(
  context: JobsContext,
  formats: LineFormats,
  { inputFileId, endpoint, completionWindow, metadata, webhookUrl, outputExpiresInMs, trace }: BatchInput,
  caller: Caller,
): Promise<Omit<BatchRequest, "id">> {
  if (!formats.of(endpoint)) {
    const known = formats.endpoints.join(", ");
    throw new SluiceError("invalid_request", `endpoint must be one of ${known}; got ${quote(endpoint)}.`, {
      field: "endpoint",
    });
  }
  const windowMs = windowOf(completionWindow, context.settings.limits.maxExpiresInS * 1000);
  const checkedUrl = webhookUrl === undefined ? undefined : checkWebhookUrl(context.settings, webhookUrl);
  const file = await requireFile(context, inputFileId, caller);
  if (file.purpose !== "batch") {
    throw new SluiceError(
      "invalid_request",
      `input_file_id must be a file with the purpose batch; got one with the purpose ${file.purpose}.`,
      {
        field: "input_file_id",
      },
    );
  }
  const createdAt = context.clock.wall();
  return {
    environment: file.environment,
    tenant: caller.tenant,
    ...(caller.keyId !== undefined && { keyId: caller.keyId }),
    ...(caller.priorityMax && { priorityMax: caller.priorityMax }),
    ...(caller.regions && { regions: caller.regions }),
    endpoint,
    inputFileId,
    completionWindow,
    createdAt,
    expiresAt: createdAt + windowMs,
    ...(metadata && { metadata }),
    ...(checkedUrl !== undefined && { webhookUrl: checkedUrl }),
    ...(outputExpiresInMs !== undefined && { outputExpiresInMs }),
    ...(trace && { trace }),
  };
}

/**
 * Parses a completion window to milliseconds.
 * @throws SluiceError `invalid_request`
 */
function windowOf(text: string, maxMs: number): number {
  const [, digits, unit] = /^(\d{1,4})(h|d)$/.exec(text) ?? [];
  const ms = Number(digits) * hourMs * (unit === "d" ? 24 : 1);
  const longest = Math.min(maxWindowMs, maxMs);
  if (ms >= minWindowMs && ms <= longest) return ms;
  throw new SluiceError(
    "invalid_request",
    `completion_window must be a number of hours or days such as 24h or 7d, from 1h to ${longest / hourMs}h; got ${quote(text)}.`,
    { field: "completion_window" },
  );
}

/**
 * Cancels a batch. Waiting lines end at once; running calls may end within ten minutes. Cancelling twice is not an
 * error.
 * @throws SluiceError `batch_not_found`, or `conflict` if it has ended otherwise
 */
export async function cancelBatch(context: JobsContext, id: string, caller: Caller): Promise<Batch> {
  const { request, steps } = await requireBatch(context, id, caller);
  const status = batchStatus(steps);
  if (status !== "cancelled" && isOver(status)) {
    throw new SluiceError("conflict", `The batch cannot be cancelled: it is ${status}.`);
  }
  const cancelled = await audited(
    context,
    caller,
    "batch.cancel",
    { target: { type: "batch", id: request.id } },
    async () => steps.cancelled ?? takeStep(context, request, "cancelled", { at: context.clock.wall() }),
  );
  context.onBatch?.();
  return { request, steps: { ...steps, cancelled } };
}

/**
 * Creates a new batch of the lines that did not complete. Retrying twice returns the same one.
 * @throws SluiceError `batch_not_found`, `file_not_found` (the input was deleted), or `conflict` if it has not ended or
 *   every line has completed
 * @param trace the caller's trace. Default: that of the batch
 */
export function retryBatch(
  context: JobsContext,
  formats: LineFormats,
  id: string,
  caller: Caller,
  trace?: TraceContext,
): Promise<Batch> {
  return audited(context, caller, "batch.retry", {}, async (note) => {
    const batch = await retryLines(context, formats, id, caller, note, trace);
    note.details = { new_batch: batch.request.id };
    return batch;
  });
}

async function retryLines(
  context: JobsContext,
  formats: LineFormats,
  id: string,
  caller: Caller,
  note: AuditNote,
  trace?: TraceContext,
): Promise<Batch> {
  const { request, steps } = await requireBatch(context, id, caller);
  note.target = { type: "batch", id: request.id };
  const { ended, validated } = steps;
  if (!ended) {
    const status = batchStatus(steps);
    throw new SluiceError("conflict", `Only a batch that has ended can be retried; this one is ${status}.`);
  }
  if (ended.counts.completed === (validated?.lines ?? 0)) {
    throw new SluiceError("conflict", "There is nothing to retry: every line of the batch has completed.");
  }
  const { environment, expiresAt, createdAt: before } = request;
  const { retryId, of } = await retryIdsOf(context, request.id, ended.at);
  const existing = await findBatch(context, environment, retryId);
  if (existing) return existing;

  const input = await requireFile(context, request.inputFileId, caller);
  const { store } = context;
  const format = formats.of(request.endpoint)!;
  async function* unanswered(): AsyncIterable<Uint8Array> {
    for await (const lines of answeredLines(store, request, format, await readFile(context, input))) {
      const texts = lines
        .filter(({ record }) => record?.state !== "completed")
        .map(({ text }) => `${onOneLine(text)}\n`);
      if (texts.length > 0) yield Buffer.from(texts.join(""));
    }
  }
  const fileId = fileIdOf(derivedId(`retry:${of}`, ended.at));
  const file = await writeFile(context, { id: fileId, environment }, unanswered(), () => ({
    tenant: request.tenant,
    filename: `${request.id}-retry.jsonl`,
    purpose: "batch",
  }));
  // The lines of a batch that was deleted meanwhile look unanswered.
  await requireBatch(context, id, caller);
  const createdAt = context.clock.wall();
  const { trace: linkedTrace, ...same } = request;
  const retried: BatchRequest = {
    ...same,
    id: retryId,
    inputFileId: file.id,
    createdAt,
    expiresAt: createdAt + (expiresAt - before),
    retryOf: request.id,
    ...(trace && { trace }),
  };
  const stored = await send(context, retried, linkedTrace);
  context.onBatch?.();
  return { request: stored, steps: {} };
}

/** Returns the id of the retry, and the id from which it is derived: the batch, or its last deleted retry. */
async function retryIdsOf(
  context: JobsContext,
  id: BatchId,
  endedAt: number,
): Promise<{ retryId: BatchId; of: BatchId }> {
  let of = id;
  for (;;) {
    const retryId = retryBatchId(of, endedAt);
    if (!(await deletedAmong(context.store, [retryId])).has(retryId)) return { retryId, of };
    of = retryId;
  }
}

/** Returns an unfinished batch that reads the file, or undefined. */
export async function batchUsing(context: JobsContext, { id, environment }: StoredFile): Promise<BatchId | undefined> {
  for (const batchId of await openBatches(context, environment)) {
    const batch = await findBatch(context, environment, batchId);
    if (batch?.request.inputFileId === id && !isOver(batchStatus(batch.steps))) return batchId;
  }
  return undefined;
}

/** Returns whether the status is final. */
export function isOver(status: BatchStatus): boolean {
  return status === "failed" || status === "completed" || status === "expired" || status === "cancelled";
}
