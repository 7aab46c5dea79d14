// Deleting a batch that is over, with its lines, their texts and its files. The decision is one record, and from then on the
// batch is gone for every caller. What it leaves behind is removed in steps that may all be repeated: at once where that is
// quick, and by whoever takes batches further otherwise, also after a crash.
//
// What stays are the attempts, without the provider's words: quotas, usage and budgets count them.
import { type BatchId, type BatchRequest, batchStatus } from "../../domain/batch.ts";
import { SluiceError } from "../../domain/errors.ts";
import type { JobId } from "../../domain/ids.ts";
import { isFinal } from "../../domain/job.ts";
import { environmentCollection } from "../../store/collection.ts";
import { pagesOf } from "../../store/cursor.ts";
import type { Caller } from "../caller.ts";
import { deleteFile, fileIn } from "../files/files.ts";
import type { JobsContext } from "../jobs-context.ts";
import { mayRun } from "../may-run.ts";
import { insertTombstone } from "../tombstones.ts";
import { type Batch, isRead, removeBatchRecords, requireBatch } from "./batch-records.ts";
import { lineRange } from "./batch-results.ts";
import { isOver } from "./batches.ts";

type DeletionContext = Pick<JobsContext, "store" | "clock" | "settings">;

/** What is still to be removed of a deleted batch. */
interface Deletion {
  request: BatchRequest;
  fileIds: string[];
}

/** Lines that are listed at a time, and lines that are removed at a time. */
const pageSize = 500;
const atOnce = 50;
/** How long a caller waits for the lines to be removed, in ms. The rest of a large batch follows in the background. */
const patienceMs = 5_000;

const deletionsIn = environmentCollection<Deletion>({ stored: "batches", id: "*/deletion", order: "deletion/" });

/**
 * Deletes a batch that is over. Its answers, prompts and files are gone when this resolves, or soon after if they are many.
 * The input file stays while another batch reads it.
 * @throws SluiceError `batch_not_found`, or `conflict` if it is not over
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
  await beginDeletion(context, batch);
  const { environment } = batch.request;
  const deadline = context.clock.now() + patienceMs;
  const isInTime = async () => context.clock.now() < deadline;
  const isDone = await continueDeletion(context, environment, batch.request.id, isInTime).catch((error) => {
    // It is decided: whoever takes batches further goes on.
    context.log.warn(
      { err: error, batchId: batch.request.id },
      "failed to remove a deleted batch completely; trying again",
    );
    return false;
  });
  if (!isDone) context.onBatch?.();
}

async function beginDeletion(context: DeletionContext, { request, steps: { ended } }: Batch): Promise<void> {
  const { id, environment, inputFileId, retryOf } = request;
  const fileIds = [inputFileId, ended?.outputFileId, ended?.errorFileId].filter((fileId) => fileId !== undefined);
  await deletionsIn(context.store, environment).insert({ id, value: { request, fileIds } });
  // An Idempotency-Key is bound to its id, and so is a retry of another batch.
  await insertTombstone(context, { id, retryOf });
  await removeBatchRecords(context, environment, id);
}

/** Returns the deleted batches of which something is still to be removed. */
export async function openDeletions(context: DeletionContext, environment: string): Promise<BatchId[]> {
  const deletions = await deletionsIn(context.store, environment).list(100);
  // Records of older versions name the environment in the request alone.
  return deletions.filter(({ value }) => value.request.environment === environment).map(({ id }) => id);
}

/**
 * Removes what is left of a deleted batch. May be repeated, also by two processes at a time.
 * @param mayGoOn asked between the steps
 * @returns whether all is removed; if not, it is to be called again later
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
  // A crash may have come between the first record and these.
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

/** Returns whether all are removed. A line stays while a call of it may run: the end of a call has to find its job. */
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
  const record = await context.store.get(jobId);
  if (!record) return true;
  if (!isFinal(record.state) || mayRun(context, record.attempts)) return false;
  await context.store.remove(environment, jobId);
  return true;
}
