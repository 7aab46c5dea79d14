// Jobs that were accepted but that the configuration of today can never admit.
import { costSoFar, endJob } from "../jobs/ending.ts";
import type { AcquireResult } from "../scheduler/scheduler.ts";
import type { WorkerContext } from "./context.ts";

/**
 * Fails a job that the scheduler took out because no quota will ever admit it, or because its model is gone. If the
 * store does not take that, the reconciler finds the job unfinished and it comes here again.
 */
export async function failImpossible(
  context: Pick<WorkerContext, "settings" | "store" | "scheduler" | "events" | "clock" | "log">,
  { jobId, reason }: AcquireResult["impossible"][number],
): Promise<void> {
  try {
    const record = await context.store.get(jobId);
    if (record === undefined) return;
    const known = [record.job.model, ...record.job.fallbackModels].some((m) => m in context.settings.models);
    const error = { code: known ? "exceeds_quota" : "unknown_model", message: reason };
    const outcome = { status: "failed" as const, at: context.clock.wall(), error };
    await endJob(context, record.job, { ...outcome, ...costSoFar(record) });
  } catch (error) {
    context.log.error({ err: error, jobId, reason }, "failed to fail a job that can never run");
  }
}
