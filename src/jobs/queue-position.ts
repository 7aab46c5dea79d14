// Where a waiting job stands, and when it is expected to start. The queue foretells what the quotas let through; how many
// calls run at a time, and how long they take, bounds that as well, and only the record knows how long they take.
import type { JobHead } from "../domain/job.ts";
import type { Explanation } from "../scheduler/scheduler.ts";
import type { JobsContext } from "./jobs-context.ts";
import { queueEntryOf } from "./queue-entry.ts";
import { servedBy } from "./served-by.ts";

type Context = Pick<JobsContext, "scheduler" | "settings" | "durations">;

/** Rejects as the scheduler does. */
export async function explain(context: Context, job: Pick<JobHead, "id" | "model" | "regions">): Promise<Explanation> {
  return boundBySlots(context, job, await context.scheduler.explain(job.id));
}

/**
 * Where a job would stand if it were submitted now. Rejects as the scheduler does.
 * @param more so many jobs like it would be submitted right before it
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
  job: Pick<JobHead, "model" | "regions">,
  queuePosition: Explanation,
): Explanation {
  if (queuePosition.state !== "waiting" || queuePosition.startsInMs === undefined) return queuePosition;
  const takesMs = durations?.averageMs(job.model);
  const slots = servedBy(settings, job).reduce((sum, { maxConcurrency }) => sum + maxConcurrency, 0);
  if (takesMs === undefined || slots === 0) return queuePosition;
  const bySlots = Math.round(((queuePosition.position - 1) * takesMs) / slots);
  return { ...queuePosition, startsInMs: Math.max(queuePosition.startsInMs, bySlots) };
}
