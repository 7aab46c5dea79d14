// Erases what a tenant with zero retention has read: an answer once it was sent completely, results of a batch once
// their file was, and a job once its webhook was confirmed. What is missed, because the process died or the store
// was unreachable, is removed by its age.
import { isBatchId } from "../../domain/batch.ts";
import type { JobHead, JobRecord } from "../../domain/job.ts";
import { type Batch, eraseBatchRequest, findBatch } from "../batches/batch-records.ts";
import { batchUsing } from "../batches/batches.ts";
import type { Caller } from "../caller.ts";
import { deleteFile, fileIn, type StoredFile } from "../files/files.ts";
import type { JobsContext } from "../jobs-context.ts";
import { eraseLines } from "./old-batches.ts";
import { hasZeroRetention } from "./retention-policy.ts";

type Owned = Pick<JobHead, "environment" | "tenant">;

/** Returns whether a complete read by the caller erases what it reads. A read-only key erases nothing. */
export function erasesByReading({ settings }: Pick<JobsContext, "settings">, owned: Owned, caller: Caller): boolean {
  if (caller.readOnly) return false;
  return caller.tenant === owned.tenant && hasZeroRetention(settings.retention, owned.environment, owned.tenant);
}

/**
 * Erases an ended job that its owner has read. A line of a batch stays, because the results of the batch contain it.
 * Never fails.
 */
export async function eraseRead(context: JobsContext, { job, outcome }: Pick<JobRecord, "job" | "outcome">) {
  if (!outcome || job.batchId !== undefined || job.erased === "all") return;
  await orByAge(context, { jobId: job.id }, () => context.store.eraseTexts(job.environment, job.id, "all"));
}

/** Erases the job of a webhook that was confirmed, if its tenant has zero retention. Never fails. */
export async function eraseDelivered(context: JobsContext, delivery: Owned & { jobId?: string }): Promise<void> {
  const { jobId, environment, tenant } = delivery;
  if (jobId === undefined || !hasZeroRetention(context.settings.retention, environment, tenant)) return;
  await orByAge(context, { jobId }, async () => {
    const record = await context.store.get(jobId, "none");
    if (record) await eraseRead(context, record);
  });
}

/**
 * Deletes a file of results that its owner has read. After the last one of its batch, erases the lines and deletes the
 * input. Never fails.
 */
export async function deleteReadFile(context: JobsContext, file: StoredFile): Promise<void> {
  if (file.purpose !== "batch_output") return;
  await orByAge(context, { file: file.id }, async () => {
    await deleteFile(context, file);
    const [, batchId] = /^(batch_[0-9a-f]+)_/.exec(file.filename) ?? [];
    const batch =
      batchId !== undefined && isBatchId(batchId) ? await findBatch(context, file.environment, batchId) : undefined;
    if (batch && resultFilesOf(batch).includes(file.id)) await eraseReadBatch(context, batch);
  });
}

/**
 * Deletes what the owner of an ended batch has read as the list of its results: the output file, and the error file if
 * no line of it was missing in the list. Then erases the batch as `deleteReadFile` does. Never fails.
 * @param results number of results that were read
 */
export async function eraseReadResults(context: JobsContext, batch: Batch, results: number): Promise<void> {
  const { request, steps } = batch;
  const { outputFileId, errorFileId } = steps.ended ?? {};
  // Lines that never became jobs are in the error file only.
  const isWhole = results >= (steps.validated?.lines ?? 0);
  await orByAge(context, { batchId: request.id }, async () => {
    for (const id of [outputFileId, isWhole ? errorFileId : undefined]) {
      const file = id && (await fileIn(context, request.environment, id));
      if (file) await deleteFile(context, file);
    }
    await eraseReadBatch(context, batch);
  });
}

function resultFilesOf({ steps: { ended } }: Batch): string[] {
  return [ended?.outputFileId, ended?.errorFileId].filter((id) => id !== undefined);
}

/** Erases a batch whose files of results are all gone. */
async function eraseReadBatch(context: JobsContext, batch: Batch): Promise<void> {
  const { environment, inputFileId } = batch.request;
  for (const id of resultFilesOf(batch)) if (await fileIn(context, environment, id)) return;
  // Steps of a few lines leave the event loop and the store free in between.
  const proceed = () => new Promise<void>((resolve) => setImmediate(resolve));
  await eraseLines({ ...context, proceed, removed: () => {} }, batch);
  await eraseBatchRequest(context, batch);
  const input = await fileIn(context, environment, inputFileId);
  if (input && (await batchUsing(context, input)) === undefined) await deleteFile(context, input);
}

async function orByAge({ log }: JobsContext, about: object, erase: () => Promise<void>): Promise<void> {
  try {
    await erase();
  } catch (error) {
    log.warn({ err: error, ...about }, "failed to erase what was read; its age will");
  }
}
