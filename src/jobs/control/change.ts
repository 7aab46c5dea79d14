// Changing a job that waits, and removing one that has ended.
import { SluiceError } from "../../domain/errors.ts";
import type { JobId } from "../../domain/ids.ts";
import type { JobRecord } from "../../domain/job.ts";
import type { JobChange } from "../../store/job-store.ts";
import type { Caller } from "../caller.ts";
import type { JobsContext } from "../context.ts";
import { markDeleted } from "../deleted.ts";
import { priorityFor } from "../policy.ts";
import { queueEntryOf } from "../queue-entry.ts";
import { requireJob } from "../view.ts";

/**
 * Gives a waiting job another priority or earliest start. On record first: a queue that is rebuilt knows it.
 * @throws SluiceError `job_not_found`, `conflict` (it runs or has ended), `invalid_request`, `forbidden` (priority)
 */
export async function change(context: JobsContext, jobId: JobId, asked: JobChange, caller: Caller): Promise<JobRecord> {
  const { store, scheduler, clock } = context;
  const before = await requireJob(context, jobId, caller);
  if (before.outcome) throw tooLate(jobId, before.state);
  if (asked.priority !== undefined) priorityFor(caller, asked.priority);
  checkTime(context, before, asked.notBefore);
  if ((await scheduler.explain(jobId)).state === "running") throw tooLate(jobId, "in_progress");
  const head = await store.amend(before.job.environment, jobId, asked);
  if (!head) throw tooLate(jobId, (await requireJob(context, jobId, caller)).state);
  // A call that began just now goes on; if it has to be repeated, the change counts.
  await scheduler.amend(queueEntryOf(head, clock.wall()));
  return requireJob(context, jobId, caller);
}

function tooLate(jobId: JobId, state: string): SluiceError {
  return new SluiceError("conflict", `Only a job that waits can be changed: this one is ${state}.`, { jobId });
}

/** @throws SluiceError `invalid_request` */
function checkTime({ settings, clock }: JobsContext, { job }: JobRecord, notBefore: JobChange["notBefore"]): void {
  if (notBefore === undefined || notBefore === null) return;
  const { maxExpiresInS } = settings.limits;
  const field = "not_before";
  if (notBefore > clock.wall() + maxExpiresInS * 1000) {
    throw new SluiceError("invalid_request", `not_before must be at most ${maxExpiresInS} seconds from now.`, {
      field,
    });
  }
  if (job.expiresAt !== undefined && notBefore >= job.expiresAt) {
    throw new SluiceError("invalid_request", "not_before must be earlier than the deadline of the job.", { field });
  }
}

/**
 * Removes an ended job with its texts, for good.
 * @throws SluiceError `job_not_found`, `conflict` (not ended, a call may still run, or a line of a batch)
 */
export async function removeJob(context: JobsContext, jobId: JobId, caller: Caller): Promise<void> {
  const { settings, store, clock } = context;
  const { job, state, outcome, attempts } = await requireJob(context, jobId, caller);
  const refuse = (why: string) => new SluiceError("conflict", `The job cannot be deleted: ${why}.`, { jobId });
  if (!outcome) throw refuse(`it is ${state}; cancel it first`);
  if (job.batchId !== undefined) throw refuse(`it is a line of ${job.batchId}, whose files hold its answer`);
  // The end of a call says what it used, and has to find its job.
  const longestMs = settings.timeouts.totalMs + settings.scheduler.leaseMs;
  if (attempts.some(({ end, chargedAt }) => !end && clock.wall() - chargedAt < longestMs)) {
    throw refuse("a call of it may still run; try again later");
  }
  await markDeleted(context, job);
  await store.remove(job.environment, jobId);
}
