// Keys in the order in which jobs were submitted: where a page begins and where it ends.
import { decodeCursor } from "../cursor.ts";
import type { JobKey } from "./protocol.ts";

/** Sort before and after every key in the order of submission. */
export const firstKey: JobKey = [Number.MIN_SAFE_INTEGER, ""];
export const lastKey: JobKey = [Number.MAX_SAFE_INTEGER, ""];

export function startOf(time: number | undefined): JobKey | undefined {
  return time === undefined ? undefined : [time, ""];
}

export function cursorKey(cursor: string | undefined): JobKey | undefined {
  return cursor === undefined ? undefined : decodeCursor(cursor, firstKey);
}

export function earlier(a: JobKey, b: JobKey): JobKey {
  return a[0] < b[0] || (a[0] === b[0] && a[1] < b[1]) ? a : b;
}

export function later(a: JobKey, b: JobKey): JobKey {
  return earlier(a, b) === a ? b : a;
}
