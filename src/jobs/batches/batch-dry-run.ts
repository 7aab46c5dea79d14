// Estimates a batch without creating it. It reads and checks the file like the first pass over a batch, and adds up its
// lines. It keeps no line and counts no tokens exactly, so it costs as much as that pass. It stores nothing.
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
  /** The errors in the file. Empty if the batch would run. */
  errors: BatchError[];
  /** The estimate. Absent if the batch would not run. */
  estimate?: BatchEstimate;
}

export interface BatchEstimate extends Totals {
  /** Totals by model, most lines first. */
  models: ModelTotals[];
  /** Queue position of the first line. */
  queuePosition?: Explanation;
  /** Expected start of the last line, in milliseconds since the epoch. Absent if unknown. */
  lastStart?: number;
  /**
   * Expected end of all lines, in milliseconds since the epoch. Absent if unknown, also if the duration of calls is
   * unknown.
   */
  finish?: number;
  /** Whether `finish`, or `lastStart` if `finish` is unknown, is before the deadline. */
  inWindow?: boolean;
}

/** The latest time that an estimate returns, in milliseconds since the epoch. */
const farthest = Date.UTC(9999, 11, 31);
/** Maximum number of kinds of lines whose queue position is estimated: those with the most lines. */
const estimatedKinds = 32;
/** Files that one process reads at a time. A pass over a million lines takes about 40 MB. */
const maxAtOnce = 2;

export type TryBatch = (input: BatchInput, caller: Caller, signal: AbortSignal) => Promise<BatchDryRun>;

/**
 * Returns the function that estimates batches. It rejects with SluiceError as `createBatch` does, and with the reason
 * of its signal, which ends the reading.
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
        formats.of(request.endpoint)!,
        whileWanted(await readFile(context, file), signal),
        undefined,
        (job) => totals.add(job),
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

/**
 * Yields the bytes until the signal aborts.
 * @throws the signal's reason
 */
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
  for (const { head, lines, tokens } of totals.kinds(estimatedKinds)) {
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

/** Returns the larger number, or undefined if one of them is unknown. */
function larger(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : Math.max(a, b);
}
