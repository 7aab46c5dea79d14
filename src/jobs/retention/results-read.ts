// Remembers which pages of a batch's results its owner has read, until all of them are. It belongs to one process: pages
// that several processes serve do not add up, and the age of the results decides.
import type { BatchId } from "../../domain/batch.ts";

/** A page of results that was sent completely. */
export interface ResultsPage {
  /** The line before the first one that was asked for. 0: the page begins with the first line. */
  after: number;
  /** The last line of the page. */
  last: number;
  /** Number of results. */
  results: number;
  /** Whether no result follows. */
  isLast: boolean;
}

/** Batches that are remembered. The oldest one is forgotten first. */
const most = 1_000;

export class ResultsRead {
  readonly #read = new Map<BatchId, Pick<ResultsPage, "last" | "results">>();

  /**
   * Adds a page. A page that does not follow the previous one counts for nothing; the first page begins anew.
   * @returns the number of results that were read in all, once nothing is missing
   */
  add(id: BatchId, { after, last, results, isLast }: ResultsPage): number | undefined {
    const before = after === 0 ? { last: 0, results: 0 } : this.#read.get(id);
    if (before?.last !== after) return undefined;
    const read = before.results + results;
    this.#read.delete(id);
    if (isLast) return read;
    this.#read.set(id, { last, results: read });
    for (const oldest of this.#read.keys()) {
      if (this.#read.size <= most) break;
      this.#read.delete(oldest);
    }
    return undefined;
  }
}
