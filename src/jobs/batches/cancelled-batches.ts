// Checks whether a batch was cancelled before every call of a line, because no call follows a cancel.
import type { BatchId } from "../../domain/batch.ts";
import { type BatchesContext, isCancelled } from "./batch-records.ts";

/** Cancelled batches that are cached. A cancel is final. */
const maxKnown = 1_000;

export class CancelledBatches {
  readonly #context: BatchesContext;
  readonly #known = new Set<BatchId>();
  readonly #reading = new Map<BatchId, Promise<boolean>>();
  readonly #next = new Map<BatchId, Promise<boolean>>();

  constructor(context: BatchesContext) {
    this.#context = context;
  }

  /**
   * Reads the record, so that it always sees a cancel that was answered before this call. Lines of one batch that call
   * it at the same time share one read, which begins after the last of them.
   */
  async has(environment: string, id: BatchId): Promise<boolean> {
    if (this.#known.has(id)) return true;
    let next = this.#next.get(id);
    if (!next) {
      next = this.#readNext(environment, id);
      this.#next.set(id, next);
    }
    return next;
  }

  async #readNext(environment: string, id: BatchId): Promise<boolean> {
    // Waits at least one turn, in which other lines join this read.
    await this.#reading.get(id)?.catch(() => {});
    const reading = this.#next.get(id)!;
    this.#next.delete(id);
    this.#reading.set(id, reading);
    try {
      const cancelled = await isCancelled(this.#context, environment, id);
      if (cancelled && this.#known.size < maxKnown) this.#known.add(id);
      return cancelled;
    } finally {
      if (this.#reading.get(id) === reading) this.#reading.delete(id);
    }
  }
}
