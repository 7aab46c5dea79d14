// Rebuilds the scheduler from the store: the queue from unfinished jobs, the usage of quotas from the attempts of the
// longest window, and learned limits from their checkpoint. Submits continue meanwhile. The embedded form has only one
// process, so no lease is restored. It requeues at once whatever the previous process had in progress, and its open
// attempts end with an unknown result. In the distributed form every open attempt gets a lease period in which its
// worker can re-assert it. So a running call is not repeated.
import type { Attempt } from "../../domain/job.ts";
import { readPauses } from "../../jobs/control/pauses.ts";
import { queueEntryOf } from "../../jobs/queue-entry.ts";
import type { RestoredCharge, RestorePart } from "../../scheduler/scheduler.ts";
import { pagesOf } from "../../store/cursor.ts";
import { usageCharge } from "../attempt/call-usage.ts";
import { pause, retryForever } from "../retry-forever.ts";
import type { WorkerContext } from "../worker-context.ts";
import { loadLearnedLimits } from "./learned-limits.ts";
import type { Orphans } from "./orphans.ts";

type RecoveryContext = Pick<
  WorkerContext,
  "store" | "scheduler" | "clock" | "timers" | "random" | "settings" | "log" | "metrics"
> & {
  /** Delays synchronous calls whose callers have disconnected. Absent if there are none. */
  orphans?: Pick<Orphans, "delays">;
  /** Whether the previous process was killed, so that its calls have no recorded end. Default: false. */
  afterKill?: boolean;
};

type Lease = NonNullable<RestorePart["leases"]>[number];

/**
 * The log message at the start and after a reload, with the model, the number of its jobs, and the time until they
 * fail.
 */
export const missingModel = "found jobs of a model that no deployment serves";

const pageSize = 5000;
const minuteMs = 60_000;
/** A day and an hour in milliseconds, because a quota that resets at a UTC hour may reset late. */
const dayMs = 25 * 60 * minuteMs;

/**
 * Rebuilds the queue. It retries a failing store, because admission stays closed until the rebuild ends.
 * @param reassertLeases called before admission opens, so that running calls of this process keep their jobs
 * @param giveUp aborts when the process ends; the promise then rejects
 */
export async function recover(
  context: RecoveryContext,
  reassertLeases: () => Promise<void>,
  giveUp: AbortSignal,
): Promise<void> {
  const { store, scheduler, clock, log } = context;
  const startedAt = clock.now();
  const ticket = await scheduler.beginRebuild();
  if (ticket === undefined) return;
  const persist = <T>(operation: () => Promise<T>) => retryForever(context, "rebuild the queue", giveUp, operation);

  const paused = (await persist(() => readPauses(context))).map(({ target }) => target);
  await scheduler.restore(ticket, { learned: await persist(() => loadLearnedLimits(context)), paused });
  const chargedFrom = clock.wall() - horizonMs(context);
  const othersMayLive = context.settings.distributed !== undefined;
  // A worker may have been granted a job just before the queue was lost, and may store its attempt only now. Its call
  // leaves within this time or not at all.
  if (othersMayLive) await pause(context.timers, context.settings.scheduler.sendWithinMs, giveUp);
  /** Leases by job, because only the last attempt of a job can be running. */
  const open = new Map<string, Lease>();
  let charges = 0;
  for await (const attempts of pagesOf((cursor) =>
    persist(() => store.attemptsSince({ chargedFrom, limit: pageSize, cursor })),
  )) {
    const part = attempts.flatMap((attempt) => chargeOf(attempt, clock.wall()));
    await scheduler.restore(ticket, { charges: part });
    charges += part.length;
    for (const { jobId, grant, deployment, end } of othersMayLive ? attempts : []) {
      if (end === undefined) open.set(jobId, { jobId, grant, deployment });
      else open.delete(jobId);
    }
  }
  let jobs = 0;
  let callsToRepeat = 0;
  for await (const unfinished of pagesOf((cursor) => persist(() => store.unfinished({ limit: pageSize, cursor })))) {
    const delays = await persist(async () => context.orphans?.delays(unfinished.map(({ job }) => job)));
    const entries = unfinished.map(({ job }) => {
      const delayMs = delays?.get(job.id);
      return { ...queueEntryOf(job, clock.wall()), ...(delayMs !== undefined && { delayMs }) };
    });
    await scheduler.restore(ticket, { entries });
    const leases = unfinished.flatMap(({ job }) => open.get(job.id) ?? []);
    if (leases.length > 0) await scheduler.restore(ticket, { leases });
    jobs += unfinished.length;
    callsToRepeat += unfinished.filter(
      ({ job, state }) => state === "in_progress" && job.onUnknown === "retry" && !delays?.has(job.id),
    ).length;
  }
  await reassertLeases();
  await scheduler.finishRebuild(ticket);
  context.metrics?.jobsRepaired("rebuilt", jobs);
  log.info({ jobs, charges, ms: Math.round(clock.now() - startedAt) }, "rebuilt the queue from the store");
  if (context.afterKill) log.warn({ callsToRepeat }, "recovered from an unclean stop");
  for (const missing of (await scheduler.snapshot()).missingModels) log.warn(missing, missingModel);
}

/** Returns the age up to which an attempt may still count in a quota or still run, in milliseconds. */
function horizonMs({ settings }: RecoveryContext): number {
  const quotas = Object.values(settings.models).flatMap((m) => m.deployments.flatMap((d) => d.quotas));
  const windowMs = quotas.some((q) => q.per === "day") ? dayMs : minuteMs;
  const { leaseMs, sendWithinMs, networkJitterMs } = settings.scheduler;
  // A charge that a worker moved has its old time in the record, at most a lease older.
  const countsMs = windowMs + leaseMs + sendWithinMs + networkJitterMs;
  return settings.distributed ? Math.max(countsMs, settings.timeouts.totalMs + leaseMs) : countsMs;
}

/** Returns what an attempt still charges to its quotas. If that is unknown, everything reserved. */
function chargeOf(attempt: Attempt, nowWall: number): RestoredCharge[] {
  const { end, deployment, grant, reserved } = attempt;
  if (end?.result === "not_sent") return [];
  // The charge was moved if the call was sent late. The send time is known only for an ended call.
  const leftAt = end?.durationMs === undefined ? 0 : end.at - end.durationMs;
  const agoMs = Math.max(0, nowWall - Math.max(attempt.chargedAt, leftAt));
  const refused = end?.result === "throttled" || end?.result === "capacity";
  const usage = end?.usage ?? (refused ? { input: 0, output: 0 } : undefined);
  if (usage === undefined) return [{ deployment, grant, agoMs, tokens: reserved, settled: false }];
  const { input, output, cacheWrite = 0 } = usageCharge(usage, reserved);
  const tokens = { input: input + cacheWrite, output };
  return [{ deployment, grant, agoMs, tokens, settled: true }];
}
