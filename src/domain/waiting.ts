// The time that a job waits before each of its attempts.
import type { Attempt, JobHead } from "./job.ts";
import { type Period, partsOf, type WaitPart } from "./wait-parts.ts";

/** Waits shorter than this are not split, in milliseconds: the scheduler dispatches jobs in rounds. */
export const shortWaitMs = 1_000;

type Waited = Pick<Attempt, "chargedAt" | "end">;

/**
 * Returns the wait before an attempt: from the submit, or from the end of the attempt before, to the charge of its
 * quotas. If that end is unknown, the wait begins with the earlier attempt itself.
 */
export function waitBefore(
  job: Pick<JobHead, "submittedAt">,
  { chargedAt }: Pick<Attempt, "chargedAt">,
  earlier: readonly Waited[],
): Period {
  const last = earlier.at(-1);
  const to = Math.round(chargedAt);
  // Clocks of two processes may differ.
  return { from: Math.min(to, Math.round(last ? (last.end?.at ?? last.chargedAt) : job.submittedAt)), to };
}

/**
 * Returns the part of a wait in which the job could not start in any case: before its earliest start, or before the
 * time of its retry. Undefined if there is none.
 */
export function delayIn(
  { from, to }: Period,
  job: Pick<JobHead, "notBefore">,
  earlier: readonly Waited[],
): Period | undefined {
  const last = earlier.at(-1);
  const until = Math.min(to, Math.round(Math.max(job.notBefore ?? from, last?.end?.retryAt ?? from)));
  return until > from ? { from, to: until } : undefined;
}

/**
 * Returns the wait before an attempt by its reasons. The sum is the whole wait. Waits shorter than a second are `turn`.
 * What was not recorded is `unknown`, unless it was a delay.
 */
export function waitParts(
  job: Pick<JobHead, "submittedAt" | "notBefore">,
  attempt: Waited,
  earlier: readonly Waited[],
): readonly WaitPart[] {
  if (attempt.end?.waited) return attempt.end.waited;
  const wait = waitBefore(job, attempt, earlier);
  const ms = wait.to - wait.from;
  if (ms < shortWaitMs) return partsOf([{ kind: "turn", ms }]);
  const delay = delayIn(wait, job, earlier);
  const delayMs = delay ? delay.to - delay.from : 0;
  return partsOf([
    { kind: "delay", ms: delayMs },
    { kind: "unknown", ms: ms - delayMs },
  ]);
}
