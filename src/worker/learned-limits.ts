// What the scheduler learned about quotas outlives the process as a checkpoint in the store.
import type { LearnedLimit } from "../scheduler/scheduler.ts";
import type { WorkerContext } from "./context.ts";

const checkpoint = "learned-limits";

/** Saves the limits that differ from the configured ones. */
export async function saveLearnedLimits({ scheduler, store }: Pick<WorkerContext, "scheduler" | "store">) {
  const { open, quotas } = await scheduler.snapshot();
  // While it is being rebuilt the scheduler has not been told yet what was learned before.
  if (!open) return;
  const learned: LearnedLimit[] = quotas
    .filter((q) => q.effectiveLimit !== q.configuredLimit)
    .map((q) => ({ quota: q.name, effectiveLimit: q.effectiveLimit }));
  await store.saveCheckpoint(checkpoint, learned);
}

/** What was saved last; nothing if that is unreadable, because what was learned can be learned again. */
export async function loadLearnedLimits({ store }: Pick<WorkerContext, "store">): Promise<LearnedLimit[]> {
  const saved = await store.loadCheckpoint(checkpoint);
  return Array.isArray(saved) ? saved.filter(isLearnedLimit) : [];
}

function isLearnedLimit(value: unknown): value is LearnedLimit {
  const { quota, effectiveLimit } = (value ?? {}) as Partial<LearnedLimit>;
  return typeof quota === "string" && typeof effectiveLimit === "number" && effectiveLimit > 0;
}
