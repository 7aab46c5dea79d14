// What was learned about quotas outlives the process as a checkpoint in the store.
import type { Clock } from "../../domain/clock.ts";
import type { LearnedLimit, QuotaSnapshot, Scheduler } from "../../scheduler/scheduler.ts";
import type { JobStore } from "../../store/job-store.ts";

const checkpoint = "learned-limits";

/** Times are milliseconds since the epoch: the process that reads it starts later. */
interface SavedLimit {
  quota: string;
  effectiveLimit?: number;
  effectiveBurst?: number;
  throttledAt?: number;
  closedUntil?: number;
}

interface Context {
  scheduler: Pick<Scheduler, "snapshot">;
  store: Pick<JobStore, "saveCheckpoint" | "loadCheckpoint">;
  clock: Pick<Clock, "wall">;
}

/** Saves the quotas about which anything was learned. */
export async function saveLearnedLimits({ scheduler, store, clock }: Context): Promise<void> {
  const { open, quotas } = await scheduler.snapshot();
  // While it is being rebuilt the scheduler has not been told yet what was learned before.
  if (!open) return;
  await store.saveCheckpoint(checkpoint, quotas.map((quota) => saved(quota, clock.wall())).filter(isLearned));
}

function saved(quota: QuotaSnapshot, now: number): SavedLimit {
  const { configuredLimit, effectiveLimit, configuredBurst, effectiveBurst, throttledAgoMs, closedForMs } = quota;
  return {
    quota: quota.name,
    // Not where it is the configured one: then one that is raised in the configuration holds.
    ...(effectiveLimit !== configuredLimit && { effectiveLimit }),
    ...(effectiveBurst !== configuredBurst && { effectiveBurst }),
    ...(throttledAgoMs !== undefined && { throttledAt: now - throttledAgoMs }),
    ...(closedForMs !== undefined && { closedUntil: now + closedForMs }),
  };
}

function isLearned({ quota: _, ...learned }: SavedLimit): boolean {
  return Object.keys(learned).length > 0;
}

/** What was saved last; nothing if that is unreadable, because what was learned can be learned again. */
export async function loadLearnedLimits({ store, clock }: Omit<Context, "scheduler">): Promise<LearnedLimit[]> {
  const all = await store.loadCheckpoint(checkpoint);
  const now = clock.wall();
  return Array.isArray(all) ? all.filter(isSavedLimit).map((limit) => learned(limit, now)) : [];
}

function learned({ quota, effectiveLimit, effectiveBurst, throttledAt, closedUntil }: SavedLimit, now: number) {
  const isClosed = closedUntil !== undefined && closedUntil > now;
  return {
    quota,
    ...(effectiveLimit !== undefined && { effectiveLimit }),
    ...(effectiveBurst !== undefined && { effectiveBurst }),
    ...(throttledAt !== undefined && { throttledAgoMs: Math.max(0, now - throttledAt) }),
    ...(isClosed && { closedForMs: Math.min(closedUntil - now, longestClosedMs) }),
  };
}

/** The wall clock may have been wrong when it was saved: no quota is closed for longer than that by a checkpoint. */
const longestClosedMs = 60 * 60_000;

function isSavedLimit(value: unknown): value is SavedLimit {
  const { quota, ...numbers } = (value ?? {}) as Partial<SavedLimit>;
  const { effectiveLimit, effectiveBurst, throttledAt, closedUntil } = numbers;
  const isPositive = (n: unknown) => n === undefined || (Number.isFinite(n) && (n as number) > 0);
  return typeof quota === "string" && [effectiveLimit, effectiveBurst, throttledAt, closedUntil].every(isPositive);
}
