// Retries a job. An outcome never changes, so a retry is a new job with the same request. Its id derives from the old
// one, so retrying twice (after a lost reply, or by two people) gives one new job. If that one was deleted, the next id
// is used.
import { createHash } from "node:crypto";
import { v7 } from "uuid";
import { SluiceError } from "../../domain/errors.ts";
import type { JobId } from "../../domain/ids.ts";
import { isErased, type Job, type JobRecord } from "../../domain/job.ts";
import type { TraceContext } from "../../domain/trace-context.ts";
import { audited } from "../audit/audited.ts";
import type { Caller } from "../caller.ts";
import type { JobsContext } from "../jobs-context.ts";
import { requireJob } from "../read/view.ts";
import { checkFeasibility } from "../submit/feasibility.ts";
import { priorityFor, regionsFor, requireEnvironment } from "../submit/policy.ts";
import { inSendSpan, jobAttributes } from "../submit/send-span.ts";
import { accept } from "../submit/submit.ts";
import { deletedAmong } from "../tombstones.ts";

const lookedUpAtOnce = 100;

/**
 * Retries a job as `retryJob` does, and records it in the audit log.
 * @throws as `retryJob`
 */
export function retry(context: JobsContext, jobId: JobId, caller: Caller, trace?: TraceContext): Promise<JobRecord> {
  return audited(context, caller, "job.retry", { target: { type: "job", id: jobId } }, async (note) => {
    const record = await retryJob(context, jobId, caller, trace);
    note.details = { new_job: record.job.id };
    return record;
  });
}

/**
 * Submits a failed, cancelled or expired job again and returns the new job. Its deadline is as long after the retry as
 * the old one was after the submit.
 * @param trace the caller's trace. The retry is linked to that of the old job in any case
 * @throws SluiceError `job_not_found`, `conflict` (not ended, or completed), or what a submit throws
 */
export async function retryJob(
  context: JobsContext,
  jobId: JobId,
  caller: Caller,
  trace?: TraceContext,
): Promise<JobRecord> {
  const { job, state, outcome } = await requireJob(context, jobId, caller, "all");
  if (!outcome || outcome.status === "completed") {
    throw new SluiceError("conflict", `Only a failed, cancelled or expired job can be retried; this one is ${state}.`, {
      jobId,
    });
  }
  const id = await nextRetryId(context, jobId, outcome.at);
  const existing = await context.store.get(id, "answer");
  if (existing) return existing;

  if (isErased(job.request)) {
    throw new SluiceError("conflict", "The job cannot be retried: its texts were erased.", { jobId });
  }
  requireEnvironment(context.settings, job.environment);
  priorityFor(caller, job.priority);
  // The tenant may have been restricted since.
  const regions = regionsFor(context.settings, { ...caller, tenant: job.tenant }, job.regions);
  const wanted = { ...job, ...(regions && { regions }) };
  const tokens = await checkFeasibility(context, wanted);
  // The retry may have been deleted since the lookup.
  if ((await deletedAmong(context.store, [id])).has(id)) return retryJob(context, jobId, caller, trace);
  // The retry of a batch's line belongs to no batch. It is a job like any other, also for the limits of its key.
  const { notBefore: _, batchId: _batch, customId: _line, waitingCaller: _caller, trace: before, ...rest } = wanted;
  const { expiresAt, linkedTrace, ...same } = rest;
  const linked = before ?? linkedTrace;
  const submittedAt = context.clock.wall();
  const retried: Job = {
    ...same,
    id,
    retryOf: jobId,
    ...(caller.keyId !== undefined && { keyId: caller.keyId }),
    tokens,
    submittedAt,
    ...(trace && { trace }),
    ...(linked && { linkedTrace: linked }),
    ...(expiresAt !== undefined && { expiresAt: submittedAt + (expiresAt - job.submittedAt) }),
  };
  await inSendSpan(context, retried, submittedAt, jobAttributes, (job) => accept(context, [job]));
  return requireJob(context, id, caller);
}

/** Returns the first id of its retries whose job was not deleted. */
async function nextRetryId({ store }: JobsContext, jobId: JobId, outcomeAt: number): Promise<JobId> {
  let first = 0;
  for (let count = 1; ; count = lookedUpAtOnce) {
    const ids = Array.from({ length: count }, (_, i) => retryIdOf(jobId, outcomeAt, first + i));
    const deleted = await deletedAmong(store, ids);
    const next = ids.find((id) => !deleted.has(id));
    if (next !== undefined) return next;
    first += count;
  }
}

/** Returns a UUIDv7 with the time of the outcome, and a hash of the old id and the number of deleted retries. */
function retryIdOf(jobId: JobId, outcomeAt: number, deletedBefore: number): JobId {
  const text = deletedBefore === 0 ? `retry:${jobId}` : `retry:${jobId}:${deletedBefore}`;
  return v7({ msecs: outcomeAt, random: createHash("sha256").update(text).digest().subarray(0, 16) });
}
