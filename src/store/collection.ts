// Typed records over the RecordStore port. Use cases declare one collection for each kind of record and never call the port
// themselves, so keys, pages and the scope of an environment have one implementation
// (test/repository/architecture.unit.test.ts checks it).
//
// Several collections may share a stored collection: `files` holds files, their expiries and blobs without a file. Stored
// names and keys never change, because older data has them (docs/decisions/collections.md).
import { type Page, pagesOf } from "./cursor.ts";
import type {
  EnvironmentCollection,
  RecordPlace,
  RecordStore,
  ServiceCollection,
  StoredRecord,
} from "./record-store.ts";

/** How the keys of a collection are stored. */
export interface KeyForm<Stored extends string> {
  /** The stored collection. */
  stored: Stored;
  /** The form of a stored id, with `*` for the record's own id. Defaults to `*`. */
  id?: string;
  /** The prefix of every stored order. Defaults to none. */
  order?: string;
}

/** A record to be written. */
export interface NewRecord<T> {
  /** The id, unique in the collection across all environments: derive it from a generated id. Printable ASCII, no spaces. */
  id: string;
  /** The place in lists, compared byte by byte. Defaults to the id. */
  order?: string;
  /** Anything that JSON can hold. */
  value: T;
}

export interface Item<T> {
  id: string;
  value: T;
}

/** A part of a collection, by order. Defaults to all of it, in ascending order. */
export interface Range {
  /** Orders that begin with this text. */
  prefix?: string;
  /** Orders after this text, which follows the prefix. Not included. */
  after?: string | undefined;
  /** Orders before this text, which follows the prefix. Not included. */
  before?: string | undefined;
  /** Reads the last order first. Defaults to false. */
  descending?: boolean;
}

/** The part of a store that collections need. */
export interface HasRecords {
  records: RecordStore;
}

/** Declares a collection of the service itself. */
export function serviceCollection<T>(form: KeyForm<ServiceCollection>): (store: HasRecords) => Collection<T> {
  return ({ records }) => new Collection(records, { collection: form.stored }, form);
}

/**
 * Declares a collection of each environment. Environments may share a database; a collection yields only the records of its
 * own environment, and stores the name with each. Records of older versions have it in their own field `environment`. If they
 * have no such field they belong to each environment of their database.
 * @example
 * const expiries = environmentCollection<{ fileId: string }>({ stored: "files", id: "expiry/*", order: "expiry/" });
 * await expiries(store, "UAT").insert({ id: file.id, order: timeKey(expiresAt), value: { fileId: file.id } });
 * for await (const { value } of expiries(store, "UAT").all({ before: timeKey(now) })) await expire(value.fileId);
 */
export function environmentCollection<T extends object>(
  form: KeyForm<EnvironmentCollection>,
): (store: HasRecords, environment: string) => Collection<T> {
  return ({ records }, environment) => new Collection(records, { collection: form.stored, environment }, form);
}

/** Every method throws what the store throws. A write that resolves survives a crash and may be repeated. */
export class Collection<T> {
  readonly #records: RecordStore;
  readonly #place: RecordPlace;
  readonly #orderPrefix: string | undefined;
  readonly #idParts: readonly [before: string, after: string];

  constructor(records: RecordStore, place: RecordPlace, { id = "*", order }: KeyForm<string>) {
    this.#records = records;
    this.#place = place;
    this.#orderPrefix = order;
    const [before = "", after = ""] = id.split("*");
    this.#idParts = [before, after];
  }

  /** Writes a record if its id is free: the first insert wins. Returns whether it was written. */
  async insert(record: NewRecord<T>): Promise<boolean> {
    return (await this.insertAll([record]))[0]!;
  }

  /** Inserts several records at once. Returns for each whether it was written. */
  async insertAll(records: readonly NewRecord<T>[]): Promise<boolean[]> {
    const answers = await this.#records.insert(this.#place, records.map(this.#stored));
    return answers.map((answer) => answer === "inserted");
  }

  /** Inserts a record and returns the value that the id has now: that of the first insert. */
  async insertOrGet(record: NewRecord<T>): Promise<T> {
    return (await this.insert(record)) ? record.value : ((await this.get(record.id)) ?? record.value);
  }

