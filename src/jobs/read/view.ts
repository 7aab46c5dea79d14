// What can be said about a job: the record, and where it stands in the queue.
import { SluiceError } from "../../domain/errors.ts";
import type { JobId } from "../../domain/ids.ts";
import type { JobHead, JobRecord } from "../../domain/job.ts";
import type { Explanation } from "../../scheduler/scheduler.ts";
import { type Caller, maySee } from "../caller.ts";
import type { JobsContext } from "../jobs-context.ts";
import type { Pause } from "../pause.ts";
import { explain } from "../queue-position.ts";

export interface JobView extends JobRecord {
  /** Absent for a job that has ended, and while the scheduler cannot be asked. */
  queuePosition?: Explanation;
  /** The pause that it waits for, if it waits for one. */
  pause?: Pause;
  /** When it is expected to end; milliseconds since the epoch. Absent if nothing can be said. */
  expectedFinish?: number;
}

/** @throws SluiceError `job_not_found`, also for a job that the caller may not see */
export async function requireJob({ store }: JobsContext, jobId: JobId, caller: Caller): Promise<JobRecord> {
  const record = await store.get(jobId);
  if (!record || !maySee(caller, record.job))
    throw new SluiceError("job_not_found", `There is no job ${jobId}.`, { jobId });
  return record;
}

/**
 * A job with its queue position. A job whose worker was lost is on record as in progress until its next attempt, though it is
 * waiting again: the state of the view is `queued` then, because the scheduler knows better.
 */
export async function viewOf(context: JobsContext, record: JobRecord): Promise<JobView> {
  const view = await withQueuePosition(context, record);
  const expectedFinish = finishOf(context, view);
  const pause = await pauseOf(context, view);
  return { ...view, ...(pause && { pause }), ...(expectedFinish !== undefined && { expectedFinish }) };
}

async function pauseOf({ pauses, log }: JobsContext, { job, queuePosition }: JobView): Promise<Pause | undefined> {
  if (queuePosition?.state !== "waiting" || queuePosition.waitingOn.kind !== "paused") return undefined;
  return pauses?.of(job).catch((error: unknown) => {
    log.warn({ err: error, jobId: job.id }, "failed to read why a job is paused");
    return undefined;
  });
}

/** By how long the calls of its model take. A call that has taken longer may end at any moment. */
function finishOf({ durations, clock }: JobsContext, { job, state, queuePosition, attempts, outcome }: JobView) {
  if (outcome) return undefined;
  const now = clock.wall();
  const running = state === "in_progress" ? attempts.at(-1) : undefined;
  const takesMs = durations?.averageMs(running?.model ?? job.model);
  if (takesMs === undefined) return undefined;
  if (running) return Math.max(now, Math.round(running.chargedAt + takesMs));
  if (queuePosition?.state !== "waiting" || queuePosition.startsInMs === undefined) return undefined;
  return Math.round(now + queuePosition.startsInMs + takesMs);
}

async function withQueuePosition(context: JobsContext, record: JobRecord): Promise<JobView> {
  if (record.outcome) return record;
  const queuePosition = await queuePositionOf(context, record.job);
  if (record.state !== "in_progress" || queuePosition?.state !== "waiting")
    return { ...record, ...(queuePosition && { queuePosition }) };

  // The record may be older than the queue position. An attempt's end is stored before its job goes back to the queue, so
  // one that has no end even now was given up.
  const now = (await context.store.get(record.job.id)) ?? record;
  if (now.outcome) return now;
  return now.attempts.length > record.attempts.length ? now : { ...now, state: "queued", queuePosition };
}

async function queuePositionOf(context: JobsContext, job: JobHead): Promise<Explanation | undefined> {
  try {
    return await explain(context, job);
  } catch (error) {
    context.log.warn({ err: error, jobId: job.id }, "failed to estimate the queue position of a job");
    return undefined;
  }
}
