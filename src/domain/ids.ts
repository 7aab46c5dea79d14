// Ids are UUIDv7: unique without a coordinator, and sorting them sorts by time of submission.
import { v4, v7, validate } from "uuid";

/** A job's id: a UUID in lower case. New ones are UUIDv7; imported ones may be of any version. */
export type JobId = string;

/** A new job id. Ids made by one process increase strictly, even within a millisecond. */
export function newJobId(): JobId {
  return v7();
}

/** An unguessable token: the fence of one grant. */
export function newToken(): string {
  return v4();
}

/** Whether the text is a UUID of any version, in either case. */
export function isUuid(text: string): boolean {
  return validate(text);
}
