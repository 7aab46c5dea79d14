// Group commit: one batch runs at a time, and all items that arrive meanwhile go into the next one. Under load,
// hundreds of callers share a round trip and a journal write. A single caller does not wait.

/** Returns the answers to a batch, in the order of its items. An Error is the answer of that item alone. */
type Run<Item, Answer> = (items: Item[]) => Promise<(Answer | Error)[]>;

interface GroupLimits<Item> {
  maxItems: number;
  /** Returns the weight of an item. Default: 0. */
  weigh?: (item: Item) => number;
  /** Largest weight of a batch. A heavier item goes alone. */
  maxWeight?: number;
}

interface Waiting<Item, Answer> {
  item: Item;
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

export class Group<Item, Answer> {
  readonly #run: Run<Item, Answer>;
  readonly #limits: GroupLimits<Item>;
  #waiting: Waiting<Item, Answer>[] = [];
  #draining = false;

  constructor(run: Run<Item, Answer>, limits: GroupLimits<Item>) {
    this.#run = run;
    this.#limits = limits;
  }

  /** Adds an item to the next batch. Rejects with the item's own error, or with that of its batch. */
  add(item: Item): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      if (!this.#draining) this.#drain();
    });
  }

  async #drain(): Promise<void> {
    this.#draining = true;
    // All requests that arrive in one pass of the event loop form one batch.
    await new Promise(setImmediate);
    while (this.#waiting.length > 0) {
      const batch = this.#nextBatch();
      try {
        const answers = await this.#run(batch.map(({ item }) => item));
        for (const [i, { resolve, reject }] of batch.entries()) {
          const answer = answers[i]!;
          if (answer instanceof Error) reject(answer);
          else resolve(answer);
        }
      } catch (error) {
        for (const { reject } of batch) reject(error as Error);
      }
    }
    this.#draining = false;
  }

  #nextBatch(): Waiting<Item, Answer>[] {
    const { maxItems, weigh = () => 0, maxWeight = 0 } = this.#limits;
    let weight = 0;
    let size = 0;
    while (size < this.#waiting.length && size < maxItems) {
      weight += weigh(this.#waiting[size]!.item);
      if (size > 0 && weight > maxWeight) break;
      size++;
    }
    return this.#waiting.splice(0, size);
  }
}
