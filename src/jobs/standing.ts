// Where a waiting job stands, and when it is expected to start. The queue foretells what the quotas let through; how many
// calls run at a time, and how long they take, bounds that as well, and only the record knows how long they take.
import type { JobHead } from "../domain/job.ts";
import type { Explanation } from "../scheduler/scheduler.ts";
import type { JobsContext } from "./context.ts";

/** Rejects as the scheduler does. */
export async function explain(
  { scheduler, settings, durations }: Pick<JobsContext, "scheduler" | "settings" | "durations">,
  job: Pick<JobHead, "id" | "model" | "regions">,
): Promise<Explanation> {
  const standing = await scheduler.explain(job.id);
  if (standing.state !== "waiting" || standing.startsInMs === undefined) return standing;
  const takesMs = durations?.averageMs(job.model);
  const slots = (settings.models[job.model]?.deployments ?? [])
    .filter(({ region }) => !job.regions || job.regions.includes(region))
    .reduce((sum, { maxConcurrency }) => sum + maxConcurrency, 0);
  if (takesMs === undefined || slots === 0) return standing;
  const bySlots = Math.round(((standing.position - 1) * takesMs) / slots);
  return { ...standing, startsInMs: Math.max(standing.startsInMs, bySlots) };
}
