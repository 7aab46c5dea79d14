// Small records in MongoDB: one collection of documents for each collection of the port.
import type { Db, Document } from "mongodb";
import { checkLimit, decodeCursor, encodeCursor, type Page } from "../cursor.ts";
import {
  checkRecordKeys,
  type RecordPlace,
  type RecordQuery,
  type RecordStore,
  type StoredRecord,
} from "../record-store.ts";
import { insertDocuments, putDocument, removeDocuments } from "./commands.ts";
import { recordIndex } from "./indexes.ts";
import { find, findByIds } from "./reads.ts";

interface RecordDocument {
  _id: string;
  order: string;
  /** JSON. */
  value: string;
}

export class MongoRecords implements RecordStore {
  readonly #databaseOf: (place: RecordPlace) => Db;
  readonly #call: <T>(operation: () => Promise<T>) => Promise<T>;

  /** @param call wraps every operation: errors become those of the store, and closing waits for it */
  constructor(databaseOf: (place: RecordPlace) => Db, call: <T>(operation: () => Promise<T>) => Promise<T>) {
    this.#databaseOf = databaseOf;
    this.#call = call;
  }

  async insert(place: RecordPlace, records: readonly StoredRecord[]): Promise<("inserted" | "exists")[]> {
    checkRecordKeys(records);
    if (records.length === 0) return [];
    return this.#call(async () => {
      const answers = await insertDocuments(this.#databaseOf(place), place.collection, records.map(documentOf));
      return Promise.all(answers.map((answer, i) => this.#decided(place, records[i]!, answer)));
    });
  }

  /** If an earlier try of the same insert got no answer, the content of the existing record says whether it is this one. */
  async #decided(
    place: RecordPlace,
    record: StoredRecord,
    answer: "inserted" | "exists" | "repeated" | Error,
  ): Promise<"inserted" | "exists"> {
    if (answer instanceof Error) throw answer;
    if (answer !== "repeated") return answer;
    const [stands] = await findByIds<RecordDocument>(this.#databaseOf(place), place.collection, [record.id]);
    const own = documentOf(record);
    return stands?.value === own.value && stands.order === own.order ? "inserted" : "exists";
  }

  async put(place: RecordPlace, record: StoredRecord): Promise<void> {
    checkRecordKeys([record]);
    await this.#call(async () => putDocument(this.#databaseOf(place), place.collection, documentOf(record)));
  }

  async get(place: RecordPlace, ids: readonly string[]): Promise<Map<string, StoredRecord>> {
    return this.#call(async () => {
      const found = await findByIds<RecordDocument>(this.#databaseOf(place), place.collection, ids);
      return new Map(found.map((document) => [document._id, recordOf(document)]));
    });
  }

  async list(place: RecordPlace, query: RecordQuery): Promise<Page<StoredRecord>> {
    return this.#call(async () => {
      checkLimit(query.limit, 1_000);
      const { limit, descending = false } = query;
      const direction = descending ? -1 : 1;
      const documents = this.#databaseOf(place).collection<RecordDocument>(place.collection);
      const filter = recordFilter(query);
      const found = await find((limited) =>
        documents
          .find(filter, limited)
          .sort({ order: direction, _id: direction })
          .hint(recordIndex)
          .limit(limit + 1)
          .toArray(),
      );
      const page: Page<StoredRecord> = { items: found.slice(0, limit).map(recordOf) };
      const last = found[limit - 1];
      if (found.length > limit && last) page.next = encodeCursor([0, last.order, last._id]);
      return page;
    });
  }

  async remove(place: RecordPlace, ids: readonly string[]): Promise<void> {
    if (ids.length === 0) return;
    await this.#call(async () => removeDocuments(this.#databaseOf(place), place.collection, ids));
  }
}

/** A range of the index by order. */
function recordFilter({ from, to, cursor, descending = false }: RecordQuery): Document {
  const range: Document = {};
  if (from !== undefined) range.$gte = from;
  if (to !== undefined) range.$lt = to;
  if (cursor === undefined) return Object.keys(range).length > 0 ? { order: range } : {};
  const [, order, id] = decodeCursor(cursor, [0, "", ""] as const);
  const beyond = descending ? "$lt" : "$gt";
  // The range of the order is narrowed too: with the condition on $or alone, the index would be read from its start.
  if (descending) range.$lte = order;
  else range.$gte = order;
  return { order: range, $or: [{ order: { [beyond]: order } }, { _id: { [beyond]: id } }] };
}

function documentOf({ id, order = id, value }: StoredRecord): RecordDocument {
  return { _id: id, order, value: JSON.stringify(value ?? null) };
}

function recordOf({ _id, order, value }: RecordDocument): StoredRecord {
  return { id: _id, order, value: JSON.parse(value) };
}
