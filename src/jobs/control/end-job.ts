// Ending a job by other means than the answer of a call: cancelled, expired, or found impossible.
import type { Logger } from "pino";
import type { JobHead, JobRecord, Outcome } from "../../domain/job.ts";
import { outcomeCost } from "../../domain/usage.ts";
import type { FinishResult } from "../../store/job-store.ts";
import type { JobsContext } from "../jobs-context.ts";
import { announceEnd } from "../webhooks/webhook-records.ts";

type EndingContext = Pick<JobsContext, "store" | "scheduler" | "events" | "limits" | "clock" | "log">;
type EndedJob = Pick<JobHead, "id" | "environment" | "webhookUrl"> & Partial<Pick<JobHead, "model" | "batchId">>;

/**
 * Stores the outcome, unless the job has one, and takes the job out of the queue. A call that is running for the job is
 * aborted: its worker hears the event, or finds its lease lost.
 * @returns whether this outcome is the one that stands, and which one does.
 * @throws SluiceError `job_not_found`, or what the store throws; then nothing has changed.
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
 * The same for a job that no call is running for. What a call that has started will answer is paid for, so then the job is
 * left alone.
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
  if (result.first) logEnd(context.log, job, result.outcome);
  void context.limits?.ended(environment, jobId, { outcome: result.outcome });
  void announceEnd(context, job);
  // Told before the queue is: if that fails, the outcome stands nevertheless, and whoever takes the job finds it.
  context.events.publish({ type: "state", jobId, environment, state: status, at });
  await context.scheduler.remove([jobId]);
}

/** What the job's attempts have cost so far, for an outcome that none of them leads to. */
export function costSoFar({
  attempts,
}: Pick<JobRecord, "attempts">): Pick<Outcome, "costNanoUsd" | "estimatedNanoUsd"> {
  return outcomeCost(attempts);
}

/** Logs an end that somebody may have to look at: failed or expired. What was cancelled was wanted. */
export function logEnd(
  log: Pick<Logger, "info">,
  { id: jobId, environment, model, batchId }: Pick<JobHead, "id" | "environment"> & Partial<JobHead>,
  { status, error, deployment, attempt }: Outcome,
): void {
  if (status !== "failed" && status !== "expired") return;
  const about = { jobId, environment, model, batchId, deployment, attempt, code: error?.code };
  log.info(about, status === "failed" ? "failed a job" : "expired a job");
}
