// Runs the first pass over a batch's file, which finds every error before any job exists.
import type { BatchError, BatchRequest } from "../../domain/batch.ts";
import { SluiceError } from "../../domain/errors.ts";
import type { Job } from "../../domain/job.ts";
import type { JobsContext } from "../jobs-context.ts";
import { type Amounts, nothing, plus, reservationOf } from "../reservation.ts";
import type { FeasibilityContext } from "../submit/feasibility.ts";
import { LineError, type LineFormat, lineErrorOf, lineJob, requestLine } from "./batch-lines.ts";
import { CustomIds } from "./custom-ids.ts";
import { jsonLines } from "./jsonl.ts";

/** Maximum number of reported errors. Reading stops there. */
const maxErrors = 100;

/** The context to check the lines of a batch. */
export type ValidationContext = FeasibilityContext & Pick<JobsContext, "limits">;

export interface LineLimits {
  maxLines: number;
  maxLineBytes: number;
}

export function lineLimits({ settings: { limits } }: Pick<JobsContext, "settings">): LineLimits {
  return { maxLines: limits.maxBatchLines, maxLineBytes: limits.maxRequestBytes };
}

export interface ValidatedLines {
  /** The number of requests, and the number of the last line. */
  lines: number;
  lastLine: number;
  /** The errors of the lines. */
  errors: BatchError[];
  /** What all lines reserve of their key's limits. For a key without limits only the jobs count. */
  total: Amounts;
}

/**
 * Reads and checks the whole file.
 * @param onChunk called between parts; what it throws ends the pass
 * @param onJob called with the job of every line, in order, until the first error
 * @throws what the stream throws; SluiceError `unavailable` if a line cannot be checked now
 */
export async function validateLines(
  context: ValidationContext,
  request: BatchRequest,
  format: LineFormat,
  bytes: AsyncIterable<Uint8Array>,
  onChunk: () => Promise<void> | void = () => {},
  onJob?: (job: Job) => void,
): Promise<ValidatedLines> {
  const { maxLines, maxLineBytes } = lineLimits(context);
  const keyLimits = request.keyId === undefined ? undefined : context.limits?.keys.limitsOf(request.keyId);
  const seen = new CustomIds();
  const errors: BatchError[] = [];
  let lines = 0;
  let lastLine = 0;
  let total = nothing;
  const found = () => ({ lines, lastLine, errors, total: { ...total, jobs: lines } });
  for await (const chunk of jsonLines(bytes, maxLineBytes)) {
    await onChunk();
    for (const line of chunk) {
      lastLine = line.number;
      if (++lines > maxLines) {
        const message = `The file has more than ${maxLines} lines. Split it, or raise limits.maxBatchLines.`;
        errors.unshift({ code: "too_many_lines", message, line: line.number });
        return found();
      }
      try {
        const parsed = requestLine(line, request.endpoint, maxLineBytes);
        const before = seen.add(parsed.customId, line.number);
        if (before !== undefined) {
          throw new LineError("duplicate_custom_id", `Line ${before} has the same custom_id.`, "custom_id");
        }
        const built = lineJob(context, request, format, parsed);
        const job = built instanceof Promise ? await built : built;
        if (keyLimits) total = plus(total, reservationOf(context.settings, job, keyLimits));
        if (errors.length === 0) onJob?.(job);
      } catch (error) {
        const mistake = lineErrorOf(error, line.number);
        if (!mistake) throw error;
        errors.push(mistake);
        if (errors.length === maxErrors) return found();
      }
    }
  }
  if (lines === 0) errors.push({ code: "empty_file", message: "The file has no requests." });
  return found();
}

/**
 * Checks the total of valid lines, because limits apply to all of them together before any is a job.
 * @param limit throws what refuses the total
 * @returns the errors of the lines, or the refusal as the only one
 */
export async function limitErrors(
  { errors, total }: ValidatedLines,
  limit: (total: Amounts) => Promise<void> | undefined,
): Promise<BatchError[]> {
  if (errors.length > 0) return errors;
  try {
    await limit(total);
    return [];
  } catch (error) {
    if (!(error instanceof SluiceError) || error.status >= 500) throw error;
    return [{ code: error.code, message: error.message }];
  }
}
