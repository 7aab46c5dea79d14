// Runs the second pass over a batch's file, which creates a job for every line. The id of a job derives from batch and
// line, so a line that was submitted before a crash stays unchanged. The recorded progress saves reading all lines
// again.
import type { BatchRequest } from "../../domain/batch.ts";
import type { Job } from "../../domain/job.ts";
import { type LineFormat, lineErrorOf, lineJob, requestLine } from "../../jobs/batches/batch-lines.ts";
import { findBatch, type Progress, saveProgress } from "../../jobs/batches/batch-records.ts";
import { jsonLines } from "../../jobs/batches/jsonl.ts";
import { lineLimits } from "../../jobs/batches/validate-lines.ts";
import { accept } from "../../jobs/submit/submit.ts";
import type { BatchContext } from "./batch-context.ts";

/** Jobs in one insert, and the length of their lines after which fewer are enough: all of them are in memory together. */
const chunkSize = 500;
const chunkLength = 8 * 1024 * 1024;
/**
 * Concurrent inserts. With one, the store's writing thread is idle until the main thread answers, which on a busy
 * machine takes as long as an insert.
 */
const insertsAtOnce = 4;
/** Chunks between two records of the progress. */
const chunksPerNote = 20;

/**
 * Resolves when every line has its job, or when the batch ends first (cancelled, or past its deadline).
 * @param bytes the whole file
 * @param before how far an earlier pass came
 * @param proceed called before every insert; what it throws ends the pass
 * @returns the number of lines that were no longer valid, or undefined if the batch ended first
 */
export async function submitLines(
  context: BatchContext,
  request: BatchRequest,
  format: LineFormat,
  bytes: AsyncIterable<Uint8Array>,
  before: Progress,
  proceed: () => Promise<void>,
): Promise<{ refused: number } | undefined> {
  const { environment, id, expiresAt } = request;
  let { refused } = before;
  let count = 0;
  /** Running inserts, oldest first. The next chunk is built meanwhile. */
  const underWay: Promise<unknown>[] = [];

  const isOver = async () =>
    context.clock.wall() >= expiresAt || (await findBatch(context, environment, id))?.steps.cancelled !== undefined;

  try {
    for await (const { jobs, progress } of chunks(context, request, format, bytes, before)) {
      if (await isOver()) return undefined;
      if (underWay.length === insertsAtOnce) await underWay.shift();
      await proceed();
      const accepted = accept(context, jobs);
      // Recorded progress means that everything before it is durable.
      const note = ++count % chunksPerNote === 0;
      const all = [...underWay, accepted];
      const done = note ? Promise.all(all).then(() => saveProgress(context, environment, id, progress)) : accepted;
      // Awaited later. Until then a rejection must not count as unhandled.
      done.catch(() => {});
      underWay.push(done);
      refused = progress.refused;
    }
    await Promise.all(underWay);
    return { refused };
  } finally {
    // No insert may run when the next pass begins or the store is closed. Failed inserts are repeated.
    await Promise.allSettled(underWay);
  }
}

/** Yields the jobs of the lines after `before`, and the progress once they are stored. */
async function* chunks(
  context: BatchContext,
  request: BatchRequest,
  format: LineFormat,
  bytes: AsyncIterable<Uint8Array>,
  before: Progress,
): AsyncIterable<{ jobs: Job[]; progress: Progress }> {
  const { maxLineBytes } = lineLimits(context);
  let { line: lastLine, refused } = before;
  let jobs: Job[] = [];
  let length = 0;
  for await (const lines of jsonLines(bytes, maxLineBytes)) {
    for (const line of lines) {
      if (line.number <= before.line) continue;
      try {
        const job = lineJob(context, request, format, requestLine(line, request.endpoint, maxLineBytes));
        jobs.push(job instanceof Promise ? await job : job);
      } catch (error) {
        if (!lineErrorOf(error, line.number)) throw error;
        refused++;
      }
      lastLine = line.number;
      length += line.text?.length ?? 0;
      if (jobs.length < chunkSize && length < chunkLength) continue;
      yield { jobs, progress: { line: lastLine, refused } };
      jobs = [];
      length = 0;
    }
  }
  yield { jobs, progress: { line: lastLine, refused } };
}
