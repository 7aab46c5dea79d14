// Reports the progress of a batch: the states of its lines, and the expected start of the last one.
import { batchStatus, lineJobId } from "../../domain/batch.ts";
import { jobStates } from "../../domain/job.ts";
import type { Explanation } from "../../scheduler/scheduler.ts";
import type { JobsContext } from "../jobs-context.ts";
import { explain } from "../queue-position.ts";
import type { Batch } from "./batch-records.ts";
import type { LineCounter, StateCounts } from "./line-counter.ts";

export interface BatchProgress {
  counts: StateCounts;
  /** Expected start of the last line, in milliseconds since the epoch. Absent if unknown. */
  eta?: number;
  /** Expected end of that line, in milliseconds since the epoch. Absent if unknown. */
  finish?: number;
  /** Queue position of the last line while it waits. */
  lastLine?: Extract<Explanation, { state: "waiting" }>;
}

export async function progressOf(context: JobsContext, counter: LineCounter, batch: Batch): Promise<BatchProgress> {
  const { request, steps } = batch;
  const none = Object.fromEntries(jobStates.map((state) => [state, 0])) as StateCounts;
  if (steps.ended) return { counts: { ...none, ...steps.ended.counts } };
  if (!steps.validated || steps.validated.errors.length > 0) return { counts: none };
  const counts = await counter.count(request);
  if (batchStatus(steps) !== "in_progress") return { counts };
  const { eta, ...last } = await lastLineOf(context, batch);
  const start = eta ?? etaByRate(context, batch, counts);
  return { counts, ...last, ...(start !== undefined && { eta: start }) };
}

/** Returns the queue position of the line that is last in the queue. */
async function lastLineOf(context: JobsContext, { request, steps }: Batch): Promise<Omit<BatchProgress, "counts">> {
  const { store, durations, clock, log } = context;
  if (!steps.submitted || !steps.validated) return {};
  try {
    const jobId = lineJobId(request.id, steps.validated.lastLine);
    const job = (await store.get(jobId, "none"))?.job;
    if (!job) return {};
    const queuePosition = await explain(context, job);
    if (queuePosition.state !== "waiting") return {};
    if (queuePosition.startsInMs === undefined) return { lastLine: queuePosition };
    const eta = clock.wall() + queuePosition.startsInMs;
    const takesMs = durations?.averageMs(job.model);
    return { lastLine: queuePosition, eta, ...(takesMs !== undefined && { finish: eta + takesMs }) };
  } catch (error) {
    log.warn({ err: error, batchId: request.id }, "failed to estimate the progress of a batch");
    return {};
  }
}

function etaByRate({ clock }: JobsContext, { steps }: Batch, counts: StateCounts): number | undefined {
  const { at, lines } = steps.validated!;
  const ended = counts.completed + counts.failed + counts.expired + counts.cancelled;
  if (ended === 0) return undefined;
  const now = clock.wall();
  return now + ((now - at) / ended) * (lines - ended);
}
