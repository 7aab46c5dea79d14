// What would become of a batch if it were created: its file is read and checked as the first pass over it does that, and
// its lines are summed up meanwhile. Of a line nothing is kept and nothing is counted exactly, so it costs what that pass
// costs. Nothing is stored.
import { type BatchError, type BatchRequest, newBatchId } from "../../domain/batch.ts";
import type { JobHead } from "../../domain/job.ts";
import type { Explanation } from "../../scheduler/scheduler.ts";
import type { Caller } from "../caller.ts";
import { readFile, requireFile } from "../files/files.ts";
import type { JobsContext } from "../jobs-context.ts";
import { estimatePosition } from "../queue-position.ts";
import { Slots } from "../slots.ts";
import type { LineFormats } from "./batch-lines.ts";
import { type BatchInput, batchRequestOf } from "./batches.ts";
import { LineTotals, type ModelTotals, type Totals } from "./totals.ts";
import { limitErrors, validateLines } from "./validate-lines.ts";

export interface BatchDryRun {
  request: BatchRequest;
  /** Requests in the file, as far as it was read. */
  lines: number;
  /** What is wrong with it; empty if the batch would run. */
  errors: BatchError[];
  /** Only of a batch that would run. */
  estimate?: BatchEstimate;
}

export interface BatchEstimate extends Totals {
  /** Those with the most lines first. */
  models: ModelTotals[];
  /** Where the first line would stand. */
  queuePosition?: Explanation;
  /** When the last line is expected to start; milliseconds since the epoch. Absent if nothing can be said. */
  lastStart?: number;
  /** When every line is expected to have ended. Absent also if it is not known how long calls take. */
  finish?: number;
  /** Whether that is before the deadline; by the start of the last line if no more is known. */
  inWindow?: boolean;
}

/** A time beyond this is told as this. */
const farthest = Date.UTC(9999, 11, 31);
/** Kinds of lines that the queue is asked about: those with the most lines. */
const askedKinds = 32;
/** Files that are read at a time, in one process: a million lines take the pass about 40 MB. The others wait. */
const maxAtOnce = 2;

export type TryBatch = (input: BatchInput, caller: Caller, signal: AbortSignal) => Promise<BatchDryRun>;

/**
 * The function rejects with SluiceError as `createBatch` does, and with the reason of its signal, which ends the reading.
 */
export function createBatchDryRun(context: JobsContext, formats: LineFormats): TryBatch {
  const slots = new Slots(maxAtOnce);
  return async (input, caller, signal) => {
    const prepared = await batchRequestOf(context, formats, input, caller);
    const done = await slots.take(signal);
    try {
      const request: BatchRequest = { id: newBatchId(), ...prepared };
      const file = await requireFile(context, request.inputFileId, caller);
      const totals = new LineTotals(context.settings);
      const found = await validateLines(
        context,
        request,
        formats[request.endpoint]!,
        whileWanted(await readFile(context, file), signal),
        undefined,
        (job) => void totals.add(job),
      );
      const { lines } = found;
      const errors = await limitErrors(found, (total) => context.limits?.check({ ...request, total }));
      if (errors.length > 0) return { request, lines, errors };
      return { request, lines, errors, estimate: await estimateOf(context, request, totals) };
    } finally {
      done();
    }
  };
}

/** @throws the signal's reason */
async function* whileWanted(bytes: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncIterable<Uint8Array> {
  for await (const some of bytes) {
    signal.throwIfAborted();
    yield some;
  }
}

async function estimateOf(context: JobsContext, request: BatchRequest, totals: LineTotals): Promise<BatchEstimate> {
  const { clock, durations, log } = context;
  const ask = (job: JobHead, more = 0) =>
    estimatePosition(context, job, more).catch((error) => {
      log.warn({ err: error }, "failed to estimate the progress of a dry run");
      return undefined;
    });
  const { sum, models, quotaMs } = totals.end();
  const queuePosition = await ask(totals.first!);
  let startsInMs: number | undefined = quotaMs;
  let endsInMs: number | undefined = quotaMs;
  for (const { head, lines, tokens } of totals.kinds(askedKinds)) {
    const mean = { input: Math.ceil(tokens.input / lines), output: Math.ceil(tokens.output / lines) };
    const last = await ask({ ...head, tokens: mean }, lines - 1);
    const inMs = last?.state === "waiting" ? last.startsInMs : undefined;
    const takesMs = durations?.averageMs(head.model);
    startsInMs = larger(startsInMs, inMs);
    endsInMs = larger(endsInMs, inMs === undefined || takesMs === undefined ? undefined : inMs + takesMs);
  }
  const now = clock.wall();
  const timeOf = (inMs: number | undefined) =>
    inMs === undefined ? undefined : Math.min(Math.round(now + inMs), farthest);
  const lastStart = timeOf(startsInMs);
  const finish = timeOf(endsInMs);
  const latest = finish ?? lastStart;
  return {
    ...sum,
    models,
    ...(queuePosition && { queuePosition }),
    ...(lastStart !== undefined && { lastStart }),
    ...(finish !== undefined && { finish }),
    ...(latest !== undefined && { inWindow: latest <= request.expiresAt }),
  };
}

/** Undefined if one of the two is not known. */
function larger(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : Math.max(a, b);
}
