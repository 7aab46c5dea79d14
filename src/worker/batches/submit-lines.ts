// The second pass over a batch: every line becomes a job. The ids are made of batch and line, so that lines which were
// submitted before a crash are left as they are; the progress on record saves going through all of them again.

import { type Batch, findBatch, type Progress, saveProgress } from "../../jobs/batches/batch-records.ts";
import type { BatchContext } from "./batch-context.ts";
import type { Chunk } from "./chunks.ts";

/**
 * Inserts that the store has at a time. With one, the writer's thread was idle whenever it had to wait for the main
 * thread's turn, which on a busy machine takes as long as an insert.
 */
const insertsAtOnce = 2;
/** Chunks between two notes of how far it has come. */
const chunksPerNote = 10;

/**
 * Resolves when every line has its job, or when the batch is over before that (cancelled, or past its deadline).
 * @param before how far it had come already
 * @param chunks of the lines after that
 * @param proceed called before every insert; what it throws ends the pass
 * @returns lines that were no longer acceptable; undefined if the batch was over first
 */
export async function submitLines(
  context: BatchContext,
  { request }: Batch,
  before: Progress,
  chunks: AsyncIterable<Chunk>,
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
    for await (const { progress, accept } of chunks) {
      if (await isOver()) return undefined;
      if (underWay.length === insertsAtOnce) await underWay.shift();
      await proceed();
      const accepted = accept();
      // A note says that everything before it is durable.
      const note = ++count % chunksPerNote === 0;
      const all = [...underWay, accepted];
      const done = note ? Promise.all(all).then(() => saveProgress(context, environment, id, progress)) : accepted;
      // Awaited later; meanwhile nobody must call it unhandled.
      done.catch(() => {});
      underWay.push(done);
      refused = progress.refused;
    }
    await Promise.all(underWay);
    return { refused };
  } finally {
    // Whoever goes on from here, or closes the store, finds nothing under way. What failed is inserted again.
    await Promise.allSettled(underWay);
  }
}
