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
    const { models, scheduler } = context.settings;
    const { model, fallbackModels } = record.job;
    const known = [model, ...fallbackModels].some((alias) => Object.hasOwn(models, alias));
    const waitedS = Math.round(scheduler.missingModelWaitMs / 1000);
    const gone =
      `The configuration has no model ${model}. The job has waited ${waitedS} s for it ` +
      `(scheduler.missingModelWaitMs). Send the job again with one of: ${Object.keys(models).join(", ")}.`;
    const error = known ? { code: "exceeds_quota", message: reason } : { code: "unknown_model", message: gone };
    const outcome = { status: "failed" as const, at: context.clock.wall(), error };
    await endJob(context, record.job, { ...outcome, ...costSoFar(record) });
  } catch (error) {
    context.log.error({ err: error, jobId, reason }, "failed to fail a job that can never run");
  }
}
