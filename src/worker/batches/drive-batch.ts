// Advances one batch as far as possible now. All state is stored, so any process can continue where another one died.
import { type BatchEnd, type BatchError, type BatchId, batchStatus, lineOf } from "../../domain/batch.ts";
import { SluiceError } from "../../domain/errors.ts";
import type { JobId } from "../../domain/ids.ts";
import type { JobHead } from "../../domain/job.ts";
import { toUsd } from "../../domain/money.ts";
import type { LineFormat } from "../../jobs/batches/batch-lines.ts";
import {
  type Batch,
  closeBatch,
  findBatch,
  isIngested,
  loadProgress,
  takeStep,
} from "../../jobs/batches/batch-records.ts";
import { lineRange } from "../../jobs/batches/batch-results.ts";
import { isOver } from "../../jobs/batches/batches.ts";
import type { LineCounter } from "../../jobs/batches/line-counter.ts";
import { limitErrors, validateLines } from "../../jobs/batches/validate-lines.ts";
import { costSoFar, endIdleJob, endJob } from "../../jobs/control/end-job.ts";
import { readFile, requireFile, type StoredFile } from "../../jobs/files/files.ts";
import { nothing } from "../../jobs/reservation.ts";
import type { LineRecord } from "../../store/job-store.ts";
import type { BatchContext } from "./batch-context.ts";
import { finalise } from "./finalise.ts";
import { submitLines } from "./submit-lines.ts";

/** Maximum time that calls may run after a cancel of their batch, in milliseconds. */
const cancellingMs = 10 * 60_000;
/** Time after a cancel, in milliseconds, after which a running line without a worker counts as lost. */
const strayMs = 5_000;
/** Jobs that are ended at a time. */
const endingSize = 500;

/**
 * Advances the batch.
 * @param proceed called between the parts of long work; what it throws ends it
 * @throws what the store throws; it is then tried again
 */
export async function driveBatch(
  context: BatchContext,
  counter: LineCounter,
  environment: string,
  id: BatchId,
  proceed: () => Promise<void>,
): Promise<void> {
  const { clock, formats } = context;
  let batch = await findBatch(context, environment, id);
  // Its creation was interrupted before it was accepted, or is still running.
  if (!batch) return closeUnaccepted(context, environment, id);
  const { request } = batch;
  const format = formats.of(request.endpoint);
  if (!format) throw new Error(`There is no format for ${request.endpoint}`);

  const wasSubmitted = batch.steps.submitted !== undefined;
  batch = await ingest(context, batch, format, proceed);
  if (!wasSubmitted && isIngested(batch, clock.wall())) await context.limits?.release(request);
  if (isOver(batchStatus(batch.steps))) return closeBatch(context, environment, id);
  if (!batch.steps.validated) return endUnvalidated(context, batch);

  if (batch.steps.cancelled) await cancelLines(context, batch, batch.steps.cancelled.at, proceed);
  if (!batch.steps.submitted && !batch.steps.cancelled && clock.wall() < request.expiresAt) return;

  const counts = await counter.count(request);
  if (counts.queued + counts.in_progress > 0) return;
  // A count may be older than the last of the jobs.
  const jobs = counts.completed + counts.failed + counts.expired + counts.cancelled;
  const { submitted, validated } = batch.steps;
  if (submitted && jobs + submitted.refused < validated!.lines) return;

  const finalizing = await takeStep(context, request, "finalizing", { at: clock.wall() });
  batch = { request, steps: { ...batch.steps, finalizing } };
  const end = await finalise(context, batch, format, await inputOf(context, batch), counts, proceed);
  await endBatch(context, batch, end);
  await closeBatch(context, environment, id);
}

/** Checks the file and creates a job for each line. */
async function ingest(
  context: BatchContext,
  batch: Batch,
  format: LineFormat,
  proceed: () => Promise<void>,
): Promise<Batch> {
  const { request, steps } = batch;
  const { environment, id, expiresAt } = request;
  if (steps.submitted || steps.cancelled) return batch;
  const checked = steps.validated ? batch : await validate(context, batch, format, proceed);
  const isWanted = !isOver(batchStatus(checked.steps)) && !checked.steps.cancelled;
  if (!isWanted || context.clock.wall() >= expiresAt) return checked;
  const before = await loadProgress(context, environment, id);
  const linesLeft = checked.steps.validated!.lines - before.line;
  await context.limits?.reserve({ ...request, total: { ...nothing, jobs: linesLeft }, resumed: true });
  const bytes = await readFile(context, await inputOf(context, batch));
  const submitted = await submitLines(context, request, format, bytes, before, proceed);
  if (submitted) await takeStep(context, request, "submitted", { at: context.clock.wall(), ...submitted });
  return (await findBatch(context, environment, id)) ?? checked;
}

