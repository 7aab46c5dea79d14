// Which jobs a filter fits: for lists, and for changes of many jobs at once.
import type { JobState, JobSummary, Priority } from "../../domain/job.ts";
import type { Page } from "../../store/cursor.ts";
import { requireBatch } from "../batches/batch-records.ts";
import { lineRange } from "../batches/batch-results.ts";
import { type Caller, maySee, tenantFor } from "../caller.ts";
import type { JobsContext } from "../jobs-context.ts";

/** What is absent does not narrow down. */
export interface JobFilter {
  environment?: string;
  state?: JobState;
  model?: string;
  tenant?: string;
  priority?: Priority;
  /** Milliseconds since the epoch; from is included, to is not. */
  submittedFrom?: number;
  submittedTo?: number;
  /** The lines of this batch. */
  batchId?: string;
  /** Jobs that have all of these labels. */
  metadata?: Record<string, string>;
}

/**
 * Returns a page of the jobs that the filter fits and the caller may see, newest first; of a batch the last lines first.
 * A page may be short or empty although there are more: only `next` tells.
 * @throws SluiceError `batch_not_found`, `invalid_request` (the cursor), or what the store throws
 */
export async function listJobs(
  context: Pick<JobsContext, "store" | "clock" | "settings">,
  { batchId, tenant: askedTenant, ...filter }: JobFilter,
  page: { limit: number; cursor?: string | undefined },
  caller: Caller,
): Promise<Page<JobSummary>> {
  const batch = batchId === undefined ? undefined : await requireBatch(context, batchId, caller);
  const tenant = tenantFor(caller, askedTenant);
  if (tenant === null) return { items: [] };
  const lines = batch && lineRange(batch.request);
  if (lines && filter.environment !== undefined && filter.environment !== lines.environment) return { items: [] };
  const { items, next } = await context.store.list({
    ...filter,
    ...page,
    ...(tenant !== undefined && { tenant }),
    ...(lines && { environment: lines.environment, lines }),
  });
  return { items: items.filter(({ job }) => maySee(caller, job)), ...(next !== undefined && { next }) };
}
