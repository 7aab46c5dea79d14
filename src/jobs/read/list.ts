// Lists the jobs that match a filter, for lists and for changes to many jobs.
import type { JobState, JobSummary, Priority } from "../../domain/job.ts";
import type { Page } from "../../store/cursor.ts";
import { requireBatch } from "../batches/batch-records.ts";
import { lineRange } from "../batches/batch-results.ts";
import { type Caller, maySee, tenantFor } from "../caller.ts";
import type { JobsContext } from "../jobs-context.ts";

/** A filter of jobs. An absent field matches every job. */
export interface JobFilter {
  environment?: string;
  state?: JobState;
  model?: string;
  tenant?: string;
  priority?: Priority;
  /** Milliseconds since the epoch. `from` is inclusive, `to` exclusive. */
  submittedFrom?: number;
  submittedTo?: number;
  /** Matches the lines of this batch. */
  batchId?: string;
  /** Matches jobs that have all of these labels. */
  metadata?: Record<string, string>;
  /** Matches jobs that ended with this error code. */
  error?: string;
}

/**
 * Returns a page of the matching jobs that the caller may see, newest first, or the last lines of a batch first. A page
 * may be short or empty although more jobs follow: only `next` decides.
 * @throws SluiceError `batch_not_found`, `invalid_request` (the cursor), or what the store throws
 */
export async function listJobs(
  context: Pick<JobsContext, "store" | "clock" | "settings">,
  { batchId, tenant: requestedTenant, ...filter }: JobFilter,
  page: { limit: number; cursor?: string | undefined },
  caller: Caller,
): Promise<Page<JobSummary>> {
  const batch = batchId === undefined ? undefined : await requireBatch(context, batchId, caller);
  const tenant = tenantFor(caller, requestedTenant);
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
