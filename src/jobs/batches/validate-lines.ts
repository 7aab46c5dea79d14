// The first pass over a batch's file: everything that could be wrong is found before there is any job.
import type { BatchError, BatchRequest } from "../../domain/batch.ts";
import { SluiceError } from "../../domain/errors.ts";
import type { Job } from "../../domain/job.ts";
import type { JobsContext } from "../jobs-context.ts";
import { type Claim, nothing, plus } from "../reservation.ts";
import type { FeasibilityContext } from "../submit/feasibility.ts";
import { LineError, type LineFormat, lineErrorOf, lineJob, requestLine } from "./batch-lines.ts";
import { CustomIds } from "./custom-ids.ts";
import { jsonLines } from "./jsonl.ts";

/** Mistakes that are reported; the file is not read on after so many. */
const maxErrors = 100;

export interface LineLimits {
  maxLines: number;
  maxLineBytes: number;
}

export function lineLimits({ settings: { limits } }: Pick<JobsContext, "settings">): LineLimits {
  return { maxLines: limits.maxBatchLines, maxLineBytes: limits.maxRequestBytes };
}

/**
 * Reads the whole file.
 * @param onChunk called now and then; what it throws ends the pass
 * @param onJob given every line's job, in order, until there is a mistake; returns what to wait for before the next one
 * @param limit given what all lines may use together, if nothing is wrong with them; throws what refuses it. Sets nothing
 *   aside if absent.
 * @returns the number of requests, where the last one stands, and what is wrong
 * @throws what the stream throws; SluiceError `unavailable` if something cannot be told now
 */
export async function validateLines(
  context: Pick<JobsContext, "limits"> & FeasibilityContext,
  request: BatchRequest,
  format: LineFormat,
  bytes: AsyncIterable<Uint8Array>,
  onChunk: () => Promise<void> | void = () => {},
  onJob?: (job: Job, line: number) => Promise<void> | undefined,
  limit: (total: Claim) => Promise<void> | undefined = (total) => context.limits?.checkTotal(request.keyId, total),
): Promise<{ lines: number; lastLine: number; errors: BatchError[] }> {
  const { maxLines, maxLineBytes } = lineLimits(context);
  const seen = new CustomIds();
  const errors: BatchError[] = [];
  let lines = 0;
  let lastLine = 0;
  // Without limits of its key a line is one more job, and nothing else of it is counted.
  const limits = context.limits?.isLimited(request.keyId) ? context.limits : undefined;
  let claimed = nothing;
  for await (const chunk of jsonLines(bytes, maxLineBytes)) {
    await onChunk();
    for (const line of chunk) {
      lastLine = line.number;
      if (++lines > maxLines) {
        const message = `The file has more than ${maxLines} lines. Split it, or raise limits.maxBatchLines.`;
        return {
          lines,
          lastLine,
          errors: [{ code: "too_many_lines", message, line: line.number }, ...errors].slice(0, maxErrors),
        };
      }
      try {
        const parsed = requestLine(line, request.endpoint, maxLineBytes);
        const before = seen.add(parsed.customId, line.number);
        if (before !== undefined) {
          throw new LineError("duplicate_custom_id", `Line ${before} has the same custom_id.`, "custom_id");
        }
        const job = await lineJob(context, request, format, parsed);
        if (limits) claimed = plus(claimed, limits.claimOf(job));
        const kept = errors.length === 0 ? onJob?.(job, line.number) : undefined;
        if (kept) await kept;
      } catch (error) {
        const mistake = lineErrorOf(error, line.number);
        if (!mistake) throw error;
        errors.push(mistake);
        if (errors.length === maxErrors) return { lines, lastLine, errors };
      }
    }
  }
  if (errors.length === 0 && lines > 0) errors.push(...(await limitErrors(limit, { ...claimed, jobs: lines })));
  if (lines === 0) errors.push({ code: "empty_file", message: "The file has no requests." });
  return { lines, lastLine, errors };
}

/** Limits hold for all lines together, before any of them is a job. */
async function limitErrors(limit: (total: Claim) => Promise<void> | undefined, total: Claim): Promise<BatchError[]> {
  try {
    await limit(total);
    return [];
  } catch (error) {
    if (!(error instanceof SluiceError) || error.status >= 500) throw error;
    return [{ code: error.code, message: error.message }];
  }
}
