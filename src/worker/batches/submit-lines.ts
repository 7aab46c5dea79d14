// The second pass over a batch's file: every line becomes a job. The ids are made of batch and line, so that lines which
// were submitted before a crash are left as they are; the progress on record saves going through all of them again.

import type { Job } from "../../domain/job.ts";
import { jsonLines } from "../../jobs/batches/jsonl.ts";
import { type LineFormat, lineErrorOf, lineJob, requestLine } from "../../jobs/batches/lines.ts";
import type { Batch, Progress } from "../../jobs/batches/records.ts";
import { findBatch, loadProgress, saveProgress } from "../../jobs/batches/records.ts";
import { lineLimits } from "../../jobs/batches/validate.ts";
import { accept } from "../../jobs/submit.ts";
import type { BatchContext } from "./context.ts";

/** Jobs in one insert: one commit. */
const chunkSize = 1_000;
/**
 * Inserts that the store has at a time. With one, the writer's thread was idle whenever it had to wait for the main
 * thread's turn, which on a busy machine takes as long as an insert.
 */
const insertsAtOnce = 2;
/** Chunks between two notes of how far it has come. */
const chunksPerNote = 10;

/**
 * Resolves when every line has its job, or when the batch is over before that (cancelled, or past its deadline).
 * @param proceed called before every insert; what it throws ends the pass
 * @returns lines that were no longer acceptable; undefined if the batch was over first
 */
export async function submitLines(
  context: BatchContext,
  { request }: Batch,
  format: LineFormat,
  bytes: AsyncIterable<Uint8Array>,
  proceed: () => Promise<void>,
): Promise<{ refused: number } | undefined> {
  const { environment, id, endpoint, expiresAt } = request;
  const { maxLineBytes } = lineLimits(context);
  const before = await loadProgress(context, environment, id);
  const progress: Progress = { ...before };
  let jobs: Job[] = [];
  let chunks = 0;
  /** Inserts under way, the oldest first: while they are, the next chunk is made. */
  const underWay: Promise<unknown>[] = [];

  const insert = async () => {
    if (underWay.length === insertsAtOnce) await underWay.shift();
    await proceed();
    const chunk = jobs;
    jobs = [];
    const durable = { ...progress };
    const note = ++chunks % chunksPerNote === 0;
    const accepted = accept(context, chunk);
    // A note says that everything before it is durable.
    const all = [...underWay, accepted];
    const done = note ? Promise.all(all).then(() => saveProgress(context, environment, id, durable)) : accepted;
    // Awaited later; meanwhile nobody must call it unhandled.
    done.catch(() => {});
    underWay.push(done);
  };
  const isOver = async () =>
    context.clock.wall() >= expiresAt || (await findBatch(context, environment, id))?.steps.cancelled !== undefined;

  try {
    for await (const lines of jsonLines(bytes, maxLineBytes)) {
      for (const line of lines) {
        if (line.number <= before.line) continue;
        try {
          jobs.push(await lineJob(context, request, format, requestLine(line, endpoint, maxLineBytes)));
        } catch (error) {
          if (!lineErrorOf(error, line.number)) throw error;
          progress.refused++;
        }
        progress.line = line.number;
        if (jobs.length < chunkSize) continue;
        if (await isOver()) return undefined;
        await insert();
      }
    }
    if (jobs.length > 0 && (await isOver())) return undefined;
    if (jobs.length > 0) await insert();
    await Promise.all(underWay);
    return { refused: progress.refused };
  } finally {
    // Whoever goes on from here, or closes the store, finds nothing under way. What failed is inserted again.
    await Promise.allSettled(underWay);
  }
}
