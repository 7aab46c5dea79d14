// The callers' side of the small records: maps collections to files and values to JSON.
import { checkLimit, decodeCursor, encodeCursor, type Page } from "../cursor.ts";
import { databaseOf } from "../environments.ts";
import {
  checkRecordKeys,
  type RecordPlace,
  type RecordQuery,
  type RecordStore,
  type StoredRecord,
} from "../record-store.ts";
import { type DatabaseName, type ReadOperations, serviceDatabase, type WriteOperations } from "./protocol.ts";
import type { RecordRow } from "./record-queries.ts";
import type { StoreThread } from "./sqlite-thread.ts";

export class SqliteRecords implements RecordStore {
  readonly #databases: Record<string, DatabaseName>;
  readonly #writer: StoreThread<WriteOperations>;
  readonly #reader: StoreThread<ReadOperations>;

  constructor(
    databases: Record<string, DatabaseName>,
    writer: StoreThread<WriteOperations>,
    reader: StoreThread<ReadOperations>,
  ) {
    this.#databases = databases;
    this.#writer = writer;
    this.#reader = reader;
  }

  async insert(place: RecordPlace, records: readonly StoredRecord[]): Promise<("inserted" | "exists")[]> {
    checkRecordKeys(records);
    return this.#writer.ask("insertRecords", { ...this.#at(place), records: records.map(rowOf) });
  }

  async put(place: RecordPlace, record: StoredRecord): Promise<void> {
    checkRecordKeys([record]);
    await this.#writer.ask("putRecord", { ...this.#at(place), record: rowOf(record) });
  }

  async get(place: RecordPlace, ids: readonly string[]): Promise<Map<string, StoredRecord>> {
    const rows = await this.#reader.ask("getRecords", { ...this.#at(place), ids });
    return new Map(rows.map((row) => [row.id, recordOf(row)]));
  }

  async list(place: RecordPlace, query: RecordQuery): Promise<Page<StoredRecord>> {
    checkLimit(query.limit, 1_000);
    const { from, to, limit, descending = false } = query;
    const [, ...after] = query.cursor === undefined ? [] : decodeCursor(query.cursor, [0, "", ""] as const);
    const range = {
      from,
      to,
      descending,
      limit: limit + 1,
      ...(after.length > 0 && { after: after as [string, string] }),
    };
    const rows = await this.#reader.ask("listRecords", { ...this.#at(place), ...range });
    const page: Page<StoredRecord> = { items: rows.slice(0, limit).map(recordOf) };
    const last = rows[limit - 1];
    if (rows.length > limit && last) page.next = encodeCursor([0, last.ord, last.id]);
    return page;
  }

  async remove(place: RecordPlace, ids: readonly string[]): Promise<void> {
    await this.#writer.ask("removeRecords", { ...this.#at(place), ids });
  }

  /**
   * Returns the file and the collection of a record.
   * @throws SluiceError `unknown_environment`
   */
  #at(place: RecordPlace): { database: DatabaseName; collection: string } {
    const { collection } = place;
    if (!("environment" in place)) return { database: serviceDatabase, collection };
    return { database: databaseOf(this.#databases, place.environment), collection };
  }
}

function rowOf({ id, order = id, value }: StoredRecord): RecordRow {
  return { id, ord: order, value: JSON.stringify(value ?? null) };
}

function recordOf({ id, ord, value }: RecordRow): StoredRecord {
  return { id, order: ord, value: JSON.parse(value) };
}
