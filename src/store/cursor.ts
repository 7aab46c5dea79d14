// Cursors of pages: the key of the last item on a page, opaque to the caller that returns it. A key instead of an
// offset, so that jobs which arrive or end in between move nothing.
import { SluiceError } from "../domain/errors.ts";

export interface Page<T> {
  /**
   * The items, at most as many as requested. There may be fewer, even none, although there are more: only `next` tells.
   */
  items: T[];
  /** Opaque cursor of the next page. Absent on the last page. */
  next?: string;
}

/** Reads pages from the first to the last, each on demand. */
export async function* pagesOf<T>(read: (cursor: string | undefined) => Promise<Page<T>>): AsyncGenerator<T[]> {
  let cursor: string | undefined;
  do {
    const page = await read(cursor);
    yield page.items;
    cursor = page.next;
  } while (cursor !== undefined);
}

/** A time in milliseconds, then values that break ties. */
export type CursorKey = readonly [time: number, ...rest: (string | number)[]];

export function encodeCursor(key: CursorKey): string {
  return Buffer.from(JSON.stringify(key)).toString("base64url");
}

/**
 * Returns the key in a cursor that a caller passed.
 * @param example a key with the expected types
 * @throws SluiceError `invalid_request` for anything that `encodeCursor` did not return
 */
export function decodeCursor<Key extends CursorKey>(cursor: string, example: Key): Key {
  try {
    const key: unknown = JSON.parse(Buffer.from(cursor, "base64url").toString());
    const fits =
      Array.isArray(key) && key.length === example.length && example.every((part, i) => typeof part === typeof key[i]);
    if (fits) return key as unknown as Key;
  } catch {
    // Not JSON: refused below like any other text.
  }
  throw new SluiceError("invalid_request", "cursor must be the next_cursor of an earlier response.", {
    field: "cursor",
  });
}

/**
 * Checks a page size.
 * @throws SluiceError `invalid_request`
 */
export function checkLimit(limit: number, max: number): void {
  if (Number.isInteger(limit) && limit >= 1 && limit <= max) return;
  throw new SluiceError("invalid_request", `limit must be a whole number from 1 to ${max}; got ${limit}.`, {
    field: "limit",
  });
}
