// Deletes an ended batch with its lines, their texts and its files. One record decides that, and from then on no caller
// sees the batch. Repeatable steps remove the rest: at once if that is quick, otherwise by the batch driver, also after
// a crash. The attempts stay without the provider's texts, because quotas, usage and budgets count them.
import { type BatchId, type BatchRequest, batchStatus } from "../../domain/batch.ts";
import { SluiceError } from "../../domain/errors.ts";
import type { JobId } from "../../domain/ids.ts";
import { isFinal } from "../../domain/job.ts";
import { environmentCollection } from "../../store/collection.ts";
import { pagesOf } from "../../store/cursor.ts";
import { audited } from "../audit/audited.ts";
import type { Caller } from "../caller.ts";
import { deleteFile, fileIn } from "../files/files.ts";
import type { JobsContext } from "../jobs-context.ts";
import { mayRun } from "../may-run.ts";
import { insertTombstone } from "../tombstones.ts";
import { type Batch, isRead, removeBatchRecords, requireBatch } from "./batch-records.ts";
import { lineRange } from "./batch-results.ts";
import { isOver } from "./batches.ts";

type DeletionContext = Pick<JobsContext, "store" | "clock" | "settings">;

/** What remains to remove of a deleted batch. */
interface Deletion {
  request: BatchRequest;
  fileIds: string[];
}

/** Lines that are listed and removed at a time. */
const pageSize = 500;
const atOnce = 50;
/**
 * Time that a caller waits for the removal of the lines, in ms. The rest of a large batch follows in the background.
 */
const patienceMs = 5_000;

const deletionsIn = environmentCollection<Deletion>({ stored: "batches", id: "*/deletion", order: "deletion/" });

/**
 * Deletes an ended batch with its prompts, answers and files. When it resolves they are removed, or will be soon if
 * they are many. The input file stays while another batch reads it.
 * @throws SluiceError `batch_not_found`, or `conflict` if the batch has not ended
 */
export async function deleteBatch(context: JobsContext, id: string, caller: Caller): Promise<void> {
  const batch = await requireBatch(context, id, caller);
  const status = batchStatus(batch.steps);
  if (!isOver(status)) {
    const next =
      status === "cancelling"
        ? "Wait until it is cancelled."
        : `Cancel it first (POST /v1/batches/${batch.request.id}/cancel), and delete it once it is cancelled.`;
    throw new SluiceError("conflict", `The batch cannot be deleted: it is ${status}. ${next}`);
  }
  const target = { type: "batch", id: batch.request.id } as const;
  await audited(context, caller, "batch.delete", { target }, () => beginDeletion(context, batch));
  const { environment } = batch.request;
  const deadline = context.clock.now() + patienceMs;
  const isInTime = async () => context.clock.now() < deadline;
  const isDone = await continueDeletion(context, environment, batch.request.id, isInTime).catch((error) => {
    // The deletion is decided, and the batch driver continues it.
    context.log.warn(
      { err: error, batchId: batch.request.id },
      "failed to remove a deleted batch completely; trying again",
    );
    return false;
  });
  if (!isDone) context.onBatch?.();
}

/** Decides that an ended batch is removed. `continueDeletion` does the rest. May be repeated. */
export async function beginDeletion(context: DeletionContext, { request, steps: { ended } }: Batch): Promise<void> {
  const { id, environment, inputFileId, retryOf } = request;
  const fileIds = [inputFileId, ended?.outputFileId, ended?.errorFileId].filter((fileId) => fileId !== undefined);
  await deletionsIn(context.store, environment).insert({ id, value: { request, fileIds } });
  // An Idempotency-Key is bound to the batch's id, and so is a retry of another batch.
  await insertTombstone(context, { id, retryOf });
  await removeBatchRecords(context, environment, id);
}

/** Returns deleted batches that are not completely removed. */
export async function openDeletions(context: DeletionContext, environment: string): Promise<BatchId[]> {
  const deletions = await deletionsIn(context.store, environment).list(100);
  // Records of older versions name the environment in the request alone.
  return deletions.filter(({ value }) => value.request.environment === environment).map(({ id }) => id);
}

/**
 * Removes the rest of a deleted batch. Two processes may run it at a time, and repeat it.
 * @param mayGoOn called between the steps
 * @returns whether everything is removed; if not, call it again later
 */
export async function continueDeletion(
  context: DeletionContext,
  environment: string,
  id: BatchId,
  mayGoOn: () => Promise<boolean>,
): Promise<boolean> {
  const deletions = deletionsIn(context.store, environment);
  const deletion = await deletions.get(id);
  if (!deletion) return true;
  // A crash may have prevented the records after the first one.
  await insertTombstone(context, { id, retryOf: deletion.request.retryOf });
  await removeBatchRecords(context, environment, id);
  for (const fileId of deletion.fileIds) await removeFile(context, environment, fileId);
  if (!(await removeLines(context, deletion.request, mayGoOn))) return false;
  await deletions.remove(id);
  return true;
}

async function removeFile(context: DeletionContext, environment: string, fileId: string): Promise<void> {
  const file = await fileIn(context, environment, fileId);
  if (file && !(await isRead(context, file))) await deleteFile(context, file);
}

/**
 * Removes lines, and returns whether all are removed. A line stays while its call may run, because the end of the call
 * must find its job.
 */
async function removeLines(
  context: DeletionContext,
  request: BatchRequest,
  mayGoOn: () => Promise<boolean>,
): Promise<boolean> {
  const { environment } = request;
  const lines = lineRange(request);
  let left = 0;
  const pages = pagesOf((cursor) => context.store.list({ environment, lines, limit: pageSize, cursor }));
  for await (const page of pages) {
    for (let at = 0; at < page.length; at += atOnce) {
      if (!(await mayGoOn())) return false;
      const removed = page.slice(at, at + atOnce).map(({ job }) => removeLine(context, environment, job.id));
      left += (await Promise.all(removed)).filter((isRemoved) => !isRemoved).length;
    }
  }
  return left === 0;
}

async function removeLine(context: DeletionContext, environment: string, jobId: JobId): Promise<boolean> {
  const record = await context.store.get(jobId, "none");
  if (!record) return true;
  if (!isFinal(record.state) || mayRun(context, record.attempts)) return false;
  await context.store.remove(environment, jobId);
  return true;
}
