// Whether batches were cancelled, asked before every call of a line: after a cancel no call is made.
import type { BatchId } from "../../domain/batch.ts";
import { type BatchesContext, isCancelled } from "./batch-records.ts";

/** Cancelled batches that are remembered; a cancel is never taken back. */
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
   * Reads the record, so a cancel that was answered before this call is always seen. Lines of one batch that ask at the
   * same time share a read that begins after all of them have asked.
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
    // In any case later than the turn in which others are told to share this.
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
