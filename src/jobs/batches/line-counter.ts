// How many lines of a batch are in which state, cheap enough to ask for every second: a count is used again for a second,
// or for twenty times as long as it took, whichever is longer, but not for more than ten seconds.
import type { BatchRequest } from "../../domain/batch.ts";
import type { JobState } from "../../domain/job.ts";
import type { JobsContext } from "../jobs-context.ts";
import { lineRange } from "./batch-results.ts";

export type StateCounts = Record<JobState, number>;

export interface LineCounter {
  count(request: BatchRequest): Promise<StateCounts>;
}

const usedForMs = 1000;
const usedForTimes = 20;
/** Whoever waits for the last line notices its end so late at most, also where the store is busy and counting takes seconds. */
const usedForAtMostMs = 10_000;
/** Batches whose counts are kept. */
const maxKept = 1000;

export function createLineCounter({ store, clock }: Pick<JobsContext, "store" | "clock">): LineCounter {
  const kept = new Map<string, { counts: Promise<StateCounts>; until: number }>();

  async function countNow(request: BatchRequest): Promise<StateCounts> {
    const startedAt = clock.now();
    const counts = await store.countLines(lineRange(request));
    const tookMs = clock.now() - startedAt;
    const entry = kept.get(request.id);
    if (entry) entry.until = clock.now() + Math.min(usedForAtMostMs, Math.max(usedForMs, usedForTimes * tookMs));
    return counts;
  }

  return {
    count(request) {
      const before = kept.get(request.id);
      if (before && clock.now() < before.until) return before.counts;
      kept.delete(request.id);
      const [oldest] = kept.keys();
      if (kept.size >= maxKept && oldest !== undefined) kept.delete(oldest);
      // While it counts, others wait for the same count.
      const counts = countNow(request);
      kept.set(request.id, { counts, until: Number.POSITIVE_INFINITY });
      counts.catch(() => kept.delete(request.id));
      return counts;
    },
  };
}
