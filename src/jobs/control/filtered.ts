// Cancelling or retrying many jobs by a filter, a bounded number at a time: whoever asks gives the cursor back until there
// is none. Each job is a decision of its own, so stopping half-way and asking again does no harm.
import { SluiceError } from "../../domain/errors.ts";
import type { JobId } from "../../domain/ids.ts";
import type { JobState } from "../../domain/job.ts";
import type { Caller } from "../caller.ts";
import type { JobsContext } from "../jobs-context.ts";
import { type JobFilter, listJobs } from "../read/list.ts";
import { cancel } from "./cancel.ts";
import { retry } from "./retry.ts";

export interface Portion {
  /** Jobs that it is done for, at most. */
  limit: number;
  cursor?: string;
  /** Count only. */
  dryRun: boolean;
}

export interface FilteredResult {
  /** Jobs that the filter fits, in this portion. */
  matched: number;
  /** Jobs for which it was done; 0 in a dry run. */
  done: number;
  /** Why it could not be done for the others: the first of them. */
  errors: { jobId: JobId; code: string; message: string }[];
  /** Give it back to go on; absent when all have been looked at. */
  next?: string;
}

/** Jobs that are worked on at a time. */
const atOnce = 50;
const maxErrors = 100;

/** Cancels jobs that wait or run. @throws SluiceError `invalid_request`, `batch_not_found`, or what the store throws */
export function cancelFiltered(context: JobsContext, filter: JobFilter, portion: Portion, caller: Caller) {
  return each(context, filter, ["in_progress", "queued"], portion, caller, (id) => cancel(context, id, caller));
}

/** Retries jobs that failed or expired, or were cancelled if that state is asked for. @throws as `cancelFiltered` */
export function retryFiltered(context: JobsContext, filter: JobFilter, portion: Portion, caller: Caller) {
  return each(context, filter, ["failed", "expired"], portion, caller, (id) => retry(context, id, caller));
}

async function each(
  context: JobsContext,
  filter: JobFilter,
  states: readonly JobState[],
  { limit, cursor, dryRun }: Portion,
  caller: Caller,
  act: (jobId: JobId) => Promise<unknown>,
): Promise<FilteredResult> {
  const wanted = filter.state === undefined ? states : [filter.state];
  // One state after the other; a cursor says which one, and where in it.
  const [, at = wanted[0]!, inside = ""] = /^([a-z_]+):(.*)$/.exec(cursor ?? "") ?? [];
  let place = wanted.indexOf(at as JobState);
  if (place < 0 || (cursor !== undefined && !cursor.includes(":"))) {
    throw new SluiceError("invalid_request", "cursor must be the next_cursor of a response to the same filter.", {
      field: "cursor",
    });
  }
  const readOf = async (state: JobState, cursor?: string) => {
    const { items, next } = await listJobs(context, { ...filter, state }, { limit, cursor }, caller);
    return { jobs: items.map(({ job }) => job), next };
  };
  let { jobs, next } = await readOf(wanted[place]!, inside || undefined);
  // An answer that nothing was found is not to be had while another state has something.
  while (jobs.length === 0 && next === undefined && place + 1 < wanted.length) {
    place += 1;
    ({ jobs, next } = await readOf(wanted[place]!));
  }
  const state = wanted[place]!;
  const result: FilteredResult = { matched: jobs.length, done: 0, errors: [] };
  for (let i = 0; i < jobs.length && !dryRun; i += atOnce) {
    const some = jobs.slice(i, i + atOnce);
    const ends = await Promise.allSettled(some.map(({ id }) => act(id)));
    for (const [n, end] of ends.entries()) {
      if (end.status === "fulfilled") result.done += 1;
      else if (!(end.reason instanceof SluiceError) || end.reason.status >= 500) throw end.reason;
      else if (result.errors.length < maxErrors) {
        result.errors.push({ jobId: some[n]!.id, code: end.reason.code, message: end.reason.message });
      }
    }
  }
  if (next !== undefined) result.next = `${state}:${next}`;
  else if (place + 1 < wanted.length) result.next = `${wanted[place + 1]}:`;
  return result;
}
