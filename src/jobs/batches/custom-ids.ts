// Detects duplicate custom_ids in a file, for a million of them in 40 MB. It keeps only a hash of 96 bits and the line
// of each, in flat memory. Two different ids have the same hash once in 10^17 files of a million lines. A cryptographic
// hash took as long as all other work on a line's JSON. A collision can only cause the refusal of the caller's own
// file.

/** Numbers for each entry: three of the hash, one for the line. */
const width = 4;

export class CustomIds {
  #capacity: number;
  #table: Uint32Array;
  #size = 0;

  constructor(capacity = 1024) {
    this.#capacity = capacity;
    this.#table = new Uint32Array(capacity * width);
  }

  /**
   * Adds an id.
   * @param line counts from 1
   * @returns the line that already has the id, or undefined
   */
  add(customId: string, line: number): number | undefined {
    if (this.#size * 2 >= this.#capacity) this.#grow();
    let [a, b, c] = [0x9e3779b9, 0x243f6a88, 0xb7e15162];
    for (let i = 0; i < customId.length; i++) {
      const unit = customId.charCodeAt(i);
      a = Math.imul(a ^ unit, 0x85ebca6b) ^ (b >>> 13);
      b = Math.imul(b ^ unit, 0xc2b2ae35) ^ (c >>> 17);
      c = Math.imul(c ^ unit, 0x27d4eb2f) ^ (a >>> 15);
    }
    return this.#add(mix(a ^ customId.length), mix(b + a), mix(c + b), line);
  }

  #add(a: number, b: number, c: number, line: number): number | undefined {
    const at = this.#find(a, b, c);
    const before = this.#table[at + 3]!;
    if (before !== 0) return before;
    this.#table[at] = a;
    this.#table[at + 1] = b;
    this.#table[at + 2] = c;
    this.#table[at + 3] = line;
    this.#size++;
    return undefined;
  }

  /** Returns the place of the hash, or the free place where it belongs. */
  #find(a: number, b: number, c: number): number {
    const table = this.#table;
    for (let place = a % this.#capacity; ; place = (place + 1) % this.#capacity) {
      const at = place * width;
      if (table[at + 3] === 0) return at;
      if (table[at] === a && table[at + 1] === b && table[at + 2] === c) return at;
    }
  }

  #grow(): void {
    const old = this.#table;
    this.#capacity *= 2;
    this.#table = new Uint32Array(this.#capacity * width);
    for (let at = 0; at < old.length; at += width) {
      if (old[at + 3] !== 0)
        this.#table.set(old.subarray(at, at + width), this.#find(old[at]!, old[at + 1]!, old[at + 2]!));
    }
  }
}

/** Spreads a difference of a few bits over all bits (the last steps of MurmurHash3). */
function mix(bits: number): number {
  let h = bits ^ (bits >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
