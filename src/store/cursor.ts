// Cursors of pages: the key of the last item that was given out, opaque to whoever hands it back. A key instead of an
// offset, so that jobs which arrive or end in between move nothing.
import { SluiceError } from "../domain/errors.ts";

export interface Page<T> {
  /** At most as many as asked for. May be fewer, even none, although there are more: only `next` tells. */
  items: T[];
  /** Give it back to get the next page; absent on the last one. Opaque. */
  next?: string;
}

/** Reads pages from the first to the last, each when it is asked for. */
export async function* pagesOf<T>(read: (cursor: string | undefined) => Promise<Page<T>>): AsyncGenerator<T[]> {
  let cursor: string | undefined;
  do {
    const page = await read(cursor);
    yield page.items;
    cursor = page.next;
  } while (cursor !== undefined);
}

/** A time in milliseconds, then whatever breaks ties. */
export type CursorKey = readonly [time: number, ...rest: (string | number)[]];

export function encodeCursor(key: CursorKey): string {
  return Buffer.from(JSON.stringify(key)).toString("base64url");
}

/**
 * The key in a cursor that came back from outside.
 * @param example a key with the types that are expected
 * @throws SluiceError `invalid_request` for anything that `encodeCursor` did not make
 */
export function decodeCursor<Key extends CursorKey>(cursor: string, example: Key): Key {
  try {
    const key: unknown = JSON.parse(Buffer.from(cursor, "base64url").toString());
    const fits =
      Array.isArray(key) && key.length === example.length && example.every((part, i) => typeof part === typeof key[i]);
    if (fits) return key as unknown as Key;
  } catch {
    // Not JSON: refused below like every other text.
  }
  throw new SluiceError("invalid_request", "cursor must be the next_cursor of an earlier response.", {
    field: "cursor",
  });
}

/** @throws SluiceError `invalid_request` */
export function checkLimit(limit: number, max: number): void {
  if (Number.isInteger(limit) && limit >= 1 && limit <= max) return;
  throw new SluiceError("invalid_request", `limit must be a whole number from 1 to ${max}; got ${limit}.`, {
    field: "limit",
  });
}
