// Counts the lines of a batch by state, cheaply enough for frequent calls. It reuses a count for 100 ms, or for twenty
// times its duration if that is longer, but for at most ten seconds.
import type { BatchRequest } from "../../domain/batch.ts";
import type { JobState } from "../../domain/job.ts";
import type { JobsContext } from "../jobs-context.ts";
import { lineRange } from "./batch-results.ts";

export type StateCounts = Record<JobState, number>;

export interface LineCounter {
  count(request: BatchRequest): Promise<StateCounts>;
}

const usedForMs = 100;
const usedForTimes = 20;
/** Maximum age of a count in milliseconds, which delays the detection of the last line's end. */
const usedForAtMostMs = 10_000;
/** Batches whose counts are cached. */
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
      // Concurrent callers share this count.
      const counts = countNow(request);
      kept.set(request.id, { counts, until: Number.POSITIVE_INFINITY });
      counts.catch(() => kept.delete(request.id));
      return counts;
    },
  };
}
