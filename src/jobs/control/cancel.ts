// Cancels jobs. Cancelled is an outcome like any other, and the first outcome wins. So a job that completes at the same
// moment is either completed or cancelled, never both.
import { SluiceError } from "../../domain/errors.ts";
import type { JobId } from "../../domain/ids.ts";
import type { JobRecord } from "../../domain/job.ts";
import { audited } from "../audit/audited.ts";
import type { Caller } from "../caller.ts";
import type { JobsContext } from "../jobs-context.ts";
import { requireJob } from "../read/view.ts";
import { costSoFar, endJob } from "./end-job.ts";

/**
 * Cancels a job as `cancelJob` does, and records it in the audit log.
 * @throws as `cancelJob`
 */
export function cancel(context: JobsContext, jobId: JobId, caller: Caller): Promise<JobRecord> {
  const target = { type: "job", id: jobId } as const;
  return audited(context, caller, "job.cancel", { target }, () => cancelJob(context, jobId, caller));
}

/**
 * Cancels a job and aborts its call if one is running. Cancelling twice is not an error.
 * @throws SluiceError `job_not_found`, or `conflict` if the job has ended otherwise
 */
export async function cancelJob(context: JobsContext, jobId: JobId, caller: Caller): Promise<JobRecord> {
  const before = await requireJob(context, jobId, caller);
  if (!before.outcome) {
    try {
      const outcome = { status: "cancelled" as const, at: context.clock.wall() };
      await endJob(context, before.job, { ...outcome, ...costSoFar(before) });
    } catch (error) {
      // The outcome may be stored although the queue was not notified. Then the job is cancelled, and its next worker
      // finds that.
      const { outcome } = await requireJob(context, jobId, caller);
      if (!outcome) throw error;
      context.log.warn({ err: error, jobId }, "failed to remove a cancelled job from the queue");
    }
  }
  const after = before.outcome ? before : await requireJob(context, jobId, caller);
  if (after.state !== "cancelled") {
    throw new SluiceError("conflict", `The job cannot be cancelled: it is ${after.state}.`, { jobId });
  }
  return after;
}
