// Keeps queue and store consistent while the service runs, at a limited rate. It adds unfinished jobs that the queue
// lacks, and ends jobs past their deadline. It need not be exact: adding ignores known jobs, and a job that is added
// after its end is found ended when its attempt begins.
import type { JobId } from "../../domain/ids.ts";
import { costSoFar, endJob } from "../../jobs/control/end-job.ts";
import { queueEntryOf } from "../../jobs/queue-entry.ts";
import { deadlinePassed } from "../attempt/disposition.ts";
import { repeat } from "../timers.ts";
import type { WorkerContext } from "../worker-context.ts";

type ReconcilerContext = Pick<WorkerContext, "store" | "scheduler" | "events" | "clock" | "timers" | "log" | "metrics">;

/** Jobs examined per round. A walk through 1,000,000 waiting jobs takes 42 minutes, at 0.4 % of one core. */
const pageSize = 2000;
const roundMs = 5000;
const expiryRoundMs = 1000;
/**
 * Longest pause between rounds, in milliseconds. After a round without work, the pause is nine times the round's
 * duration. So a slow store spends at most a tenth of its time on this, and nothing is found much later.
 */
const longestRestMs = 10_000;
/** Minimum age of an examined job, in milliseconds. A younger one may be between its commit and the queue. */
const youngestMs = 5000;
const recentMs = 10 * 60_000;

/** Starts the rounds. Returns a function that ends them and waits for running ones. */
export function startReconciler(context: ReconcilerContext): () => Promise<void> {
  let recent: string | undefined;
  let walk: string | undefined;
  const warn = (error: unknown) => context.log.warn({ err: error }, "failed to reconcile queue and store");
  const stops = [
    repeat(
      context.timers,
      expiryRoundMs,
      withRests(context, async () => (await expireDue(context)).length > 0),
      warn,
    ),
    repeat(
      context.timers,
      roundMs,
      withRests(context, async () => {
        recent = await addRecent(context, recent);
        walk = await addUnfinished(context, walk);
        return false;
      }),
      warn,
    ),
  ];
  return async () => {
    await Promise.all(stops.map((stop) => stop()));
  };
}

/**
 * Runs rounds with pauses.
 * @param round resolves with whether more work remains
 */
function withRests({ clock }: Pick<ReconcilerContext, "clock">, round: () => Promise<boolean>): () => Promise<void> {
  let restUntil = Number.NEGATIVE_INFINITY;
  return async () => {
    const startedAt = clock.now();
    if (startedAt < restUntil) return;
    const more = await round();
    const tookMs = clock.now() - startedAt;
    restUntil = more ? startedAt : clock.now() + Math.min(longestRestMs, 9 * tookMs);
  };
}

/** Ends waiting and running jobs whose deadline has passed, and returns their ids. */
export async function expireDue(context: ReconcilerContext): Promise<JobId[]> {
  const at = context.clock.wall();
  const { items } = await context.store.unfinished({ limit: pageSize, expiresUntil: at });
  await Promise.all(
    items.map(async ({ job }) => {
      const cost = costSoFar((await context.store.get(job.id, "none")) ?? { attempts: [] });
      const outcome = { status: "expired" as const, at, error: deadlinePassed };
      await endJob(context, job, { ...outcome, ...cost });
    }),
  );
  context.metrics?.jobsRepaired("expired", items.length);
  return items.map(({ job }) => job.id);
}

/**
 * Adds a page of the jobs submitted in the last ten minutes. Returns the cursor of the next page, or undefined to start
 * again.
 */
export function addRecent(context: ReconcilerContext, cursor?: string): Promise<string | undefined> {
  const now = context.clock.wall();
  return addUnfinished(context, cursor, { submittedFrom: now - recentMs, submittedTo: now - youngestMs });
}

/** Adds a page of all jobs without an outcome. Returns the cursor of the next page, or undefined to start again. */
export async function addUnfinished(
  { store, scheduler, clock, metrics }: ReconcilerContext,
  cursor?: string,
  submitted: { submittedFrom?: number; submittedTo?: number } = { submittedTo: clock.wall() - youngestMs },
): Promise<string | undefined> {
  const page = await store.unfinished({ limit: pageSize, cursor, ...submitted });
  if (page.items.length > 0) {
    const now = clock.wall();
    const added = await scheduler.enqueue(page.items.map(({ job }) => queueEntryOf(job, now)));
    metrics?.jobsRepaired("requeued", added);
  }
  return page.next;
}
