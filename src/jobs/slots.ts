// Limits how many of several concurrent operations run at a time.

/** Grants a limited number of slots, in the order of requests. */
export class Slots {
  #free: number;
  readonly #waiting = new Set<() => void>();

  constructor(atOnce: number) {
    this.#free = atOnce;
  }

  /**
   * Takes a slot, and returns the function that releases it.
   * @throws the signal's reason, if it aborts first
   */
  async take(signal?: AbortSignal): Promise<() => void> {
    signal?.throwIfAborted();
    if (this.#free > 0) this.#free--;
    else {
      await new Promise<void>((resolve, reject) => {
        const go = () => {
          signal?.removeEventListener("abort", leave);
          resolve();
        };
        const leave = () => {
          this.#waiting.delete(go);
          reject(signal?.reason);
        };
        signal?.addEventListener("abort", leave, { once: true });
        this.#waiting.add(go);
      });
    }
    return () => {
      const [next] = this.#waiting;
      if (!next) this.#free++;
      else {
        this.#waiting.delete(next);
        next();
      }
    };
  }
}
