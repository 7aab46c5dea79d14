// Stores a batch: its request, and a record for each step. A step is inserted once and the first insert wins. So any
// process may take it, and repeat it after a lost reply.
import { type BatchId, type BatchRequest, type BatchSteps, isBatchId } from "../../domain/batch.ts";
import { SluiceError } from "../../domain/errors.ts";
import { environmentCollection } from "../../store/collection.ts";
import { type Caller, maySee, visibleEnvironments } from "../caller.ts";
import type { JobsContext } from "../jobs-context.ts";
import { expectBatchDelivery } from "../webhooks/webhook-records.ts";

export type BatchesContext = Pick<JobsContext, "store" | "clock" | "settings">;

/** A batch with its steps, as stored. */
export interface Batch {
  request: BatchRequest;
  steps: BatchSteps;
}

const steps = ["validated", "cancelled", "submitted", "finalizing", "ended"] as const satisfies (keyof BatchSteps)[];
type Step = (typeof steps)[number];

const requestsIn = environmentCollection<BatchRequest>({ stored: "batches", order: "batch/" });
const stepIn = <S extends Step>(step: S) =>
  environmentCollection<NonNullable<BatchSteps[S]>>({ stored: "batches", id: `*/${step}` });
/** Everything of a batch under its stored id, to read and remove it together. */
const recordsIn = environmentCollection<BatchRequest | NonNullable<BatchSteps[Step]>>({ stored: "batches" });
/** Batches that a process has to advance. */
const openIn = environmentCollection<Pick<BatchRequest, "id" | "environment">>({
  stored: "batches",
  id: "*/open",
  order: "open/",
});
/** How many lines of a batch were handled: where a process that takes over continues. */
const progressIn = environmentCollection<Progress>({ stored: "batches", id: "*/progress" });

const idsOf = (id: BatchId) => [id, ...steps.map((step) => `${id}/${step}`)];
const openIdsOf = (id: BatchId) => [`${id}/open`, `${id}/progress`];

const pageSize = 100;

/**
 * Inserts a batch.
 * @returns the stored request, which is the first one inserted under the id
 */
export async function insertBatch(context: BatchesContext, request: BatchRequest): Promise<BatchRequest> {
  const { id, environment } = request;
  // Written before the batch, so that every process that finds the batch also finds its delivery.
  await expectBatchDelivery(context, request);
  await openIn(context.store, environment).insert({ id, value: { id, environment } });
  return requestsIn(context.store, environment).insertOrGet({ id, value: request });
}

export async function findBatch(context: BatchesContext, environment: string, id: BatchId): Promise<Batch | undefined> {
  const found = await recordsIn(context.store, environment).getMany(idsOf(id));
  const request = found.get(id) as BatchRequest | undefined;
  return request && { request, steps: stepsOf(id, found) };
}

/** Returns whether all lines that will become jobs are jobs, so that the batch itself needs no reservation. */
export function isIngested({ request, steps }: Batch, now: number): boolean {
  const { submitted, cancelled, ended, validated } = steps;
  const failed = validated !== undefined && validated.errors.length > 0;
  return (
    failed || submitted !== undefined || cancelled !== undefined || ended !== undefined || now >= request.expiresAt
  );
}

/** Removes from the request of an ended batch what its submitter wrote. May be repeated. */
export async function eraseBatchRequest(context: BatchesContext, { request }: Batch): Promise<void> {
  const { metadata: _labels, trace: _trace, webhookUrl: _url, ...value } = request;
  const { id, environment } = request;
  const requests = requestsIn(context.store, environment);
  await requests.put({ id, value });
  // A deletion of the batch may have removed its records meanwhile.
  if (!(await findBatch(context, environment, id))?.steps.ended) await requests.remove(id);
}

/**
 * Returns a batch.
 * @throws SluiceError `batch_not_found`, also for a batch that the caller may not see
 */
export async function requireBatch(context: BatchesContext, id: string, caller: Caller): Promise<Batch> {
  if (isBatchId(id)) {
    const places = visibleEnvironments(context, caller);
    const found = await Promise.all(places.map((environment) => findBatch(context, environment, id)));
    const batch = found.find((candidate) => candidate && maySee(caller, candidate.request));
    if (batch) return batch;
  }
  throw new SluiceError("batch_not_found", `There is no batch ${id.slice(0, 100)}.`);
}

