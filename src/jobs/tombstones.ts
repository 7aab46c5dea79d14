// Which jobs were deleted. Some ids are made again from what is still there: a key that is bound to one, a job that is
// retried. A deleted job must not come back under its id, because its calls, what it used of limits and its webhook stay on
// record, and the new job would take them for its own. Nor must a file: a batch that names it would
// read other lines.
//
// A mark is written before the job is removed, so whoever misses the job finds the mark. It stands among the bindings of
// keys and is swept with them.
import type { RecordPlace } from "../store/record-store.ts";
import type { JobsContext } from "./jobs-context.ts";

export const idempotencyPlace: RecordPlace = { collection: "idempotency_keys" };

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
  const order = retryOf === undefined ? orderOf(clock.wall() + longerMs) : forever;
  await store.records.insert(idempotencyPlace, [{ id: tombstoneId(id), order, value: null }]);
}

/** Those of the ids (at most 1,000) whose jobs were deleted, for as long as that is remembered. */
export async function deletedAmong(
  { records }: Pick<JobsContext["store"], "records">,
  ids: readonly string[],
): Promise<Set<string>> {
  const tombstones = await records.get(idempotencyPlace, ids.map(tombstoneId));
  return new Set(ids.filter((id) => tombstones.has(tombstoneId(id))));
}

/** The order of records by time: so many digits that texts are in the order of the times. */
export function orderOf(epochMs: number): string {
  return String(Math.floor(epochMs)).padStart(16, "0");
}

function tombstoneId(id: string): string {
  return `deleted/${id}`;
}
