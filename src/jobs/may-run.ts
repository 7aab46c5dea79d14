// Decides whether a call of an ended job may still run. The end of that call must find the job to report its usage.
import type { Attempt } from "../domain/job.ts";
import type { JobsContext } from "./jobs-context.ts";

/** Returns whether a call may still run. A call is lost after the longest time that one takes. */
export function mayRun(
  { settings, clock }: Pick<JobsContext, "settings" | "clock">,
  attempts: readonly Attempt[],
): boolean {
  const longestMs = settings.timeouts.totalMs + settings.scheduler.leaseMs;
  return attempts.some(({ end, chargedAt }) => !end && clock.wall() - chargedAt < longestMs);
}