/**
 * Returns a page of batches, newest first.
 * @param after id of the last batch on the previous page
 */
export async function listBatches(
  context: BatchesContext,
  { after, limit }: { after?: string; limit: number },
  caller: Caller,
): Promise<{ batches: Batch[]; more: boolean }> {
  const lists = visibleEnvironments(context, caller).map(async (environment) => {
    const requests: BatchRequest[] = [];
    const range = { before: after, descending: true };
    for await (const { value: request } of requestsIn(context.store, environment).all(range, pageSize)) {
      if (maySee(caller, request)) requests.push(request);
      if (requests.length > limit) break;
    }
    return requests;
  });
  const requests = (await Promise.all(lists)).flat().sort((a, b) => (a.id < b.id ? 1 : -1));
  const page = requests.slice(0, limit);
  const batches = await Promise.all(
    page.map(async (request) => (await findBatch(context, request.environment, request.id)) ?? { request, steps: {} }),
  );
  return { batches, more: requests.length > limit };
}

/** Reads the requests of all batches of an environment, oldest first. */
export async function* batchRequests(
  { store }: Pick<BatchesContext, "store">,
  environment: string,
): AsyncIterable<BatchRequest> {
  for await (const { value } of requestsIn(store, environment).all({}, pageSize)) yield value;
}

/**
 * Inserts a step.
 * @returns the stored step, which is the first one inserted
 */
export function takeStep<S extends Step>(
  context: BatchesContext,
  { id, environment }: Pick<BatchRequest, "id" | "environment">,
  step: S,
  value: NonNullable<BatchSteps[S]>,
): Promise<NonNullable<BatchSteps[S]>> {
  return stepIn(step)(context.store, environment).insertOrGet({ id, value });
}

/** Returns whether a cancel of the batch is stored. */
export async function isCancelled(context: BatchesContext, environment: string, id: BatchId): Promise<boolean> {
  return (await stepIn("cancelled")(context.store, environment).get(id)) !== undefined;
}

/** Returns the batches that have not ended, oldest first. */
export async function openBatches(context: BatchesContext, environment: string): Promise<BatchId[]> {
  const ids: BatchId[] = [];
  for await (const { id } of openIn(context.store, environment).all()) ids.push(id);
  return ids;
}

/** Removes a batch and its steps, but not its lines and files. */
export async function removeBatchRecords(context: BatchesContext, environment: string, id: BatchId): Promise<void> {
  await recordsIn(context.store, environment).remove(...idsOf(id), ...openIdsOf(id));
}

/** Returns whether the file is the input of a batch. Even an ended batch may still be retried. */
export async function isRead(
  context: BatchesContext,
  { id, environment }: { id: string; environment: string },
): Promise<boolean> {
  for await (const { value: request } of requestsIn(context.store, environment).all()) {
    if (request.inputFileId === id) return true;
  }
  return false;
}

/** Removes a batch from the list of those to advance. */
export async function closeBatch(context: BatchesContext, environment: string, id: BatchId): Promise<void> {
  await recordsIn(context.store, environment).remove(...openIdsOf(id));
}

/** Progress of the second pass: all lines up to this one are handled. */
export interface Progress {
  line: number;
  refused: number;
}

export async function loadProgress(context: BatchesContext, environment: string, id: BatchId): Promise<Progress> {
  return (await progressIn(context.store, environment).get(id)) ?? { line: 0, refused: 0 };
}

export async function saveProgress(
  context: BatchesContext,
  environment: string,
  id: BatchId,
  progress: Progress,
): Promise<void> {
  await progressIn(context.store, environment).put({ id, value: progress });
}

function stepsOf(id: BatchId, records: ReadonlyMap<string, unknown>): BatchSteps {
  const taken = steps.flatMap((step) => {
    const record = records.get(`${id}/${step}`);
    return record === undefined ? [] : [[step, record]];
  });
  return Object.fromEntries(taken) as BatchSteps;
}
