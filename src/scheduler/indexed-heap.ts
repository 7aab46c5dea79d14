// A binary heap that knows the index of each item. An item can be removed, or moved after its key changed, in O(log n).

export class IndexedHeap<T extends object> {
  readonly #before: (a: T, b: T) => boolean;
  readonly #items: T[] = [];
  readonly #places = new Map<T, number>();

  constructor(before: (a: T, b: T) => boolean) {
    this.#before = before;
  }

  get size(): number {
    return this.#items.length;
  }

  has(item: T): boolean {
    return this.#places.has(item);
  }

  peek(): T | undefined {
    return this.#items[0];
  }

  values(): readonly T[] {
    return this.#items;
  }

  push(item: T): void {
    this.#items.push(item);
    this.#places.set(item, this.#items.length - 1);
    this.#up(this.#items.length - 1);
  }

  pop(): T | undefined {
    const top = this.#items[0];
    if (top) this.delete(top);
    return top;
  }

  delete(item: T): boolean {
    const place = this.#places.get(item);
    if (place === undefined) return false;
    this.#places.delete(item);
    const last = this.#items.pop()!;
    if (last !== item) {
      this.#items[place] = last;
      this.#places.set(last, place);
      this.#up(place);
      this.#down(this.#places.get(last)!);
    }
    return true;
  }

  /** Moves an item after its key changed. */
  update(item: T): void {
    const place = this.#places.get(item);
    if (place === undefined) return;
    this.#up(place);
    this.#down(this.#places.get(item)!);
  }

  #up(place: number): void {
    const item = this.#items[place]!;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      const above = this.#items[parent]!;
      if (!this.#before(item, above)) break;
      this.#set(place, above);
      place = parent;
    }
    this.#set(place, item);
  }

  #down(place: number): void {
    const item = this.#items[place]!;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= this.#items.length) break;
      if (child + 1 < this.#items.length && this.#before(this.#items[child + 1]!, this.#items[child]!)) child += 1;
      const below = this.#items[child]!;
      if (!this.#before(below, item)) break;
      this.#set(place, below);
      place = child;
    }
    this.#set(place, item);
  }

  #set(place: number, item: T): void {
    this.#items[place] = item;
    this.#places.set(item, place);
  }
}
