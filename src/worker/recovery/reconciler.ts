// Keeps queue and record together while the service runs, at a bounded rate: unfinished jobs that the queue does not
// know are added, jobs whose deadline passed are ended. Adding leaves alone what is known, and a job that is added
// after it ended is found ended when its attempt begins, so nothing here needs to be exact.
import type { JobId } from "../../domain/ids.ts";
import { costSoFar, endJob } from "../../jobs/control/end-job.ts";
import { queueEntryOf } from "../../jobs/queue-entry.ts";
import { deadlinePassed } from "../attempt/disposition.ts";
import { repeat } from "../timers.ts";
import type { WorkerContext } from "../worker-context.ts";

type ReconcilerContext = Pick<WorkerContext, "store" | "scheduler" | "events" | "clock" | "timers" | "log">;

/** Jobs looked at per round: 1,000,000 waiting ones are walked through in 42 minutes, at 0.4 % of one core. */
const pageSize = 2000;
const roundMs = 5000;
const expiryRoundMs = 1000;
/**
 * After a round that found nothing to do there is a rest of nine times as long as it took, so that looking takes a tenth of
 * the store's time at most where it is slow; but no rest is longer than this, so that nothing is found much later.
 */
const longestRestMs = 10_000;
/** A younger job may be between its commit and its place in the queue. */
const youngestMs = 5000;
const recentMs = 10 * 60_000;

/** Starts the rounds. The function that is returned ends them and waits for those under way. */
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

/** @param round resolves with whether there is more to do */
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

/** Ends the jobs whose deadline has passed, whether they wait or run. Returns which. */
export async function expireDue(context: ReconcilerContext): Promise<JobId[]> {
  const at = context.clock.wall();
  const { items } = await context.store.unfinished({ limit: pageSize, expiresUntil: at });
  await Promise.all(
    items.map(async ({ job }) => {
      const cost = costSoFar((await context.store.get(job.id)) ?? { attempts: [] });
      const outcome = { status: "expired" as const, at, error: deadlinePassed };
      await endJob(context, job, { ...outcome, ...cost });
    }),
  );
  return items.map(({ job }) => job.id);
}

/** Adds a page of the jobs submitted in the last ten minutes. Returns where the next page starts; undefined: anew. */
export function addRecent(context: ReconcilerContext, cursor?: string): Promise<string | undefined> {
  const now = context.clock.wall();
  return addUnfinished(context, cursor, { submittedFrom: now - recentMs, submittedTo: now - youngestMs });
}

/** Adds a page of all jobs without an outcome. Returns where the next page starts; undefined: anew. */
export async function addUnfinished(
  { store, scheduler, clock }: ReconcilerContext,
  cursor?: string,
  submitted: { submittedFrom?: number; submittedTo?: number } = { submittedTo: clock.wall() - youngestMs },
): Promise<string | undefined> {
  const page = await store.unfinished({ limit: pageSize, cursor, ...submitted });
  if (page.items.length > 0) {
    const now = clock.wall();
    await scheduler.enqueue(page.items.map(({ job }) => queueEntryOf(job, now)));
  }
  return page.next;
}
