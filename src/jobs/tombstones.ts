// Which jobs were deleted. Some ids are made again from what is still there: a key that is bound to one, a job that is
// retried. A deleted job must not come back under its id, because its calls, what it used of limits and its webhook stay on
// record, and the new job would take them for its own. Nor must a file: a batch that names it would
// read other lines.
//
// A mark is written before the job is removed, so whoever misses the job finds the mark. It stands among the bindings of
// keys and is swept with them.
import { serviceCollection, timeKey } from "../store/collection.ts";
import type { JobsContext } from "./jobs-context.ts";

const tombstones = serviceCollection<null>({ stored: "idempotency_keys", id: "deleted/*" });

/** So much longer than a binding a mark is kept: no binding to an id outlives the mark, whatever clocks and delays there are. */
const longerMs = 24 * 3_600_000;
/** Behind every time: never swept. */
const forever = "9".repeat(16);

/** To be called before the job or file is removed. May be repeated. */
export async function insertTombstone(
  { store, clock }: Pick<JobsContext, "store" | "clock">,
  { id, retryOf }: { id: string; retryOf?: string | undefined },
): Promise<void> {
  // The job that was retried can be retried at any time.
  const order = retryOf === undefined ? timeKey(clock.wall() + longerMs) : forever;
  await tombstones(store).insert({ id, order, value: null });
}

/** Those of the ids (at most 1,000) whose jobs were deleted, for as long as that is remembered. */
export async function deletedAmong(
  store: Pick<JobsContext["store"], "records">,
  ids: readonly string[],
): Promise<Set<string>> {
  return new Set((await tombstones(store).getMany(ids)).keys());
}
