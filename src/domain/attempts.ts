// Decides which attempts count against a job, and when it has had enough.
//
// Grants (a worker got the job) and failed tries are separate counters. A throttle is a grant but not a failed try,
// because the provider did nothing. An attempt with an unknown end is a failed try. Otherwise a prompt that kills its
// worker would do so indefinitely.
import type { Attempt, JobHead } from "./job.ts";

/** Default number of failed tries after which a job fails. */
export const defaultMaxFailedTries = 3;

/**
 * Whether the attempt's call was sent, or may have been, without a known result: its process died, or the call was cut
 * off. `on_unknown` and the number of failed tries both use this rule, whatever cut the call off.
 */
export function isUnknown({ end }: Pick<Attempt, "end">): boolean {
  return end === undefined || end.result === "unknown" || end.result === "aborted";
}

/** Returns the number of failed tries since the last answer. A job that needs several calls has several answers. */
export function failedTries(attempts: readonly Attempt[]): number {
  return sinceAnswer(attempts).filter((a) => isUnknown(a) || a.end?.result === "transient").length;
}

function sinceAnswer(attempts: readonly Attempt[]): readonly Attempt[] {
  return attempts.slice(attempts.findLastIndex(({ end }) => end?.result === "completed") + 1);
}

/** Whether a job may be called again, or the error with which it fails. */
export type MayTry = { ok: true } | { ok: false; error: { code: "tries_exhausted" | "unknown_end"; message: string } };

/** Decides whether the job may be called once more after its earlier attempts. */
export function mayTry(job: JobHead, earlier: readonly Attempt[], maxFailedTries: number): MayTry {
  const unknown = sinceAnswer(earlier).filter(isUnknown);
  if (unknown.length > 0 && job.onUnknown === "fail") {
    return {
      ok: false,
      error: {
        code: "unknown_end",
        message: `Attempt ${unknown[0]!.n} ended without an answer and may have been billed; the job does not allow another attempt (on_unknown: fail).`,
      },
    };
  }
  const failed = failedTries(earlier);
  if (failed >= maxFailedTries) {
    const last = earlier.findLast((a) => a.end?.error !== undefined)?.end?.error?.message;
    return {
      ok: false,
      error: {
        code: "tries_exhausted",
        message:
          `The job failed ${failed} times` +
          (unknown.length > 0 ? `, ${unknown.length} of them without a known result` : "") +
          (last ? `. Last error: ${last}` : "."),
      },
    };
  }
  return { ok: true };
}
