// The port to the small records of the service: API keys, idempotency keys, batches, files, deliveries, usage. They are
// in named collections, each record under a unique id, and are listed in the order of a text that the writer chooses.
// Only the use cases know what they mean.
//
// As for jobs, every decision is an insert and the first one wins. `put` is for records with only one writer, or where
// any last write is correct. A promise that resolves means that the write survives a crash. Every adapter runs the
// conformance suite in test/store/conformance/records.ts.
import type { Page } from "./cursor.ts";

/** Collections of the service itself, in the database `sluice`. */
export const serviceCollections = [
  "api_keys",
  "idempotency_keys",
  "controls",
  "webhook_secrets",
  "audit",
  "history",
  "sessions",
] as const;
/** Collections of one environment, in the database of its jobs. */
export const environmentCollections = ["batches", "files", "deliveries", "usage", "ephemeral", "vectors"] as const;

export type ServiceCollection = (typeof serviceCollections)[number];
export type EnvironmentCollection = (typeof environmentCollections)[number];

/**
 * The collection of a record. Environments that share a database share their collections; collection.ts separates them.
 */
export type RecordPlace =
  | { collection: ServiceCollection }
  | { collection: EnvironmentCollection; environment: string };

export interface StoredRecord {
  /** Unique in its collection. 1 to 500 printable ASCII characters without spaces, like `order`. */
  id: string;
  /** Sorts lists, compared byte by byte. Default: the id. */
  order?: string;
  /** Any JSON value. */
  value: unknown;
}

export interface RecordQuery {
  /** Lowest `order`, included. */
  from?: string;
  /** Highest `order`, not included. */
  to?: string;
  /** 1 to 1,000. */
  limit: number;
  cursor?: string;
  /** Lists the highest `order` first. Default: false. */
  descending?: boolean;
}

export interface RecordStore {
  /** Writes records whose id is free. Returns one answer for each, in the order of the argument. */
  insert(place: RecordPlace, records: readonly StoredRecord[]): Promise<("inserted" | "exists")[]>;
  /** Writes a record. Replaces the one with its id, if there is one. */
  put(place: RecordPlace, record: StoredRecord): Promise<void>;
  /** Returns the existing records among at most 1,000 ids, by id. */
  get(place: RecordPlace, ids: readonly string[]): Promise<Map<string, StoredRecord>>;
  /** Returns one page, sorted by (`order`, `id`). */
  list(place: RecordPlace, query: RecordQuery): Promise<Page<StoredRecord>>;
  /** Removes records. Ids that do not exist are no error. */
  remove(place: RecordPlace, ids: readonly string[]): Promise<void>;
}

const allowed = /^[\x21-\x7e]{1,500}$/;

/**
 * Checks ids and orders before they are written.
 * @throws RangeError for an id or order that an adapter could not store unchanged: a programming error of the caller
 */
export function checkRecordKeys(records: readonly Pick<StoredRecord, "id" | "order">[]): void {
  for (const { id, order = id } of records) {
    if (!allowed.test(id) || !allowed.test(order)) {
      throw new RangeError(`"${id}" in the order "${order}" cannot be the key of a record.`);
    }
  }
}
