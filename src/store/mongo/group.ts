// Group commit: one batch runs at a time, and all that arrives while it runs goes into the next one. Under load a round
// trip and a journal write are shared by hundreds of callers; alone, a caller waits for nobody.

/** The answers to a batch, in the order of its items. An Error is the answer of that item alone. */
type Run<Item, Answer> = (items: Item[]) => Promise<(Answer | Error)[]>;

interface GroupLimits<Item> {
  maxItems: number;
  /** Weight of an item, and how much a batch may weigh; an item that is heavier goes alone. */
  weigh?: (item: Item) => number;
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

  /** Rejects with the item's own error, or with that of its batch. */
  add(item: Item): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      if (!this.#draining) this.#drain();
    });
  }

  async #drain(): Promise<void> {
    this.#draining = true;
    // All requests that came in with one round of the event loop are one batch.
    await new Promise(setImmediate);
    while (this.#waiting.length > 0) {
      const batch = this.#take();
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

  #take(): Waiting<Item, Answer>[] {
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