async function validate(
  context: BatchContext,
  { request }: Batch,
  format: LineFormat,
  proceed: () => Promise<void>,
): Promise<Batch> {
  let found: { lines: number; lastLine: number; errors: BatchError[] };
  try {
    const input = await inputOf(context, { request, steps: {} });
    const bytes = await readFile(context, input);
    const read = await validateLines(context, request, format, bytes, proceed);
    const errors = await limitErrors(read, (total) => context.limits?.reserve({ ...request, total }));
    found = { lines: read.lines, lastLine: read.lastLine, errors };
  } catch (error) {
    if (!(error instanceof SluiceError) || error.code !== "file_not_found") throw error;
    const { code, message } = error;
    found = { lines: 0, lastLine: 0, errors: [{ code, message, param: "input_file_id" }] };
  }
  const step = { at: context.clock.wall(), ...found };
  const validated = await takeStep(context, request, "validated", step);
  if (validated === step) {
    const about = { batchId: request.id, environment: request.environment, tenant: request.tenant };
    if (found.errors.length > 0) context.log.info({ ...about, errors: found.errors.length }, "refused a batch");
    else context.log.info({ ...about, lines: found.lines }, "started a batch");
  }
  const now = await findBatch(context, request.environment, request.id);
  return { request, steps: { ...now?.steps, validated } };
}

/** Takes the last step. The process whose step is stored logs the end. */
async function endBatch({ log, ...context }: BatchContext, { request, steps }: Batch, end: BatchEnd): Promise<void> {
  if ((await takeStep(context, request, "ended", end)) !== end) return;
  const { id: batchId, environment, tenant, createdAt } = request;
  const { status, counts, costNanoUsd } = end;
  const lines = steps.validated?.lines;
  const seconds = Math.round((end.at - createdAt) / 1000);
  log.info(
    { batchId, environment, tenant, status, lines, ...counts, costUsd: toUsd(costNanoUsd), seconds },
    "ended a batch",
  );
}

/** Ends a batch that was cancelled before its file was checked. It has no jobs and no results. */
async function endUnvalidated(context: BatchContext, batch: Batch): Promise<void> {
  const { request } = batch;
  await endBatch(context, batch, {
    at: context.clock.wall(),
    status: "cancelled",
    counts: { completed: 0, failed: 0, expired: 0, cancelled: 0 },
    usage: { input: 0, cached: 0, output: 0 },
    costNanoUsd: 0,
  });
  await closeBatch(context, request.environment, request.id);
}

/**
 * Ends waiting lines and lines whose worker was lost, and after a while also running ones. A line whose call starts
 * after it was listed as waiting keeps its answer: the store decides which came first.
 */
async function cancelLines(
  context: BatchContext,
  { request }: Batch,
  cancelledAt: number,
  proceed: () => Promise<void>,
): Promise<void> {
  const { store, clock } = context;
  const at = clock.wall();
  const isLate = at >= cancelledAt + cancellingMs;
  const end = async ({ job, state }: LineRecord) => {
    const outcome = { status: "cancelled", at } as const;
    if (isLate || (state === "in_progress" && (await isLost(context, job.id)))) await endLine(context, job, outcome);
    else if (state === "queued") await endIdleJob(context, job, outcome);
  };
  const states = at < cancelledAt + strayMs ? (["queued"] as const) : (["queued", "in_progress"] as const);
  for (const state of states) {
    for (let from = 0; ; ) {
      await proceed();
      const page = await store.lines({ ...lineRange(request, from), state, limit: endingSize });
      await Promise.all(page.map(end));
      if (page.length === 0) break;
      from = lineOf(page.at(-1)!.job.id) + 1;
    }
  }
}

/** Returns whether no worker has the job any longer, or false if the scheduler does not know. */
async function isLost({ scheduler, log }: BatchContext, jobId: JobId): Promise<boolean> {
  try {
    return (await scheduler.explain(jobId)).state !== "running";
  } catch (error) {
    log.debug({ err: error, jobId }, "failed to check whether a cancelled line still runs");
    return false;
  }
}

/** Ends a line with the cost of its calls. */
async function endLine(context: BatchContext, job: JobHead, outcome: { status: "cancelled"; at: number }) {
  const record = await context.store.get(job.id, "none");
  if (record) await endJob(context, job, { ...outcome, ...costSoFar(record) });
}

/**
 * Returns the input file.
 * @throws SluiceError `file_not_found`
 */
function inputOf(context: BatchContext, { request }: Batch): Promise<StoredFile> {
  const { tenant, environment, inputFileId } = request;
  return requireFile(context, inputFileId, { tenant, admin: true, environments: [environment] });
}

/** Time within which a batch's second record follows its first, in milliseconds. */
const acceptedWithinMs = 60_000;

async function closeUnaccepted(context: BatchContext, environment: string, id: BatchId): Promise<void> {
  const createdAt = Number.parseInt(id.slice("batch_".length, "batch_".length + 12), 16);
  if (context.clock.wall() - createdAt > acceptedWithinMs) await closeBatch(context, environment, id);
}
