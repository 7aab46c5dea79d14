// A queue sorted by (order, jobId). Jobs nearly always arrive in order and leave at the front, and a job that comes
// back after a throttle belongs at the front. All three are O(1); other positions are found by binary search. `remove`
// marks an item. Marked items are skipped, and removed when they are half of what is stored.

/** Within this distance of the front, an insertion moves the items before it rather than all behind it. */
const nearFront = 512;

export interface Ordered {
  readonly order: number;
  readonly jobId: string;
}

export function comesBefore(a: Ordered, b: Ordered): boolean {
  return a.order < b.order || (a.order === b.order && a.jobId < b.jobId);
}

export class SortedQueue<T extends Ordered> {
  #items: (T | undefined)[] = [];
  #head = 0;
  readonly #removed = new Set<T>();

  get size(): number {
    return this.#items.length - this.#head - this.#removed.size;
  }

  peek(): T | undefined {
    for (;;) {
      const first = this.#items[this.#head];
      if (first === undefined || !this.#removed.delete(first)) return first;
      this.#advance();
    }
  }

  shift(): T | undefined {
    const first = this.peek();
    if (first !== undefined) this.#advance();
    return first;
  }

  push(item: T): void {
    if (this.#removed.delete(item)) return;
    const items = this.#items;
    const last = items[items.length - 1];
    if (items.length === this.#head || comesBefore(last!, item)) {
      items.push(item);
      return;
    }
    if (this.#head > 0 && comesBefore(item, items[this.#head]!)) {
      this.#head -= 1;
      items[this.#head] = item;
      return;
    }
    const index = this.#indexOf(item);
    if (this.#head > 0 && index - this.#head < nearFront) {
      items.copyWithin(this.#head - 1, this.#head, index);
      this.#head -= 1;
      items[index - 1] = item;
    } else {
      items.splice(index, 0, item);
    }
  }

  /** Removes an item that is in the queue. */
  remove(item: T): void {
    this.#removed.add(item);
    if (this.size === 0) {
      this.#items = [];
      this.#head = 0;
      this.#removed.clear();
    } else if (this.#removed.size > 64 && this.#removed.size * 2 > this.#items.length - this.#head) {
      this.#items = this.#items.slice(this.#head).filter((i) => !this.#removed.has(i!));
      this.#head = 0;
      this.#removed.clear();
    }
  }

  /** Returns how many items precede this one. Counts items that were removed but not swept yet. */
  rank(item: T): number {
    return this.#indexOf(item) - this.#head;
  }

  /** Returns the first items, at most `limit` of them. */
  first(limit: number): T[] {
    const found: T[] = [];
    for (let i = this.#head; i < this.#items.length && found.length < limit; i++) {
      const item = this.#items[i]!;
      if (!this.#removed.has(item)) found.push(item);
    }
    return found;
  }

  *[Symbol.iterator](): Iterator<T> {
    for (let i = this.#head; i < this.#items.length; i++) {
      const item = this.#items[i]!;
      if (!this.#removed.has(item)) yield item;
    }
  }

  #advance(): void {
    this.#items[this.#head] = undefined;
    this.#head += 1;
    if (this.#head === this.#items.length) {
      this.#items = [];
      this.#head = 0;
    } else if (this.#head > 4096 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
  }

  #indexOf(item: T): number {
    let low = this.#head;
    let high = this.#items.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (comesBefore(this.#items[middle]!, item)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
