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
import type { JobStore } from "../../store/job-store.ts";
import type { RecordPlace, RecordStore, StoredRecord } from "../../store/record-store.ts";
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
  environment: string;
  claim: Amounts;
}

export function usageIn(environment: string): RecordPlace {
  return { collection: "usage", environment };
}

export const reservationId = (jobId: JobId) => `open/${jobId}`;
export const spendingId = (jobId: JobId) => `spent/${jobId}`;
export const batchReservationId = (batchId: BatchId) => `held/${batchId}`;

/** Returns the id of the job or the batch that a record is about. */
export function subjectOf(recordId: string): string {
  return recordId.slice(recordId.indexOf("/") + 1);
}

export function reservationRecord(jobId: JobId, value: ReservationRecord): StoredRecord {
  return { id: reservationId(jobId), order: `key-open/${value.keyId}/${jobId}`, value };
}

export function newReservation(keyId: string, { id, batchId }: LimitedJob, claim: Amounts, at: number): StoredRecord {
  return reservationRecord(id, { keyId, claim, at, ...(batchId !== undefined && { batchId }) });
}

export function spendingRecord(
  { keyId, batchId, claim }: ReservationRecord,
  jobId: JobId,
  day: string,
  used: Amounts,
): StoredRecord {
  const value: SpendingRecord = { day, claim: used, ...(batchId !== undefined && { line: { batchId, claim } }) };
  return { id: spendingId(jobId), order: `key-spent/${keyId}/${day}/${jobId}`, value };
}

export function batchReservation(keyId: string, batchId: BatchId, value: BatchReservationRecord): StoredRecord {
  return { id: batchReservationId(batchId), order: `key-held/${keyId}/${batchId}`, value };
}

/** Returns what a reservation counts until its job has ended. */
export function countedOf({ claim, used, ended }: ReservationRecord): Amounts {
  if (ended) return nothing;
  return used ? plus(claim, { ...used, jobs: 0 }) : claim;
}

interface RecordRange {
  from: string;
  to: string;
}

export function reservationsOf(keyId: string): RecordRange {
  return { from: `key-open/${keyId}/`, to: `key-open/${keyId}/~` };
}

export function batchReservationsOf(keyId: string): RecordRange {
  return { from: `key-held/${keyId}/`, to: `key-held/${keyId}/~` };
}

/** @param day any day of the month, as YYYY-MM-DD */
function spendingOfMonth(keyId: string, day: string): RecordRange {
  const month = `key-spent/${keyId}/${day.slice(0, 7)}`;
  return { from: month, to: `${month}~` };
}

/** Returns the range of spending that no limit counts any more: before the month before that of the day. */
export function outdatedSpending(keyId: string, day: string): RecordRange {
  const [year, month] = day.split("-").map(Number) as [number, number];
  const before = new Date(Date.UTC(year, month - 2, 1)).toISOString().slice(0, 7);
  return { from: `key-spent/${keyId}/`, to: `key-spent/${keyId}/${before}` };
}

/**
 * Reads what counts against the limits of a key in this month. What moves from one kind of record to the next meanwhile
 * counts twice until the next read, and never not at all: batches are read before lines, reservations before spending.
 */
export async function readSums(
  { store: { records }, settings, clock }: { store: Pick<JobStore, "records">; settings: Settings; clock: Clock },
  keyId: string,
): Promise<KeySums> {
  const sums = new KeySums();
  const places = Object.keys(settings.environments).map(usageIn);
  for (const place of places) {
    for await (const { id, value } of listAll(records, place, batchReservationsOf(keyId))) {
      sums.reserveBatch(subjectOf(id), (value as BatchReservationRecord).claim);
    }
  }
  for (const place of places) {
    for await (const { id: recordId, value } of listAll(records, place, reservationsOf(keyId))) {
      const { claim, batchId } = value as ReservationRecord;
      const id = subjectOf(recordId);
      sums.reserve({ id, batchId }, claim);
      sums.settle(id, countedOf(value as ReservationRecord));
    }
    for await (const { id, value } of listAll(records, place, spendingOfMonth(keyId, dayOf(clock.wall())))) {
      const { day, claim, line } = value as SpendingRecord;
      sums.spend(day, claim);
      if (line) sums.takeShare({ id: subjectOf(id), batchId: line.batchId }, line.claim);
    }
  }
  return sums;
}

async function* listAll(records: RecordStore, place: RecordPlace, range: RecordRange): AsyncIterable<StoredRecord> {
  let cursor: string | undefined;
  do {
    const page = await records.list(place, { ...range, limit: pageSize, cursor });
    yield* page.items;
    cursor = page.next;
  } while (cursor !== undefined);
}

/** Returns the UTC day of a time in milliseconds since the epoch, as YYYY-MM-DD. */
export function dayOf(at: number): string {
  return new Date(at).toISOString().slice(0, 10);
}
