// Lists jobs by labels and by the code of their error. Neither has an index: a bounded number of the jobs that the other
// filters leave is checked one by one for each page. Both stores use this, so that they find the same jobs.
import type { JobHead, JobSummary } from "../domain/job.ts";
import { encodeCursor, type Page } from "./cursor.ts";
import type { ListQuery } from "./job-store.ts";

/** Jobs per read of the store, and reads per page. A page of a store may be shorter, so reads are counted. */
const readSize = 1_000;
const readsPerPage = 5;

/** Returns whether the query has a filter without an index. */
export function needsExamination({ metadata, error }: ListQuery): boolean {
  return metadata !== undefined || error !== undefined;
}

/**
 * Returns the next jobs that have all of `query.metadata` and the code `query.error`. Returns at most as many as
 * requested, and perhaps none although there are more.
 * @param list the store's list without these two filters
 */
export async function listExamined(
  query: ListQuery,
  list: (query: ListQuery) => Promise<Page<JobSummary>>,
): Promise<Page<JobSummary>> {
  const { metadata = {}, error, ...rest } = query;
  const labels = Object.entries(metadata);
  const items: JobSummary[] = [];
  let { cursor } = query;
  for (let reads = 0; reads < readsPerPage; reads++) {
    const page = await list({ ...rest, cursor, limit: readSize });
    for (const [i, item] of page.items.entries()) {
      if (error !== undefined && item.error?.code !== error) continue;
      if (!hasLabels(item.job, labels)) continue;
      items.push(item);
      if (items.length < query.limit) continue;
      const isLast = i === page.items.length - 1;
      const next = isLast ? page.next : encodeCursor([item.job.submittedAt, item.job.id]);
      return { items, ...(next !== undefined && { next }) };
    }
    cursor = page.next;
    if (cursor === undefined) return { items };
  }
  return { items, ...(cursor !== undefined && { next: cursor }) };
}

function hasLabels({ metadata = {} }: JobHead, labels: readonly [string, string][]): boolean {
  return labels.every(([key, value]) => Object.hasOwn(metadata, key) && metadata[key] === value);
}
