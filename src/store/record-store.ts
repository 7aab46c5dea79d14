// The port to the small records of the service: API keys, idempotency keys, batches, files, deliveries, usage. They
// stand in named collections, each record under a unique id, and can be read in the order of a text of the writer's
// choice. What they mean is up to the use cases; this is only where they are kept.
//
// As for jobs, every decision is an insert and the first one wins. `put` is for what only one writer changes, or where
// the last word is as good as any. A promise that resolves means that the write survives a crash.
// Held to its word by test/store/conformance/records.ts, which every adapter runs.
import type { Page } from "./cursor.ts";

/** Of the service itself: in the database `sluice`. */
export const serviceCollections = ["api_keys", "idempotency_keys", "controls", "webhook_secrets"] as const;
/** Of one environment: in the database of its jobs. */
export const environmentCollections = ["batches", "files", "deliveries", "usage", "ephemeral"] as const;

export type ServiceCollection = (typeof serviceCollections)[number];
export type EnvironmentCollection = (typeof environmentCollections)[number];

/** Where records are. Environments that share a database share their collections; collection.ts keeps them apart. */
export type RecordPlace =
  | { collection: ServiceCollection }
  | { collection: EnvironmentCollection; environment: string };

export interface StoredRecord {
  /** Unique in its collection. 1 to 500 printable ASCII characters without spaces, like `order`. */
  id: string;
  /** Decides the place in a list; the id if absent. Compared byte by byte. */
  order?: string;
  /** Anything that JSON can hold. */
  value: unknown;
}

export interface RecordQuery {
  /** Of `order`: included. */
  from?: string;
  /** Of `order`: not included. */
  to?: string;
  /** 1 to 1,000. */
  limit: number;
  cursor?: string;
  /** The last ones first. */
  descending?: boolean;
}

export interface RecordStore {
  /** Writes records whose id is free. One answer for each, in the order of the argument. */
  insert(place: RecordPlace, records: readonly StoredRecord[]): Promise<("inserted" | "exists")[]>;
  /** Writes a record, in place of the one with its id if there is one. */
  put(place: RecordPlace, record: StoredRecord): Promise<void>;
  /** Those that are there, by id. At most 1,000. */
  get(place: RecordPlace, ids: readonly string[]): Promise<Map<string, StoredRecord>>;
  /** By (`order`, `id`), a page at a time. */
  list(place: RecordPlace, query: RecordQuery): Promise<Page<StoredRecord>>;
  /** Those that are not there are no error. */
  remove(place: RecordPlace, ids: readonly string[]): Promise<void>;
}

const allowed = /^[\x21-\x7e]{1,500}$/;

/** @throws RangeError for an id or an order that an adapter could not keep as it is: a mistake of the caller */
export function checkRecordKeys(records: readonly Pick<StoredRecord, "id" | "order">[]): void {
  for (const { id, order = id } of records) {
    if (!allowed.test(id) || !allowed.test(order)) {
      throw new RangeError(`"${id}" in the order "${order}" cannot be the key of a record.`);
    }
  }
}
