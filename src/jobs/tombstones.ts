// Records which jobs and files were deleted. Some ids are derived again from what remains: a key that is bound to one,
// or a retried job. A deleted job must not return under its id. Its calls, its usage and its webhook remain, and the
// new job would take them for its own. The same holds for a file, because a batch that names it would read other lines.
// A tombstone is written before the job is removed, so a reader that misses the job finds it. Tombstones are stored
// with the bindings of keys and swept with them.
import { serviceCollection, timeKey } from "../store/collection.ts";
import type { JobsContext } from "./jobs-context.ts";

const tombstones = serviceCollection<null>({ stored: "idempotency_keys", id: "deleted/*" });

/** Tombstones outlive idempotency keys by this time in milliseconds, so that clock skew cannot revive a deleted job. */
const longerMs = 24 * 3_600_000;
/** Later than every time, so that the sweep never reaches it. */
const forever = "9".repeat(16);

/** Inserts a tombstone. Call it before the job or file is removed. May be repeated. */
export async function insertTombstone(
  { store, clock }: Pick<JobsContext, "store" | "clock">,
  { id, retryOf }: { id: string; retryOf?: string | undefined },
): Promise<void> {
  // The retried job can be retried at any time.
  const order = retryOf === undefined ? timeKey(clock.wall() + longerMs) : forever;
  await tombstones(store).insert({ id, order, value: null });
}

/** Returns the ids (of at most 1,000) whose jobs were deleted, as long as their tombstones exist. */
export async function deletedAmong(
  store: Pick<JobsContext["store"], "records">,
  ids: readonly string[],
): Promise<Set<string>> {
  return new Set((await tombstones(store).getMany(ids)).keys());
}
