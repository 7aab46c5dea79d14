// Saves learned quota limits as a checkpoint in the store, so that they outlive the process.
import type { Clock } from "../../domain/clock.ts";
import type { LearnedLimit, QuotaSnapshot, Scheduler } from "../../scheduler/scheduler.ts";
import type { JobStore } from "../../store/job-store.ts";

const checkpoint = "learned-limits";

/** A saved limit. Times are milliseconds since the epoch, because another process reads it later. */
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

/** Saves the quotas with learned limits. */
export async function saveLearnedLimits({ scheduler, store, clock }: Context): Promise<void> {
  const { open, quotas } = await scheduler.snapshot();
  // During a rebuild the scheduler does not know the learned limits yet.
  if (!open) return;
  await store.saveCheckpoint(checkpoint, quotas.map((quota) => saved(quota, clock.wall())).filter(isLearned));
}

function saved(quota: QuotaSnapshot, now: number): SavedLimit {
  const { configuredLimit, effectiveLimit, configuredBurst, effectiveBurst, throttledAgoMs, closedForMs } = quota;
  return {
    quota: quota.name,
    // Omits a limit that equals the configured one, so that a raised configuration applies.
    ...(effectiveLimit !== configuredLimit && { effectiveLimit }),
    ...(effectiveBurst !== configuredBurst && { effectiveBurst }),
    ...(throttledAgoMs !== undefined && { throttledAt: now - throttledAgoMs }),
    ...(closedForMs !== undefined && { closedUntil: now + closedForMs }),
  };
}

function isLearned({ quota: _, ...learned }: SavedLimit): boolean {
  return Object.keys(learned).length > 0;
}

/** Returns the saved limits, or none if they are unreadable, because they can be learned again. */
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

/**
 * Longest time that a checkpoint closes a quota, in milliseconds. The wall clock may have been wrong when it was saved.
 */
const longestClosedMs = 60 * 60_000;

function isSavedLimit(value: unknown): value is SavedLimit {
  const { quota, ...numbers } = (value ?? {}) as Partial<SavedLimit>;
  const { effectiveLimit, effectiveBurst, throttledAt, closedUntil } = numbers;
  const isPositive = (n: unknown) => n === undefined || (Number.isFinite(n) && (n as number) > 0);
  return typeof quota === "string" && [effectiveLimit, effectiveBurst, throttledAt, closedUntil].every(isPositive);
}
