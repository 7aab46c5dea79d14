// How a stored job is put into the queue: at submit, by the reconciler and in a rebuild.
import type { JobHead } from "../domain/job.ts";
import type { QueueEntry } from "../scheduler/scheduler.ts";

/** What of a job decides when and where it runs. */
export type QueuedJob = Pick<
  JobHead,
  | "id"
  | "environment"
  | "tenant"
  | "priority"
  | "model"
  | "fallbackModels"
  | "regions"
  | "tokens"
  | "submittedAt"
  | "notBefore"
  | "batchId"
>;

/** @param nowWall milliseconds since the epoch; what is left of the job's delay is counted from it. */
export function queueEntryOf(head: QueuedJob, nowWall: number): QueueEntry {
  const delayMs = head.notBefore === undefined ? 0 : head.notBefore - nowWall;
  return {
    jobId: head.id,
    environment: head.environment,
    tenant: head.tenant,
    priority: head.priority,
    models: [head.model, ...head.fallbackModels],
    ...(head.regions && { regions: head.regions }),
    tokens: head.tokens,
    exact: false,
    order: head.submittedAt,
    ...(delayMs > 0 && { delayMs }),
  };
}
