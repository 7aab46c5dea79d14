// Where a batch stands: what its lines are doing, and when the last one is expected to start.
import { batchStatus, lineJobId } from "../../domain/batch.ts";
import { jobStates } from "../../domain/job.ts";
import type { JobsContext } from "../context.ts";
import type { LineCounter, StateCounts } from "./line-counter.ts";
import type { Batch } from "./records.ts";

export interface BatchStanding {
  counts: StateCounts;
  /** When the last line is expected to start; milliseconds since the epoch. Absent if nothing can be said. */
  eta?: number;
}

export async function standingOf(context: JobsContext, counter: LineCounter, batch: Batch): Promise<BatchStanding> {
  const { request, steps } = batch;
  const none = Object.fromEntries(jobStates.map((state) => [state, 0])) as StateCounts;
  if (steps.ended) return { counts: { ...none, ...steps.ended.counts } };
  if (!steps.validated || steps.validated.errors.length > 0) return { counts: none };
  const counts = await counter.count(request);
  if (batchStatus(steps) !== "in_progress") return { counts };
  const eta = (await etaOfLastLine(context, batch)) ?? etaByRate(context, batch, counts);
  return { counts, ...(eta !== undefined && { eta }) };
}

/** What the queue says about the line that stands last in it. */
async function etaOfLastLine({ scheduler, clock, log }: JobsContext, { request, steps }: Batch) {
  if (!steps.submitted || !steps.validated) return undefined;
  try {
    const standing = await scheduler.explain(lineJobId(request.id, steps.validated.lastLine));
    if (standing.state !== "waiting" || standing.startsInMs === undefined) return undefined;
    return clock.wall() + standing.startsInMs;
  } catch (error) {
    log.warn({ err: error, batchId: request.id }, "the scheduler could not say where a batch stands");
    return undefined;
  }
}

function etaByRate({ clock }: JobsContext, { steps }: Batch, counts: StateCounts): number | undefined {
  const { at, lines } = steps.validated!;
  const ended = counts.completed + counts.failed + counts.expired + counts.cancelled;
  if (ended === 0) return undefined;
  const now = clock.wall();
  return now + ((now - at) / ended) * (lines - ended);
}
