// How a batch stands on record: what was asked, and a record for each step that it has taken. A step is inserted once,
// and the first one wins, so that any process may take it, and take it again when the answer was lost.
import { type BatchId, type BatchRequest, type BatchSteps, isBatchId } from "../../domain/batch.ts";
import { SluiceError } from "../../domain/errors.ts";
import type { RecordPlace } from "../../store/record-store.ts";
import { type Caller, maySee, visibleEnvironments } from "../caller.ts";
import type { JobsContext } from "../jobs-context.ts";
import { expectBatchDelivery } from "../webhooks/webhook-records.ts";

export type BatchesContext = Pick<JobsContext, "store" | "clock" | "settings">;

/** A batch as it is on record. */
export interface Batch {
  request: BatchRequest;
  steps: BatchSteps;
}

const steps = ["validated", "cancelled", "submitted", "finalizing", "ended"] as const satisfies (keyof BatchSteps)[];
type Step = (typeof steps)[number];

export const batchesIn = (environment: string): RecordPlace => ({ collection: "batches", environment });

const batchOrder = (id: BatchId) => `batch/${id}`;
/** After the order of every batch. */
const afterBatches = "batch0";
const stepId = (id: BatchId, step: Step) => `${id}/${step}`;

/** A batch that somebody has to take further. */
const openId = (id: BatchId) => `${id}/open`;
const openOrder = (id: BatchId) => `open/${id}`;
/** How many of its lines have been gone through: where a process goes on that takes over. */
const progressId = (id: BatchId) => `${id}/progress`;

/** At most as many batches as fit into one read of all their steps. */
const pageSize = 100;

/** @returns the request that stands: of several with one id the first one wins */
export async function insertBatch(context: BatchesContext, request: BatchRequest): Promise<BatchRequest> {
  const place = batchesIn(request.environment);
  const { id, environment } = request;
  // Before the batch itself: one that is on record is found by those who take it further, or tell of its end.
  await expectBatchDelivery(context, request);
  await context.store.records.insert(place, [{ id: openId(id), order: openOrder(id), value: { id, environment } }]);
  const [answer] = await context.store.records.insert(place, [{ id, order: batchOrder(id), value: request }]);
  if (answer === "inserted") return request;
  return (await findBatch(context, environment, id))?.request ?? request;
}

export async function findBatch(context: BatchesContext, environment: string, id: BatchId): Promise<Batch | undefined> {
  const ids = [id, ...steps.map((step) => stepId(id, step))];
  const records = await context.store.records.get(batchesIn(environment), ids);
  const request = records.get(id)?.value as BatchRequest | undefined;
  // Environments may share a database.
  if (request?.environment !== environment) return undefined;
  return { request, steps: stepsOf(id, records) };
}

/** Whether every line that will be a job is one: nothing has to be set aside for the batch itself any more. */
export function isIngested({ request, steps }: Batch, now: number): boolean {
  const { submitted, cancelled, ended, validated } = steps;
  const failed = validated !== undefined && validated.errors.length > 0;
  return (
    failed || submitted !== undefined || cancelled !== undefined || ended !== undefined || now >= request.expiresAt
  );
}

/** @throws SluiceError `batch_not_found`, also for a batch that the caller may not see */
export async function requireBatch(context: BatchesContext, id: string, caller: Caller): Promise<Batch> {
  if (isBatchId(id)) {
    const places = visibleEnvironments(context, caller);
    const found = await Promise.all(places.map((environment) => findBatch(context, environment, id)));
    const batch = found.find((candidate) => candidate && maySee(caller, candidate.request));
    if (batch) return batch;
  }
  throw new SluiceError("batch_not_found", `There is no batch ${id.slice(0, 100)}.`);
}

