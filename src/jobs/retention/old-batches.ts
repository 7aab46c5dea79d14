// Erases the lines of old batches and removes old batches. All lines of a batch go together, once the batch has ended:
// the time counts from the end of the batch. The batch driver removes the lines of a removed batch.
import { type BatchRequest, type BatchSteps, batchStatus } from "../../domain/batch.ts";
import type { JobRecord } from "../../domain/job.ts";
import { batchDeliveryId } from "../../domain/webhook.ts";
import { pagesOf } from "../../store/cursor.ts";
import { includesTenant } from "../../store/upkeep-store.ts";
import { type Batch, batchRequests, findBatch } from "../batches/batch-records.ts";
import { lineRange } from "../batches/batch-results.ts";
import { isOver } from "../batches/batches.ts";
import { beginDeletion } from "../batches/delete-batch.ts";
import { erasureOf, type WalkProgress } from "./old-jobs.ts";
import { archiveJobs, inSteps, isDelivering, isSettled, type Lane, type RetentionContext } from "./retention-steps.ts";

const pageSize = 200;

/**
 * Handles the batches of a lane that are old enough.
 * @param memory `batches` are ids that need no further look, and batches that are handled completely are added. `lateMs`
 *   grows to the lateness of a batch that fails
 * @throws what the store and the archive throw, and what `proceed` throws; then the walk can be repeated
 */
export async function walkOldBatches(
  context: RetentionContext,
  lane: Lane,
  memory: Pick<WalkProgress, "lateMs"> & { batches: Set<string> },
): Promise<void> {
  const { environment, kind, tenants, ageMs } = lane;
  const { batches: done } = memory;
  for await (const request of batchRequests(context, environment)) {
    const { id, tenant, webhookUrl } = request;
    if (done.has(id) || !includesTenant(tenants, tenant)) continue;
    await context.proceed();
    const batch = await findBatch(context, environment, id);
    const endedAt = batch && endOf(batch);
    const limit = context.clock.wall() - ageMs;
    if (!batch || endedAt === undefined || endedAt >= limit) continue;
    if (webhookUrl !== undefined && (await isDelivering(context, environment, batchDeliveryId(id)))) continue;
    try {
      const isDone = kind === "texts" ? await eraseLines(context, batch) : await removeBatch(context, batch);
      if (isDone) done.add(id);
    } catch (error) {
      memory.lateMs = Math.max(memory.lateMs, limit - endedAt);
      throw error;
    }
  }
}

function endOf({ steps }: { steps: BatchSteps }): number | undefined {
  return isOver(batchStatus(steps)) ? (steps.ended?.at ?? steps.validated?.at) : undefined;
}

/** Erases the lines of an ended batch. Returns whether all are erased. */
export async function eraseLines(context: RetentionContext, { request }: Batch): Promise<boolean> {
  let left = 0;
  for await (const records of recordsOf(context, request, true)) {
    const settled = await Promise.all(records.map((record) => isSettled(context, record)));
    const ready = records.filter((_, i) => settled[i]);
    left += records.length - ready.length;
    await archiveJobs(context, ready);
    await Promise.all(
      ready.map(({ job }) => context.store.eraseTexts(job.environment, job.id, erasureOf(context, { job }))),
    );
    context.removed(request.environment, "texts", ready.length);
  }
  return left === 0;
}

/** Removes an ended batch. Its lines follow in the background. Returns false if a line is not settled yet. */
async function removeBatch(context: RetentionContext, batch: Batch): Promise<boolean> {
  const { request } = batch;
  let lines = 0;
  for await (const records of recordsOf(context, request, false)) {
    const settled = await Promise.all(records.map((record) => isSettled(context, record)));
    if (settled.includes(false)) return false;
    await archiveJobs(context, records);
    lines += records.length;
  }
  await beginDeletion(context, batch);
  context.onBatch?.();
  context.removed(request.environment, "jobs", lines);
  return true;
}

/** Yields the lines of a batch in steps. @param unerased leaves out those that are erased */
async function* recordsOf(
  context: RetentionContext,
  request: BatchRequest,
  unerased: boolean,
): AsyncGenerator<JobRecord[]> {
  const { environment } = request;
  const lines = lineRange(request);
  const pages = pagesOf((cursor) => context.store.list({ environment, lines, limit: pageSize, cursor }));
  for await (const page of pages) {
    const due = unerased ? page.filter((line) => erasureOf(context, line) !== undefined) : page;
    for await (const step of inSteps(context, due)) {
      const records = await Promise.all(step.map(({ job }) => context.store.get(job.id, "none")));
      yield records.filter((record) => record !== undefined);
    }
  }
}
