// Where the jobs of a batch come from when they are submitted: from its file, line by line, or from the store, where they
// were laid ready when the file was checked.
import type { BatchRequest } from "../../domain/batch.ts";
import type { Job } from "../../domain/job.ts";
import { type LineFormat, lineErrorOf, lineJob, requestLine } from "../../jobs/batches/batch-lines.ts";
import type { Progress } from "../../jobs/batches/batch-records.ts";
import { jsonLines } from "../../jobs/batches/jsonl.ts";
import { lineLimits } from "../../jobs/batches/validate-lines.ts";
import { accept, acceptStaged } from "../../jobs/submit/submit.ts";
import type { BatchContext } from "./batch-context.ts";
import type { PreparedLines } from "./prepared-lines.ts";

/** Jobs in one insert, which is one commit. */
const chunkSize = 1_000;

/** The same for jobs that are laid ready. Others wait for it: 15 ms. */
const preparedChunkSize = 2_000;

/** Jobs that are submitted together. */
export interface Chunk {
  /** How far the file has been gone through when they are. */
  progress: Progress;
  accept(): Promise<void>;
}

/** @param after the lines that are submitted already */
export async function* chunksOfFile(
  context: BatchContext,
  request: BatchRequest,
  format: LineFormat,
  bytes: AsyncIterable<Uint8Array>,
  after: Progress,
): AsyncIterable<Chunk> {
  const { maxLineBytes } = lineLimits(context);
  let { line: lastLine, refused } = after;
  let jobs: Job[] = [];
  const chunk = (): Chunk => {
    const own = jobs;
    jobs = [];
    return { progress: { line: lastLine, refused }, accept: () => accept(context, own) };
  };
  for await (const lines of jsonLines(bytes, maxLineBytes)) {
    for (const line of lines) {
      if (line.number <= after.line) continue;
      try {
        jobs.push(await lineJob(context, request, format, requestLine(line, request.endpoint, maxLineBytes)));
      } catch (error) {
        if (!lineErrorOf(error, line.number)) throw error;
        refused++;
      }
      lastLine = line.number;
      if (jobs.length === chunkSize) yield chunk();
    }
  }
  yield chunk();
}

export async function* preparedChunks(context: BatchContext, { staged, queued }: PreparedLines): AsyncIterable<Chunk> {
  for (let from = 0; from < queued.size; from += preparedChunkSize) {
    const jobs = queued.jobs(from, from + preparedChunkSize);
    const line = queued.lineAt(from + jobs.length - 1);
    yield { progress: { line, refused: 0 }, accept: () => acceptStaged(context, staged, jobs) };
  }
}
