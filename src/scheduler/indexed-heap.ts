// A binary heap that knows the index of each item. An item can be removed, or moved after its key changed, in O(log n).

export class IndexedHeap<T extends object> {
  readonly #before: (a: T, b: T) => boolean;
  readonly #items: T[] = [];
  readonly #indexes = new Map<T, number>();

  constructor(before: (a: T, b: T) => boolean) {
    this.#before = before;
  }

  get size(): number {
    return this.#items.length;
  }

  has(item: T): boolean {
    return this.#indexes.has(item);
  }

  peek(): T | undefined {
    return this.#items[0];
  }

  values(): readonly T[] {
    return this.#items;
  }

  push(item: T): void {
    this.#items.push(item);
    this.#indexes.set(item, this.#items.length - 1);
    this.#up(this.#items.length - 1);
  }

  pop(): T | undefined {
    const top = this.#items[0];
    if (top) this.delete(top);
    return top;
  }

  delete(item: T): boolean {
    const index = this.#indexes.get(item);
    if (index === undefined) return false;
    this.#indexes.delete(item);
    const last = this.#items.pop()!;
    if (last !== item) {
      this.#items[index] = last;
      this.#indexes.set(last, index);
      this.#up(index);
      this.#down(this.#indexes.get(last)!);
    }
    return true;
  }

  /** Moves an item after its key changed. */
  update(item: T): void {
    const index = this.#indexes.get(item);
    if (index === undefined) return;
    this.#up(index);
    this.#down(this.#indexes.get(item)!);
  }

  #up(index: number): void {
    const item = this.#items[index]!;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = this.#items[parent]!;
      if (!this.#before(item, above)) break;
      this.#set(index, above);
      index = parent;
    }
    this.#set(index, item);
  }

  #down(index: number): void {
    const item = this.#items[index]!;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= this.#items.length) break;
      if (child + 1 < this.#items.length && this.#before(this.#items[child + 1]!, this.#items[child]!)) child += 1;
      const below = this.#items[child]!;
      if (!this.#before(below, item)) break;
      this.#set(index, below);
      index = child;
    }
    this.#set(index, item);
  }

  #set(index: number, item: T): void {
    this.#items[index] = item;
    this.#indexes.set(item, index);
  }
}
