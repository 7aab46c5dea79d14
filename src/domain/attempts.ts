// Which attempts count against a job, and when it has had enough.
//
// Grants (every time a worker got the job) and failed tries are two counters that must not be mixed: a throttle is a
// grant but not a failed try, because the provider did nothing; an attempt whose end is unknown is a failed try,
// because otherwise a prompt that kills its worker would do so for ever.
import type { Attempt, JobHead } from "./job.ts";

/** Failed tries that a job may have before it fails, unless configured otherwise. */
export const defaultMaxFailedTries = 3;

/**
 * Whether the attempt's call left, or may have, without a known result: its process died, or the call was cut off. This
 * is the one rule for `on_unknown` and for the number of failed tries, whatever cut the call off.
 */
export function isUnknown({ end }: Pick<Attempt, "end">): boolean {
  return end === undefined || end.result === "unknown" || end.result === "aborted";
}

export function failedTries(attempts: readonly Attempt[]): number {
  return attempts.filter((a) => isUnknown(a) || a.end?.result === "transient").length;
}

export type MayTry = { ok: true } | { ok: false; error: { code: "tries_exhausted" | "unknown_end"; message: string } };

/** Whether the job may be called once more, given its earlier attempts. */
export function mayTry(job: JobHead, earlier: readonly Attempt[], maxFailedTries: number): MayTry {
  const unknown = earlier.filter(isUnknown);
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
          (last ? `. The last error was: ${last}` : "."),
      },
    };
  }
  return { ok: true };
}