  /** Writes a record in place of the one with its id, if there is one. */
  async put(record: NewRecord<T>): Promise<void> {
    await this.#records.put(this.#place, this.#stored(record));
  }

  async get(id: string): Promise<T | undefined> {
    return (await this.getMany([id])).get(id);
  }

  /** Returns the values of those ids that exist, by id. Takes at most 1,000 ids. */
  async getMany(ids: readonly string[]): Promise<Map<string, T>> {
    const found = await this.#records.get(this.#place, ids.map(this.#storedId));
    return new Map([...found.values()].flatMap((record) => this.#read(record)).map(({ id, value }) => [id, value]));
  }

  /** Returns the first `limit` records of a range. */
  async list(limit: number, range: Range = {}): Promise<Item<T>[]> {
    const found: Item<T>[] = [];
    for await (const page of this.pages(range, Math.min(limit, 1000))) {
      found.push(...page);
      if (found.length >= limit) break;
    }
    return found.slice(0, limit);
  }

  /** Reads a range record by record. Records that are written or removed meanwhile may be missed, no other is. */
  async *all(range: Range = {}, pageSize?: number): AsyncIterable<Item<T>> {
    for await (const page of this.pages(range, pageSize)) yield* page;
  }

  /** Reads a range page by page. A page may be empty. */
  pages(range: Range = {}, pageSize = 500): AsyncIterable<Item<T>[]> {
    return pagesOf((cursor) => this.page(range, { limit: pageSize, cursor }));
  }

  /**
   * Returns one page, for callers that continue from its cursor later.
   * @param limit 1 to 1,000
   * @throws SluiceError `invalid_request` for a cursor that no page returned
   */
  async page(range: Range, { limit, cursor }: { limit: number; cursor?: string | undefined }): Promise<Page<Item<T>>> {
    const { prefix = "", after, before, descending = false } = range;
    const start = (this.#orderPrefix ?? "") + prefix;
    const from = after === undefined ? start : start + after + beforeEveryKey;
    const to = start + (before ?? afterEveryKey);
    const query = { from, to, descending, limit, cursor };
    const { items, next } = await this.#records.list(this.#place, query);
    return { items: items.flatMap((record) => this.#read(record)), ...(next !== undefined && { next }) };
  }

  /** Ids that do not exist are no error. */
  async remove(...ids: readonly string[]): Promise<void> {
    await this.#records.remove(this.#place, ids.map(this.#storedId));
  }

  readonly #storedId = (id: string): string => this.#idParts.join(id);

  readonly #stored = ({ id, order, value }: NewRecord<T>): StoredRecord => {
    const prefix = this.#orderPrefix;
    const stored: StoredRecord = { id: this.#storedId(id), value };
    if (order !== undefined || prefix !== undefined) stored.order = (prefix ?? "") + (order ?? id);
    if ("environment" in this.#place) stored.value = { ...value, [owner]: this.#place.environment };
    return stored;
  };

  /** Returns the record, or nothing if it belongs to another environment. */
  #read({ id, value }: StoredRecord): Item<T>[] {
    const own = id.slice(this.#idParts[0].length, id.length - this.#idParts[1].length);
    if (!("environment" in this.#place)) return [{ id: own, value: value as T }];
    const { [owner]: environment = (value as { environment?: string }).environment, ...rest } = value as Owned;
    return (environment ?? this.#place.environment) === this.#place.environment ? [{ id: own, value: rest as T }] : [];
  }
}

/** The field of a stored value that names its environment, unknown to those who write and read the value. */
const owner = "@environment";
type Owned = { [owner]?: string };

/** Keys are printable ASCII without spaces, so these two sort before and after each of their characters. */
const beforeEveryKey = " ";
const afterEveryKey = "\u007f";

/** Returns a key that sorts by time: milliseconds since the epoch, rounded down, and 0 for any time before it. */
export function timeKey(epochMs: number): string {
  return numberKey(Math.max(0, Math.floor(epochMs)), 16);
}

/** Returns a key that sorts by number. @param n a whole number from 0, of at most `digits` digits */
export function numberKey(n: number, digits: number): string {
  return String(n).padStart(digits, "0");
}
