// Converts a stored job to its queue entry: at submit, in the reconciler and in a rebuild.
import type { JobHead } from "../domain/job.ts";
import type { QueueEntry } from "../scheduler/scheduler.ts";

/**
 * Returns the queue entry of a job.
 * @param nowWall milliseconds since the epoch, from which the rest of the job's delay counts
 */
export function queueEntryOf(head: JobHead, nowWall: number): QueueEntry {
  const delayMs = head.notBefore === undefined ? 0 : head.notBefore - nowWall;
  return {
    jobId: head.id,
    environment: head.environment,
    tenant: head.tenant,
    priority: head.priority,
    models: [head.model, ...head.fallbackModels],
    ...(head.regions && { regions: head.regions }),
    ...(head.baseModel !== undefined && { baseModel: head.baseModel }),
    tokens: head.tokens,
    // A count of the whole request says nothing about one of several calls.
    exact: head.totalTokens !== undefined,
    order: head.submittedAt,
    ...(delayMs > 0 && { delayMs }),
  };
}
