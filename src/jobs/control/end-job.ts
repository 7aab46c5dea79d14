// Ends a job without the answer of a call: cancelled, expired, or found impossible.
import type { Logger } from "pino";
import type { JobHead, JobRecord, Outcome } from "../../domain/job.ts";
import { outcomeCost } from "../../domain/usage.ts";
import type { FinishResult } from "../../store/job-store.ts";
import type { JobsContext } from "../jobs-context.ts";
import { announceEnd } from "../webhooks/webhook-records.ts";

type EndingContext = Pick<JobsContext, "store" | "scheduler" | "events" | "limits" | "clock" | "log" | "metrics">;
type EndedJob = Pick<JobHead, "id" | "environment" | "webhookUrl"> &
  Partial<Pick<JobHead, "priority" | "model" | "batchId">>;

/**
 * Stores the outcome, unless the job has one, and removes the job from the queue. A running call is aborted: its worker
 * gets the event, or finds its lease lost.
 * @returns whether this outcome was stored, and the stored outcome
 * @throws SluiceError `job_not_found`, or what the store throws; then nothing has changed
 */
export async function endJob(
  context: EndingContext,
  job: EndedJob,
  outcome: Omit<Outcome, "jobId">,
): Promise<FinishResult> {
  const result = await context.store.finish(job.environment, { jobId: job.id, ...outcome });
  await notifyEnded(context, job, result);
  return result;
}

/**
 * Ends a job without a running call. If a call has started, its answer is paid for, and the job is left unchanged.
 * @returns whether the job has ended
 */
export async function endIdleJob(
  context: EndingContext,
  job: EndedJob,
  outcome: Omit<Outcome, "jobId">,
): Promise<boolean> {
  const result = await context.store.finishIdle(job.environment, { jobId: job.id, ...outcome });
  if (result) await notifyEnded(context, job, result);
  return result !== undefined;
}

async function notifyEnded(context: EndingContext, job: EndedJob, result: FinishResult): Promise<void> {
  const { environment } = job;
  const { jobId, status, at } = result.outcome;
  if (result.first) {
    logEnd(context.log, job, result.outcome);
    context.metrics?.jobFinished(job, status);
  }
  void context.limits?.ended(environment, jobId, { outcome: result.outcome });
  void announceEnd(context, job);
  // Published before the queue is notified. If that fails, the outcome is still valid, and the job's next worker finds
  // it.
  context.events.publish({ type: "state", jobId, environment, state: status, at });
  await context.scheduler.remove([jobId]);
}

/** Returns the cost of the job's attempts so far, for an outcome that none of them produced. */
export function costSoFar({
  attempts,
}: Pick<JobRecord, "attempts">): Pick<Outcome, "costNanoUsd" | "estimatedNanoUsd"> {
  return outcomeCost(attempts);
}

/** Logs a failed or expired job, which an operator may have to examine. Cancelled jobs were intended. */
export function logEnd(
  log: Pick<Logger, "info">,
  { id: jobId, environment, model, batchId }: Pick<JobHead, "id" | "environment"> & Partial<JobHead>,
  { status, error, deployment, attempt }: Outcome,
): void {
  if (status !== "failed" && status !== "expired") return;
  const about = { jobId, environment, model, batchId, deployment, attempt, code: error?.code };
  log.info(about, status === "failed" ? "failed a job" : "expired a job");
}
