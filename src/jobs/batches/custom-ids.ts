// The custom_ids of a file that have been seen, for a million of them in 40 MB: of each only a hash of 96 bits and its
// line are kept, in flat memory. That two different ones have the same hash happens once in 10^17 files of a million.
import { createHash } from "node:crypto";

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
   * Remembers an id.
   * @param line counts from 1
   * @returns the line that has it already
   */
  add(customId: string, line: number): number | undefined {
    if (this.#size * 2 >= this.#capacity) this.#grow();
    const digest = createHash("sha1").update(customId).digest();
    const entry = [digest.readUInt32LE(0), digest.readUInt32LE(4), digest.readUInt32LE(8), line] as const;
    const at = this.#find(entry[0], entry[1], entry[2]);
    const before = this.#table[at + 3]!;
    if (before !== 0) return before;
    this.#table.set(entry, at);
    this.#size++;
    return undefined;
  }

  /** Where the hash stands, or the free place where it belongs. */
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
