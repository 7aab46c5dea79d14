// Estimates the queue position and the start of a waiting job. The queue predicts what the quotas admit. The number and
// duration of calls also limit the start, and only the store knows the durations.
import type { JobHead } from "../domain/job.ts";
import type { Explanation } from "../scheduler/scheduler.ts";
import type { JobsContext } from "./jobs-context.ts";
import { queueEntryOf } from "./queue-entry.ts";
import { servedBy } from "./served-by.ts";

type Context = Pick<JobsContext, "scheduler" | "settings" | "durations">;

/** Returns the queue position of a job. Rejects as the scheduler does. */
export async function explain(
  context: Context,
  job: Pick<JobHead, "id" | "model" | "regions" | "baseModel">,
): Promise<Explanation> {
  return boundBySlots(context, job, await context.scheduler.explain(job.id));
}

/**
 * Returns the queue position of a job if it were submitted now. Rejects as the scheduler does.
 * @param more number of equal jobs that would be submitted right before it
 */
export async function estimatePosition(
  context: Context & Pick<JobsContext, "clock">,
  job: JobHead,
  more = 0,
): Promise<Explanation> {
  const entry = queueEntryOf(job, context.clock.wall());
  return boundBySlots(context, job, await context.scheduler.estimatePosition(entry, more));
}

function boundBySlots(
  { settings, durations }: Context,
  job: Pick<JobHead, "model" | "regions" | "baseModel">,
  queuePosition: Explanation,
): Explanation {
  if (queuePosition.state !== "waiting" || queuePosition.startsInMs === undefined) return queuePosition;
  const takesMs = durations?.averageMs(job.model);
  const slots = servedBy(settings, job).reduce((sum, { maxConcurrency }) => sum + maxConcurrency, 0);
  if (takesMs === undefined || slots === 0) return queuePosition;
  const bySlots = Math.round(((queuePosition.position - 1) * takesMs) / slots);
  return { ...queuePosition, startsInMs: Math.max(queuePosition.startsInMs, bySlots) };
}
