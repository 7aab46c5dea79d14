// The records about the limits of keys, in the collection `usage` of each environment:
//
//   open/{job}    what the job reserves; written before the job, removed when its real usage is known
//   spent/{job}   what the calls of a job that has ended used; the first one that is written counts
//   held/{batch}  what all lines of a batch reserve together; unchanged until all of them are jobs
//
// Each is an insert under an id that the job or batch decides, so repeating it changes nothing.
import type { Settings } from "../../config/settings.ts";
import type { BatchId } from "../../domain/batch.ts";
import type { Clock } from "../../domain/clock.ts";
import type { JobId } from "../../domain/ids.ts";
import { environmentCollection, type HasRecords, type NewRecord, type Range } from "../../store/collection.ts";
import type { BatchTotal } from "../job-limits.ts";
import { type Amounts, type LimitedJob, nothing, plus } from "../reservation.ts";
import { KeySums } from "./key-sums.ts";

const pageSize = 1000;

export interface ReservationRecord {
  keyId: string;
  /** What was reserved for one call of the job. */
  claim: Amounts;
  /** When it was reserved; milliseconds since the epoch. */
  at: number;
  /** The batch of a line. */
  batchId?: BatchId;
  /** What calls of the job have used; counts in addition to what is reserved for the next one. */
  used?: Amounts;
  /** The job has ended and counts as spent; the record stays until the usage of its last call is known. */
  ended?: true;
}

export interface SpendingRecord {
  day: string;
  claim: Amounts;
  /** What a line of a batch had reserved. */
  line?: { batchId: BatchId; claim: Amounts };
}

export interface BatchReservationRecord {
  /** For processes of earlier versions. */
  environment: string;
  claim: Amounts;
}

/** Reservations, by the id of the job. */
export const reservations = environmentCollection<ReservationRecord>({
  stored: "usage",
  id: "open/*",
  order: "key-open/",
});

/** What jobs have used, by the id of the job. */
export const spending = environmentCollection<SpendingRecord>({ stored: "usage", id: "spent/*", order: "key-spent/" });

/** Reservations of batches, by the id of the batch. */
export const batchReservations = environmentCollection<BatchReservationRecord>({
  stored: "usage",
  id: "held/*",
  order: "key-held/",
});

/** Returns the range of the reservations, or of the reservations of batches, of a key. */
export const ofKey = (keyId: string): Range => ({ prefix: `${keyId}/` });

export function reservationRecord(jobId: JobId, value: ReservationRecord): NewRecord<ReservationRecord> {
  return { id: jobId, order: `${value.keyId}/${jobId}`, value };
}

export function newReservation(
  keyId: string,
  { id, batchId }: LimitedJob,
  claim: Amounts,
  at: number,
): NewRecord<ReservationRecord> {
  return reservationRecord(id, { keyId, claim, at, ...(batchId !== undefined && { batchId }) });
}

export function spendingRecord(
  { keyId, batchId, claim }: ReservationRecord,
  jobId: JobId,
  day: string,
  used: Amounts,
): NewRecord<SpendingRecord> {
  const value = { day, claim: used, ...(batchId !== undefined && { line: { batchId, claim } }) };
  return { id: jobId, order: `${keyId}/${day}/${jobId}`, value };
}

export function batchReservation(
  keyId: string,
  { id, environment, total }: BatchTotal,
): NewRecord<BatchReservationRecord> {
  return { id, order: `${keyId}/${id}`, value: { environment, claim: total } };
}

/** Returns what a reservation counts until its job has ended. */
export function countedOf({ claim, used, ended }: ReservationRecord): Amounts {
  if (ended) return nothing;
  return used ? plus(claim, { ...used, jobs: 0 }) : claim;
}

/** Returns the range of spending that no limit counts any more: before the month before that of the day. */
export function outdatedSpending(keyId: string, day: string): Range {
  const [year, month] = day.split("-").map(Number) as [number, number];
  const before = new Date(Date.UTC(year, month - 2, 1)).toISOString().slice(0, 7);
  return { prefix: `${keyId}/`, before };
}

/**
 * Reads what counts against the limits of a key in this month. What moves from one kind of record to the next meanwhile
 * counts twice until the next read, and never not at all: batches are read before lines, reservations before spending.
 */
export async function readSums(
  { store, settings, clock }: { store: HasRecords; settings: Settings; clock: Clock },
  keyId: string,
): Promise<KeySums> {
  const sums = new KeySums();
  const environments = Object.keys(settings.environments);
  for (const environment of environments) {
    for await (const { id, value } of batchReservations(store, environment).all(ofKey(keyId), pageSize)) {
      sums.reserveBatch(id, value.claim);
    }
  }
  // Any day of the month has this prefix.
  const month: Range = { prefix: `${keyId}/${dayOf(clock.wall()).slice(0, 7)}` };
  for (const environment of environments) {
    for await (const { id, value } of reservations(store, environment).all(ofKey(keyId), pageSize)) {
      sums.reserve({ id, batchId: value.batchId }, value.claim);
      sums.settle(id, countedOf(value));
    }
    for await (const { id, value } of spending(store, environment).all(month, pageSize)) {
      const { day, claim, line } = value;
      sums.spend(day, claim);
      if (line) sums.takeShare({ id, batchId: line.batchId }, line.claim);
    }
  }
  return sums;
}

/** Returns the UTC day of a time in milliseconds since the epoch, as YYYY-MM-DD. */
export function dayOf(at: number): string {
  return new Date(at).toISOString().slice(0, 10);
}
