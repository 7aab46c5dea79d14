// The line in the log for a job that did not complete. It holds no text of the job, and none of the provider.
import type { Logger } from "pino";
import type { JobHead, Outcome } from "../domain/job.ts";

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
