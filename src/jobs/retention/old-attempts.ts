// Removes old attempts and sums of usage. Neither changes a limit, a budget or the use of a quota: those read younger
// attempts, records of their own, and the sums of the last two months.
import { usageDay } from "../../domain/usage.ts";
import type { Lane, RetentionContext } from "./retention-steps.ts";

const pageSize = 100;

/**
 * Removes the old attempts of jobs that have ended.
 * @param from cursor of the last page of the previous walk; absent for all
 * @returns cursor of the last page, where the next walk may begin
 */
export async function removeOldAttempts(
  context: RetentionContext,
  { environment, tenants, ageMs }: Lane,
  from: string | undefined,
): Promise<string | undefined> {
  const chargedTo = context.clock.wall() - ageMs;
  for (let cursor = from; ; ) {
    await context.proceed();
    const query = { environment, tenants, chargedTo, limit: pageSize, cursor };
    const { removed, next } = await context.store.upkeep.removeAttempts(query);
    if (removed > 0) context.removed(environment, "attempts", removed);
    if (next === undefined) return cursor;
    cursor = next;
  }
}

/** Removes sums of usage whose day is old. */
export async function removeOldUsage(context: RetentionContext, { environment, tenants, ageMs }: Lane): Promise<void> {
  await context.proceed();
  const toDay = usageDay(context.clock.wall() - ageMs) - 1;
  const removed = await context.store.upkeep.removeUsage({ environment, tenants, toDay });
  if (removed > 0) context.removed(environment, "usage", removed);
}
