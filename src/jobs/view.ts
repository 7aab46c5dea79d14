// What can be said about a job: the record, and where it stands in the queue.
import { SluiceError } from "../domain/errors.ts";
import type { JobId } from "../domain/ids.ts";
import type { JobRecord } from "../domain/job.ts";
import type { Explanation } from "../scheduler/scheduler.ts";
import { type Caller, maySee } from "./caller.ts";
import type { JobsContext } from "./context.ts";

export interface JobView extends JobRecord {
  /** Absent for a job that has ended, and while the scheduler cannot be asked. */
  standing?: Explanation;
}

/** @throws SluiceError `job_not_found`, also for a job that the caller may not see */
export async function requireJob({ store }: JobsContext, jobId: JobId, caller: Caller): Promise<JobRecord> {
  const record = await store.get(jobId);
  if (!record || !maySee(caller, record.job))
    throw new SluiceError("job_not_found", `There is no job ${jobId}.`, { jobId });
  return record;
}

/**
 * A job with its standing. A job whose worker was lost is on record as in progress until its next attempt, though it is
 * waiting again: the state of the view is `queued` then, because the scheduler knows better.
 */
export async function viewOf(context: JobsContext, record: JobRecord): Promise<JobView> {
  if (record.outcome) return record;
  const standing = await standingOf(context, record.job.id);
  if (record.state !== "in_progress" || standing?.state !== "waiting")
    return { ...record, ...(standing && { standing }) };

  // The record may be older than the standing. An attempt's end is stored before its job goes back to the queue, so
  // one that has no end even now was given up.
  const now = (await context.store.get(record.job.id)) ?? record;
  if (now.outcome) return now;
  return now.attempts.length > record.attempts.length ? now : { ...now, state: "queued", standing };
}

async function standingOf({ scheduler, log }: JobsContext, jobId: JobId): Promise<Explanation | undefined> {
  try {
    return await scheduler.explain(jobId);
  } catch (error) {
    log.warn({ err: error, jobId }, "the scheduler could not say where a job stands");
    return undefined;
  }
}
