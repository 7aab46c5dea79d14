// Splits a stream of bytes into lines of JSON text. It keeps at most one line in memory, and nothing of a line that is
// too long.
import { isUtf8 } from "node:buffer";
import { setImmediate as nextTurn } from "node:timers/promises";

export interface JsonLine {
  /** Line number from 1. Like in editors, blank lines count. */
  number: number;
  /** Absent if the line cannot be read. */
  text?: string;
  problem?: "too_long" | "not_utf8";
}

/**
 * Bytes between yields to the event loop. That is a few hundred lines of usual length, which take some milliseconds to
 * check.
 */
const sliceBytes = 64 * 1024;
const newline = 0x0a;
const byteOrderMark = Buffer.of(0xef, 0xbb, 0xbf);

/**
 * Yields the lines that are not blank, some at a time. Lines end with LF or CRLF; the last one needs no ending. Skips a
 * byte order mark at the start.
 */
export async function* jsonLines(bytes: AsyncIterable<Uint8Array>, maxLineBytes: number): AsyncIterable<JsonLine[]> {
  let number = 0;
  /** The beginning of an incomplete line, and its length. */
  let held: Buffer[] = [];
  let heldBytes = 0;

  const take = (last: Buffer): JsonLine | undefined => {
    number++;
    const length = heldBytes + last.length;
    const line = held.length === 0 ? last : Buffer.concat([...held, last]);
    held = [];
    heldBytes = 0;
    if (length > maxLineBytes) return { number, problem: "too_long" };
    const content = number === 1 && line.subarray(0, 3).equals(byteOrderMark) ? line.subarray(3) : line;
    if (isBlank(content)) return undefined;
    if (!isUtf8(content)) return { number, problem: "not_utf8" };
    return { number, text: content.toString() };
  };

  for await (const chunk of slices(bytes)) {
    const lines: JsonLine[] = [];
    let start = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      const line = take(chunk.subarray(start, end));
      if (line) lines.push(line);
      start = end + 1;
    }
    if (start < chunk.length) {
      const rest = chunk.subarray(start);
      heldBytes += rest.length;
      // Copied, because the sender may reuse the memory of its chunks. A line that is too long is only measured.
      if (heldBytes <= maxLineBytes) held.push(Buffer.from(rest));
      else held = [];
    }
    if (lines.length > 0) yield lines;
  }
  if (heldBytes > 0) {
    const line = take(Buffer.alloc(0));
    if (line) yield [line];
  }
}

async function* slices(bytes: AsyncIterable<Uint8Array>): AsyncIterable<Buffer> {
  for await (const some of bytes) {
    const all = Buffer.from(some.buffer, some.byteOffset, some.byteLength);
    for (let from = 0; from < all.length; from += sliceBytes) {
      yield all.subarray(from, from + sliceBytes);
      await nextTurn();
    }
  }
}

function isBlank(line: Buffer): boolean {
  for (const byte of line) if (byte !== 0x20 && byte !== 0x0d && byte !== 0x09) return false;
  return true;
}
