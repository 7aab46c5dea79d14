// Makes ids: UUIDv7, unique without a coordinator. Sorting ids sorts by time of submission.
import { randomFillSync } from "node:crypto";
import { v4, v7, validate } from "uuid";

/** Id of a job: a UUID in lower case. New ids are UUIDv7. Imported ids may have any version. */
export type JobId = string;

/** Makes a new job id. Ids from one process increase strictly, even within a millisecond. */
export function newJobId(): JobId {
  const random = nextRandom();
  const now = Date.now();
  if (now > latest.msecs) {
    latest.msecs = now;
    // Starts in the lower half of the range, so the counter has room to count up.
    latest.seq = (random[6]! << 23) | (random[7]! << 16) | (random[8]! << 8) | random[9]!;
  } else if (++latest.seq > 0xffffffff) {
    latest.msecs++;
    latest.seq = 0;
  }
  return v7({ msecs: latest.msecs, seq: latest.seq, random });
}

const latest = { msecs: 0, seq: 0 };

/**
 * Random bytes for 256 ids. The library draws 16 bytes for each id, which took a seventh of the time of a whole submit.
 */
const pool = new Uint8Array(16 * 256);
let poolUsed = pool.length;

function nextRandom(): Uint8Array {
  if (poolUsed === pool.length) {
    randomFillSync(pool);
    poolUsed = 0;
  }
  poolUsed += 16;
  return pool.subarray(poolUsed - 16, poolUsed);
}

/** Makes an unguessable token: the fence of one grant. */
export function newToken(): string {
  return v4();
}

/** Whether the text is a UUID of any version, in either case. */
export function isUuid(text: string): boolean {
  return validate(text);
}
