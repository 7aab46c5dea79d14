// The time that a job waits before each of its attempts.
import type { Attempt, JobHead } from "./job.ts";

/** A time in milliseconds since the epoch, from its start to its end. */
export interface Period {
  from: number;
  to: number;
}

/**
 * Returns the wait before an attempt: from the submit, or from the end of the attempt before, to the charge of its
 * quotas. If that end is unknown, the wait begins with the earlier attempt itself.
 */
export function waitBefore(
  job: Pick<JobHead, "submittedAt">,
  { chargedAt: to }: Pick<Attempt, "chargedAt">,
  earlier: readonly Pick<Attempt, "chargedAt" | "end">[],
): Period {
  const last = earlier.at(-1);
  const from = last ? (last.end?.at ?? last.chargedAt) : job.submittedAt;
  // Clocks of two processes may differ.
  return { from: Math.min(from, to), to };
}