/** Newest first. @param after the id of the last batch of the page before */
export async function listBatches(
  context: BatchesContext,
  { after, limit }: { after?: string; limit: number },
  caller: Caller,
): Promise<{ batches: Batch[]; more: boolean }> {
  const lists = visibleEnvironments(context, caller).map(async (environment) => {
    const requests: BatchRequest[] = [];
    let cursor: string | undefined;
    do {
      const { items, next } = await context.store.records.list(batchesIn(environment), {
        from: batchOrder(""),
        to: after === undefined ? afterBatches : batchOrder(after),
        descending: true,
        limit: pageSize,
        cursor,
      });
      const own = items.map((item) => item.value as BatchRequest).filter((r) => r.environment === environment);
      requests.push(...own.filter((request) => maySee(caller, request)));
      cursor = next;
    } while (cursor !== undefined && requests.length <= limit);
    return requests;
  });
  const requests = (await Promise.all(lists)).flat().sort((a, b) => (a.id < b.id ? 1 : -1));
  const page = requests.slice(0, limit);
  const batches = await Promise.all(
    page.map(async (request) => (await findBatch(context, request.environment, request.id)) ?? { request, steps: {} }),
  );
  return { batches, more: requests.length > limit };
}

/** @returns the step that stands */
export async function takeStep<S extends Step>(
  context: BatchesContext,
  { id, environment }: Pick<BatchRequest, "id" | "environment">,
  step: S,
  value: NonNullable<BatchSteps[S]>,
): Promise<NonNullable<BatchSteps[S]>> {
  const place = batchesIn(environment);
  const record = { id: stepId(id, step), value };
  const [answer] = await context.store.records.insert(place, [record]);
  if (answer === "inserted") return value;
  const stands = (await context.store.records.get(place, [record.id])).get(record.id);
  return (stands?.value as NonNullable<BatchSteps[S]> | undefined) ?? value;
}

/** Whether a cancel of the batch is on record. */
export async function isCancelled(context: BatchesContext, environment: string, id: BatchId): Promise<boolean> {
  const cancelled = stepId(id, "cancelled");
  return (await context.store.records.get(batchesIn(environment), [cancelled])).has(cancelled);
}

/** Batches that have not ended, oldest first. */
export async function openBatches(context: BatchesContext, environment: string): Promise<BatchId[]> {
  const ids: BatchId[] = [];
  let cursor: string | undefined;
  do {
    const query = { from: openOrder(""), to: "open0", limit: 1000, cursor };
    const { items, next } = await context.store.records.list(batchesIn(environment), query);
    for (const { value } of items) {
      const open = value as Pick<BatchRequest, "id" | "environment">;
      if (open.environment === environment) ids.push(open.id);
    }
    cursor = next;
  } while (cursor !== undefined);
  return ids;
}

/** Removes a batch and its steps. Its lines and files are not touched. */
export async function removeBatchRecords(context: BatchesContext, environment: string, id: BatchId): Promise<void> {
  const ids = [id, openId(id), progressId(id), ...steps.map((step) => stepId(id, step))];
  await context.store.records.remove(batchesIn(environment), ids);
}

/** Returns whether a batch, over or not, has the file as its input: then it may still be retried. */
export async function isRead(
  context: BatchesContext,
  { id, environment }: { id: string; environment: string },
): Promise<boolean> {
  let cursor: string | undefined;
  do {
    const query = { from: batchOrder(""), to: afterBatches, limit: 1000, cursor };
    const { items, next } = await context.store.records.list(batchesIn(environment), query);
    for (const { value } of items) {
      const request = value as BatchRequest;
      if (request.inputFileId === id && request.environment === environment) return true;
    }
    cursor = next;
  } while (cursor !== undefined);
  return false;
}

/** Nobody has to take it further any more. */
export async function closeBatch(context: BatchesContext, environment: string, id: BatchId): Promise<void> {
  await context.store.records.remove(batchesIn(environment), [openId(id), progressId(id)]);
}

/** All lines up to this one have been gone through when lines are turned into jobs. */
export interface Progress {
  line: number;
  refused: number;
}

export async function loadProgress(context: BatchesContext, environment: string, id: BatchId): Promise<Progress> {
  const record = (await context.store.records.get(batchesIn(environment), [progressId(id)])).get(progressId(id));
  return (record?.value as Progress | undefined) ?? { line: 0, refused: 0 };
}

export async function saveProgress(
  context: BatchesContext,
  environment: string,
  id: BatchId,
  progress: Progress,
): Promise<void> {
  await context.store.records.put(batchesIn(environment), { id: progressId(id), value: progress });
}

function stepsOf(id: BatchId, records: ReadonlyMap<string, { value: unknown }>): BatchSteps {
  const taken = steps.flatMap((step) => {
    const record = records.get(stepId(id, step));
    return record ? [[step, record.value]] : [];
  });
  return Object.fromEntries(taken) as BatchSteps;
}
