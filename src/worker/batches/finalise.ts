// Ends a batch: writes the output file and the error file. Each input line is in one of them, in input order. The ids
// of the files derive from the batch's id, and the first writer wins. So it can run again after a crash, or in two
// processes.

import { type BatchEnd, type BatchRequest, derivedId, type LineCounts, lineJobId } from "../../domain/batch.ts";
import { jsonLine } from "../../domain/json-lines.ts";
import type { LineFormat } from "../../jobs/batches/batch-lines.ts";
import type { Batch } from "../../jobs/batches/batch-records.ts";
import { type AnsweredLine, answeredLines, resultOf, stateOf, unsentOf } from "../../jobs/batches/batch-results.ts";
import { fileIdOf, readFile, type StoredFile, writeFile } from "../../jobs/files/files.ts";
import type { BatchContext } from "./batch-context.ts";

/**
 * Writes the files and returns how the batch has ended.
 * @param counts numbers of its jobs, all of which have ended; decides which files exist
 * @param proceed called between parts; what it throws ends the pass
 */
export async function finalise(
  context: BatchContext,
  batch: Batch,
  format: LineFormat,
  input: StoredFile,
  { completed }: { completed: number },
  proceed: () => Promise<void>,
): Promise<BatchEnd> {
  const { request, steps } = batch;
  const unsent = unsentOf(steps);
  const counts: LineCounts = { completed: 0, failed: 0, expired: 0, cancelled: 0 };
  const usage = { input: 0, cached: 0, output: 0, reasoning: 0 };
  let costNanoUsd = 0;
  let estimatedNanoUsd = 0;

  /** Yields the lines of one of the files. */
  async function* linesFor(which: "output" | "error"): AsyncIterable<Uint8Array> {
    for await (const lines of answeredLines(context.store, request, format, await readFile(context, input))) {
      await proceed();
      const texts: string[] = [];
      for (const line of lines) {
        const state = stateOf(line.record, unsent);
        if ((state === "completed") !== (which === "output")) continue;
        counts[state]++;
        costNanoUsd += line.record?.outcome?.costNanoUsd ?? 0;
        estimatedNanoUsd += line.record?.outcome?.estimatedNanoUsd ?? 0;
        addUsage(line);
        texts.push(jsonLine(resultLine(line)));
      }
      if (texts.length > 0) yield Buffer.from(`${texts.join("\n")}\n`);
    }
  }
  const resultLine = ({ number, customId, record }: AnsweredLine) =>
    resultOf(format, { id: lineJobId(request.id, number), customId, unsent, ...(record && { record }) });
  const addUsage = ({ record }: AnsweredLine) => {
    if (record?.outcome?.status !== "completed" || !record.outcome.usage) return;
    const { input, output, cacheRead = 0, cacheWrite = 0, reasoning = 0 } = record.outcome.usage;
    usage.input += input + cacheRead + cacheWrite;
    usage.cached += cacheRead;
    usage.output += output;
    usage.reasoning += reasoning;
  };
  const write = async (which: "output" | "error"): Promise<string> => {
    const file = await writeFile(
      context,
      { id: resultFileId(request, which), environment: request.environment },
      linesFor(which),
      () => ({
        tenant: request.tenant,
        filename: `${request.id}_${which}.jsonl`,
        purpose: "batch_output",
        expiresInMs: request.outputExpiresInMs,
      }),
    );
    return file.id;
  };

  const outputFileId = completed > 0 ? await write("output") : undefined;
  const errorFileId = completed < steps.validated!.lines ? await write("error") : undefined;
  return {
    at: context.clock.wall(),
    status: steps.cancelled ? "cancelled" : counts.expired > 0 ? "expired" : "completed",
    counts,
    ...(outputFileId !== undefined && { outputFileId }),
    ...(errorFileId !== undefined && { errorFileId }),
    usage,
    costNanoUsd,
    ...(estimatedNanoUsd > 0 && { estimatedNanoUsd }),
  };
}

function resultFileId({ id, createdAt }: BatchRequest, which: "output" | "error"): string {
  return fileIdOf(derivedId(`${which}:${id}`, createdAt));
}
