// Erases the texts of old jobs and removes old jobs, except the lines of batches, which go with their batch
// (old-batches.ts). It walks through jobs in the order of their ends, so each job is examined once.
import type { Erasure, JobRecord } from "../../domain/job.ts";
import { pagesOf } from "../../store/cursor.ts";
import { type EndedJob, includesTenant } from "../../store/upkeep-store.ts";
import { insertTombstone } from "../tombstones.ts";
import { hasZeroRetention } from "./retention-policy.ts";
import { archiveJobs, inSteps, isSettled, type Lane, type RetentionContext } from "./retention-steps.ts";

const pageSize = 200;

/**
 * Age of a job after which no Idempotency-Key names it, in milliseconds. Younger ones leave a tombstone. Keys are kept
 * for a day from before the submit, and are swept before jobs are removed.
 */
const keyMs = 48 * 3_600_000;

/** How far a walk has got. */
export interface WalkProgress {
  /** Milliseconds since the epoch: every job that ended before is done. */
  doneTo: number;
  /** How long the first job that is not done has been due, in milliseconds. 0 if nothing is due. */
  lateMs: number;
}

/**
 * Handles the jobs of a lane that are old enough and not done.
 * @param progress is updated after every page; the next walk continues there
 * @throws what the store and the archive throw, and what `proceed` throws; then the walk can be repeated, and `lateMs`
 *   tells how late the walk is
 */
export async function walkOldJobs(context: RetentionContext, lane: Lane, progress: WalkProgress): Promise<void> {
  const limit = context.clock.wall() - lane.ageMs;
  const open: OpenJobs = { held: Number.POSITIVE_INFINITY };
  try {
    await walkTo(limit, context, lane, progress, open);
    progress.lateMs = Math.max(0, limit - progress.doneTo);
  } catch (error) {
    // Before anything is known of this process's jobs, the lateness stays as it was.
    const done = progress.doneTo > 0 ? progress.doneTo : limit - progress.lateMs;
    progress.lateMs = Math.max(0, limit - Math.min(open.held, open.handling ?? done));
    throw error;
  }
}

/** What a walk has met, as ends of jobs in milliseconds since the epoch. */
interface OpenJobs {
  /** The first job that must be examined again. */
  held: number;
  /** The first job of the step that runs. Absent between two pages. */
  handling?: number | undefined;
}

async function walkTo(
  limit: number,
  context: RetentionContext,
  { environment, kind, tenants }: Lane,
  progress: WalkProgress,
  open: OpenJobs,
): Promise<void> {
  const handle = kind === "texts" ? eraseOld : removeOld;
  const advance = (doneTo: number) => {
    open.handling = undefined;
    progress.doneTo = Math.max(progress.doneTo, Math.min(open.held, doneTo));
  };
  const range = { environment, finishedFrom: progress.doneTo, finishedTo: limit, limit: pageSize };
  for await (const page of pagesOf((cursor) => context.store.upkeep.ended({ ...range, cursor }))) {
    const own = page.filter(({ job }) => job.batchId === undefined && includesTenant(tenants, job.tenant));
    const due = kind === "texts" ? own.filter((ended) => erasureOf(context, ended) !== undefined) : own;
    open.handling = due[0]?.finishedAt;
    for await (const step of inSteps(context, due)) {
      open.handling = step[0]!.finishedAt;
      const records = await Promise.all(step.map(({ job }) => context.store.get(job.id, "none")));
      const found = records.filter((record) => record !== undefined);
      const settled = await Promise.all(found.map((record) => isSettled(context, record)));
      const ready = found.filter((_, i) => settled[i]);
      for (const [i, { outcome }] of found.entries()) if (!settled[i]) open.held = Math.min(open.held, outcome!.at);
      await archiveJobs(context, ready);
      await handle(context, ready);
      context.removed(environment, kind, ready.length);
    }
    if (due.length === 0) await context.proceed();
    advance(page.at(-1)?.finishedAt ?? limit);
  }
  advance(limit);
}

async function eraseOld(context: RetentionContext, records: readonly JobRecord[]): Promise<void> {
  await Promise.all(
    records.map(({ job }) => context.store.eraseTexts(job.environment, job.id, erasureOf(context, { job }))),
  );
}

/** Returns what is to be erased of a job, or undefined if it is erased already. */
export function erasureOf({ settings }: RetentionContext, { job }: Pick<EndedJob, "job">): Erasure | undefined {
  const wanted = hasZeroRetention(settings.retention, job.environment, job.tenant) ? "all" : "texts";
  return job.erased === wanted || job.erased === "all" ? undefined : wanted;
}

async function removeOld(context: RetentionContext, records: readonly JobRecord[]): Promise<void> {
  const youngest = context.clock.wall() - keyMs;
  const named = records.filter(({ job }) => job.retryOf !== undefined || job.submittedAt > youngest);
  await Promise.all(named.map(({ job }) => insertTombstone(context, job)));
  await Promise.all(records.map(({ job }) => context.store.remove(job.environment, job.id)));
}
