// Tells quickly whether a value is large, without printing it as JSON.

/**
 * Returns whether a JSON value is longer than a number of bytes. Counts strings in UTF-8, and roughly what JSON adds to
 * them. Escapes do not count: they can make the JSON six times as long.
 */
export function isLongerThan(value: unknown, bytes: number): boolean {
  return leftAfter(value, bytes) < 0;
}

/** Returns what is left of a number of bytes after a value, or any negative number if it does not suffice. */
function leftAfter(value: unknown, bytes: number): number {
  if (typeof value === "string") {
    // A unit of UTF-16 takes one to three bytes.
    return value.length > bytes || value.length * 3 <= bytes ? bytes - value.length : bytes - Buffer.byteLength(value);
  }
  if (typeof value !== "object" || value === null) return bytes - scalarBytes;
  let left = bytes;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length && left >= 0; i++) left = leftAfter(value[i], left - 1);
    return left;
  }
  for (const key in value) {
    left = leftAfter((value as Record<string, unknown>)[key], left - key.length - quotes);
    if (left < 0) break;
  }
  return left;
}

/** A number or a literal with its comma, and the quotes and the colon of a key. */
const scalarBytes = 8;
const quotes = 4;
