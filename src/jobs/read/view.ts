// Combines a job's record with its queue position.
import { SluiceError } from "../../domain/errors.ts";
import type { JobId } from "../../domain/ids.ts";
import type { JobHead, JobRecord } from "../../domain/job.ts";
import type { Explanation } from "../../scheduler/scheduler.ts";
import type { TextParts } from "../../store/job-store.ts";
import { type Caller, maySee } from "../caller.ts";
import type { JobsContext } from "../jobs-context.ts";
import type { Pause } from "../pause.ts";
import { explain } from "../queue-position.ts";

export interface JobView extends JobRecord {
  /** Absent for a job that has ended, and while the scheduler is unreachable. */
  queuePosition?: Explanation;
  /** The pause that the job waits for. Absent if it waits for none. */
  pause?: Pause;
  /** Expected end, in milliseconds since the epoch. Absent if unknown. */
  expectedFinish?: number;
}

/**
 * Returns a job.
 * @param texts which large texts are needed. Default: those of the answer
 * @throws SluiceError `job_not_found`, also for a job that the caller may not see
 */
export async function requireJob(
  { store }: JobsContext,
  jobId: JobId,
  caller: Caller,
  texts: TextParts = "answer",
): Promise<JobRecord> {
  const record = await store.get(jobId, texts);
  if (!record || !maySee(caller, record.job))
    throw new SluiceError("job_not_found", `There is no job ${jobId}.`, { jobId });
  return record;
}

/**
 * Returns a job with its queue position. A job whose worker was lost is stored as in progress until its next attempt
 * although it waits again. Its view has the state `queued`, because the scheduler knows better.
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

/**
 * Returns the expected end, from the duration of its model's calls. A call that has taken longer may end at any moment.
 */
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

  // The record may be older than the queue position. An attempt's end is stored before its job is requeued, so one
  // without an end even now was given up.
  const now = (await context.store.get(record.job.id, "answer")) ?? record;
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
