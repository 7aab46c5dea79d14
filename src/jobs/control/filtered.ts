// Cancels, retries or changes many jobs by a filter, a limited number at a time. The caller passes the cursor back until there
// is none. Each job is a separate decision, so a caller may stop midway and start again.
import { SluiceError } from "../../domain/errors.ts";
import type { JobId } from "../../domain/ids.ts";
import type { JobState } from "../../domain/job.ts";
import type { AuditAction, AuditDetails } from "../audit/audit-entry.ts";
import { audited } from "../audit/audited.ts";
import type { Caller } from "../caller.ts";
import type { JobsContext } from "../jobs-context.ts";
import { type JobFilter, listJobs } from "../read/list.ts";
import { priorityFor } from "../submit/policy.ts";
import { cancelJob } from "./cancel.ts";
import { changeJob, type RequestedChange } from "./change.ts";
import { retryJob } from "./retry.ts";

export interface Portion {
  /** Maximum number of jobs to change. */
  limit: number;
  cursor?: string;
  /** Whether to count only. */
  dryRun: boolean;
}

export interface FilteredResult {
  /** Number of jobs in this portion that match the filter. */
  matched: number;
  /** Number of changed jobs. 0 in a dry run. */
  done: number;
  /** Why others could not be changed: the first errors. */
  errors: { jobId: JobId; code: string; message: string }[];
  /** The cursor to continue with. Absent when all jobs were examined. */
  next?: string;
}

/** Jobs that are changed at a time. */
const atOnce = 50;
const maxErrors = 100;

/**
 * Cancels waiting and running jobs.
 * @throws SluiceError `invalid_request`, `batch_not_found`, or what the store throws
 */
export function cancelFiltered(context: JobsContext, filter: JobFilter, portion: Portion, caller: Caller) {
  const run = () =>
    each(context, filter, ["in_progress", "queued"], portion, caller, (id) => cancelJob(context, id, caller));
  return auditedPortion(context, "job.cancel", filter, portion, caller, run);
}

/**
 * Retries jobs that failed or expired, or cancelled ones if the filter names that state.
 * @throws as `cancelFiltered`
 */
export function retryFiltered(context: JobsContext, filter: JobFilter, portion: Portion, caller: Caller) {
  const run = () =>
    each(context, filter, ["failed", "expired"], portion, caller, (id) => retryJob(context, id, caller));
  return auditedPortion(context, "job.retry", filter, portion, caller, run);
}

/**
 * Gives waiting jobs another priority. Jobs that start meanwhile are among the errors.
 * @throws SluiceError `forbidden` for a priority that the caller may not use; otherwise as `cancelFiltered`
 */
export function changeFiltered(
  context: JobsContext,
  filter: JobFilter,
  changes: Pick<RequestedChange, "priority">,
  portion: Portion,
  caller: Caller,
) {
  priorityFor(caller, changes.priority);
  const run = () =>
    each(context, filter, ["queued"], portion, caller, (id) => changeJob(context, id, changes, caller, {}));
  return auditedPortion(context, "job.change", filter, portion, caller, run, {
    new_priority: changes.priority ?? null,
  });
}

/** Runs a portion and leaves one entry in the audit log, unless nothing is to change. */
function auditedPortion(
  context: JobsContext,
  action: AuditAction,
  filter: JobFilter,
  { dryRun }: Portion,
  caller: Caller,
  run: () => Promise<FilteredResult>,
  more: AuditDetails = {},
): Promise<FilteredResult> {
  if (dryRun) return run();
  return audited(context, caller, action, { details: { ...detailsOf(filter), ...more } }, async (note) => {
    const result = await run();
    note.count = result.done;
    return result;
  });
}

/** Returns a filter by the names of the API. Labels are named without their values. */
function detailsOf({ state, submittedFrom, submittedTo, batchId, metadata, ...same }: JobFilter): AuditDetails {
  const time = (at: number) => new Date(at).toISOString();
  return {
    ...same,
    ...(state !== undefined && { status: state }),
    ...(submittedFrom !== undefined && { submitted_after: time(submittedFrom) }),
    ...(submittedTo !== undefined && { submitted_before: time(submittedTo) }),
    ...(batchId !== undefined && { batch: batchId }),
    ...(metadata && { metadata: Object.keys(metadata) }),
  };
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
  // Handles one state after the other. The cursor holds the state and the position in it.
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
  // Returns an empty portion only if no later state has matching jobs.
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
