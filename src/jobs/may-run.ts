// Whether a call of an ended job may still run: its end says what it used, and has to find the job.
import type { Attempt } from "../domain/job.ts";
import type { JobsContext } from "./jobs-context.ts";

/** Returns whether a call may still run. After the longest time that one lasts, it is lost. */
export function mayRun(
  { settings, clock }: Pick<JobsContext, "settings" | "clock">,
  attempts: readonly Attempt[],
): boolean {
  const longestMs = settings.timeouts.totalMs + settings.scheduler.leaseMs;
  return attempts.some(({ end, chargedAt }) => !end && clock.wall() - chargedAt < longestMs);
}
