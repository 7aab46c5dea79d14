// Generates numbers that look random and are the same on every run.
import { crc32 } from "node:zlib";

/**
 * Returns a generator of numbers from 0 up to, not including, 1. The same seed gives the same sequence (mulberry32).
 */
export function randomNumbers(seed: string): () => number {
  let state = crc32(seed);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
