// Changes a waiting job, and removes an ended one.
import { SluiceError } from "../../domain/errors.ts";
import type { JobId } from "../../domain/ids.ts";
import type { JobRecord, Priority } from "../../domain/job.ts";
import type { JobChange } from "../../store/job-store.ts";
import type { AuditDetails } from "../audit/audit-entry.ts";
import { type AuditNote, audited } from "../audit/audited.ts";
import type { Caller } from "../caller.ts";
import type { JobsContext } from "../jobs-context.ts";
import { mayRun } from "../may-run.ts";
import { queueEntryOf } from "../queue-entry.ts";
import { requireJob } from "../read/view.ts";
import { type NotBefore, startTime } from "../submit/not-before.ts";
import { priorityFor } from "../submit/policy.ts";
import { insertTombstone } from "../tombstones.ts";

/** The changes. An absent field stays unchanged. */
export interface RequestedChange {
  priority?: Priority;
  /** The earliest start. `null` lets the job start at once. */
  notBefore?: NotBefore | null;
}

/**
 * Gives a waiting job another priority or earliest start. It is stored first, so that a rebuilt queue has it.
 * @throws SluiceError `job_not_found`, `conflict` (it runs or has ended), `invalid_request`, `forbidden` (priority)
 */
export function change(
  context: JobsContext,
  jobId: JobId,
  changes: RequestedChange,
  caller: Caller,
): Promise<JobRecord> {
  return audited(context, caller, "job.change", { target: { type: "job", id: jobId } }, (note) =>
    changeJob(context, jobId, changes, caller, note),
  );
}

/** Changes a job as `change` does, and leaves no entry in the audit log. */
export async function changeJob(
  context: JobsContext,
  jobId: JobId,
  changes: RequestedChange,
  caller: Caller,
  note: AuditNote,
): Promise<JobRecord> {
  const { store, scheduler, clock } = context;
  const before = await requireJob(context, jobId, caller);
  if (before.outcome) throw tooLate(jobId, before.state);
  if (changes.priority !== undefined) priorityFor(caller, changes.priority);
  const { notBefore: start } = changes;
  const changed: JobChange = {
    ...(changes.priority !== undefined && { priority: changes.priority }),
    ...(start !== undefined && {
      notBefore: start && startTime(context.settings, start, clock.wall(), before.job.expiresAt),
    }),
  };
  note.details = detailsOf(changed);
  if ((await scheduler.explain(jobId)).state === "running") throw tooLate(jobId, "in_progress");
  const head = await store.update(before.job.environment, jobId, changed);
  if (!head) throw tooLate(jobId, (await requireJob(context, jobId, caller)).state);
  // A call that has just begun continues. If it must be repeated, the change applies.
  await scheduler.update(queueEntryOf(head, clock.wall()));
  return requireJob(context, jobId, caller);
}

function detailsOf({ priority, notBefore }: JobChange): AuditDetails {
  return {
    ...(priority !== undefined && { priority }),
    ...(notBefore !== undefined && { not_before: notBefore && new Date(notBefore).toISOString() }),
  };
}

function tooLate(jobId: JobId, state: string): SluiceError {
  return new SluiceError("conflict", `Only a waiting job can be changed; this one is ${state}.`, { jobId });
}

/**
 * Removes an ended job with its texts permanently.
 * @throws SluiceError `job_not_found`, `conflict` (not ended, a call may still run, or a line of a batch)
 */
export function removeJob(context: JobsContext, jobId: JobId, caller: Caller): Promise<void> {
  const target = { type: "job", id: jobId } as const;
  return audited(context, caller, "job.delete", { target }, () => remove(context, jobId, caller));
}

async function remove(context: JobsContext, jobId: JobId, caller: Caller): Promise<void> {
  const { store } = context;
  const { job, state, outcome, attempts } = await requireJob(context, jobId, caller);
  const refuse = (why: string) => new SluiceError("conflict", `The job cannot be deleted: ${why}.`, { jobId });
  if (!outcome) throw refuse(`it is ${state}; cancel it first`);
  if (job.batchId !== undefined) throw refuse(`it is a line of ${job.batchId}; delete the batch`);
  if (mayRun(context, attempts)) {
    throw refuse("one of its calls may still be running; try again later");
  }
  await insertTombstone(context, job);
  await store.remove(job.environment, jobId);
}
