// The second pass over a batch's file: every line becomes a job. The id of a job is made of batch and line, so a line that
// was submitted before a crash is left as it is. The recorded progress saves reading all lines again.
import type { BatchRequest } from "../../domain/batch.ts";
import type { Job } from "../../domain/job.ts";
import { type LineFormat, lineErrorOf, lineJob, requestLine } from "../../jobs/batches/batch-lines.ts";
import { findBatch, type Progress, saveProgress } from "../../jobs/batches/batch-records.ts";
import { jsonLines } from "../../jobs/batches/jsonl.ts";
import { lineLimits } from "../../jobs/batches/validate-lines.ts";
import { accept } from "../../jobs/submit/submit.ts";
import type { BatchContext } from "./batch-context.ts";

/** Jobs in one insert. */
const chunkSize = 500;
/**
 * Inserts under way at a time. With one, the store's writing thread is idle until the main thread answers, which on a busy
 * machine takes as long as an insert.
 */
const insertsAtOnce = 4;
/** Chunks between two notes of the progress. */
const chunksPerNote = 20;

/**
 * Resolves when every line has its job, or when the batch is over before that (cancelled, or past its deadline).
 * @param bytes of the whole file
 * @param before how far an earlier pass came
 * @param proceed called before every insert; what it throws ends the pass
 * @returns the number of lines that were no longer acceptable; undefined if the batch was over first
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
  /** Inserts under way, the oldest first: while they are, the next chunk is made. */
  const underWay: Promise<unknown>[] = [];

  const isOver = async () =>
    context.clock.wall() >= expiresAt || (await findBatch(context, environment, id))?.steps.cancelled !== undefined;

  try {
    for await (const { jobs, progress } of chunks(context, request, format, bytes, before)) {
      if (await isOver()) return undefined;
      if (underWay.length === insertsAtOnce) await underWay.shift();
      await proceed();
      const accepted = accept(context, jobs);
      // A note says that everything before it is durable.
      const note = ++count % chunksPerNote === 0;
      const all = [...underWay, accepted];
      const done = note ? Promise.all(all).then(() => saveProgress(context, environment, id, progress)) : accepted;
      // Awaited later; until then a rejection must not count as unhandled.
      done.catch(() => {});
      underWay.push(done);
      refused = progress.refused;
    }
    await Promise.all(underWay);
    return { refused };
  } finally {
    // Nothing is under way when the next pass begins, or the store is closed. What failed is inserted again.
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
  for await (const lines of jsonLines(bytes, maxLineBytes)) {
    for (const line of lines) {
      if (line.number <= before.line) continue;
      try {
        jobs.push(await lineJob(context, request, format, requestLine(line, request.endpoint, maxLineBytes)));
      } catch (error) {
        if (!lineErrorOf(error, line.number)) throw error;
        refused++;
      }
      lastLine = line.number;
      if (jobs.length < chunkSize) continue;
      yield { jobs, progress: { line: lastLine, refused } };
      jobs = [];
    }
  }
  yield { jobs, progress: { line: lastLine, refused } };
}
