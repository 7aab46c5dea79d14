// Parks, unparks and abandons the job of a synchronous call whose caller is disconnected. A parked job keeps its place
// in the queue but does not start. If the caller does not come back, the job is abandoned: cancelled without another
// call.
import { isUnknown } from "../../domain/attempts.ts";
import type { JobHead, JobRecord } from "../../domain/job.ts";
import { costSoFar, endIdleJob, endJob } from "../control/end-job.ts";
import type { JobsContext } from "../jobs-context.ts";
import { queueEntryOf } from "../queue-entry.ts";

export type AbandonContext = Pick<
  JobsContext,
  "store" | "scheduler" | "events" | "limits" | "clock" | "log" | "settings"
>;

/**
 * Time that a job stays parked beyond the grace period, in milliseconds, so that it is abandoned before it could start.
 */
const marginMs = 3_600_000;

/** Returns how long a job is parked, in milliseconds. */
export function parkedForMs({ settings }: Pick<JobsContext, "settings">): number {
  return settings.limits.callerGraceS * 1000 + marginMs;
}

/**
 * Parks a job: it does not start, but keeps its place in the queue.
 * @returns false if it is not waiting, because a call runs or the job has ended
 */
export async function park(context: AbandonContext, jobId: string): Promise<boolean> {
  const record = await context.store.get(jobId, "none");
  if (!record || record.outcome) return false;
  return (await parkInQueue(context, record.job)) === "waiting";
}

function parkInQueue({ scheduler, settings, clock }: AbandonContext, job: JobHead): Promise<"waiting" | "running"> {
  const delayMs = parkedForMs({ settings });
  return scheduler.update({ ...queueEntryOf(job, clock.wall()), delayMs });
}

/** Lets a parked job start again, from its old place. */
export async function unpark({ store, scheduler, clock }: AbandonContext, jobId: string): Promise<void> {
  const record = await store.get(jobId, "none");
  if (record && !record.outcome) await scheduler.update(queueEntryOf(record.job, clock.wall()));
}

/**
 * Cancels a job whose caller will not come back, unless a call runs: that call finishes and its answer is stored.
 * @param mayBeLost whether the worker of an open attempt may have died; then the queue decides whether a call runs
 * @returns whether the job has ended
 */
export async function abandon(context: AbandonContext, jobId: string, mayBeLost: boolean): Promise<boolean> {
  const { store, scheduler, clock, settings, log } = context;
  const record = await store.get(jobId, "none");
  if (!record || record.outcome) return true;
  const { job } = record;
  const graceS = job.waitingCaller?.returnsBy ? settings.limits.callerGraceS : 0;
  const outcome = {
    status: "cancelled" as const,
    at: clock.wall(),
    error: { code: "caller_disconnected", message: messageOf(record, graceS) },
    ...costSoFar(record),
  };
  if (!(await endIdleJob(context, job, outcome))) {
    if (!mayBeLost) return false;
    // If the job waits in the queue, the worker of the open attempt is lost and no call runs.
    const { open } = await scheduler.snapshot();
    if (!open || (await parkInQueue(context, job)) === "running") return false;
    await endJob(context, job, outcome);
  }
  if (job.ephemeral) await store.eraseTexts(job.environment, jobId);
  log.info({ jobId, environment: job.environment, model: job.model }, "cancelled a job whose caller disconnected");
  return true;
}

function messageOf({ attempts }: JobRecord, graceS: number): string {
  const cause =
    graceS > 0
      ? `The caller disconnected and did not return within ${graceS} seconds (limits.callerGraceS)`
      : "The caller disconnected";
  const sent = attempts.filter(({ end }) => end?.result !== "not_sent");
  if (sent.length === 0) return `${cause}, so no call was made.`;
  const unknown = sent.findLast((attempt) => isUnknown(attempt) || attempt.end?.estimated);
  const billed = unknown ? ` Attempt ${unknown.n} ended without an answer and may have been billed.` : "";
  return `${cause}, so the job was not called again.${billed}`;
}
