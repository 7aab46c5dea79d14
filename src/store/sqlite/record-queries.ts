// Small records in SQLite: one table for all collections of a file. The statements of both threads are here;
// record-store.ts, the port, says what they mean.
import type { Database, Statement } from "./driver.ts";

export interface RecordRow {
  id: string;
  ord: string;
  /** JSON of the value. */
  value: string;
}

/** A range of one collection, sorted by (ord, id). */
export interface RecordRange {
  collection: string;
  from?: string;
  to?: string;
  /** Not included. */
  after?: readonly [ord: string, id: string];
  descending: boolean;
  limit: number;
}

export class RecordWriter {
  readonly #insert: Statement;
  readonly #put: Statement;
  readonly #remove: Statement;

  constructor(db: Database) {
    const insert = "INSERT INTO records (collection, id, ord, value) VALUES (?, ?, ?, ?)";
    this.#insert = db.prepare(`${insert} ON CONFLICT DO NOTHING`);
    this.#put = db.prepare(`${insert} ON CONFLICT DO UPDATE SET ord = excluded.ord, value = excluded.value`);
    this.#remove = db.prepare("DELETE FROM records WHERE collection = ? AND id = ?");
  }

  insert(collection: string, records: readonly RecordRow[]): ("inserted" | "exists")[] {
    return records.map(({ id, ord, value }) =>
      this.#insert.run(collection, id, ord, value).changes === 0 ? "exists" : "inserted",
    );
  }

  put(collection: string, { id, ord, value }: RecordRow): void {
    this.#put.run(collection, id, ord, value);
  }

  remove(collection: string, ids: readonly string[]): void {
    for (const id of ids) this.#remove.run(collection, id);
  }
}

export class RecordReader {
  readonly #one: Statement;
  readonly #up: Statement;
  readonly #down: Statement;

  constructor(db: Database) {
    this.#one = db.prepare("SELECT id, ord, value FROM records WHERE collection = ? AND id = ?");
    const range = `SELECT id, ord, value FROM records INDEXED BY records_by_order
       WHERE collection = $collection AND ord >= $from AND ord < $to`;
    this.#up = db.prepare(`${range} AND (ord, id) > ($afterOrd, $afterId) ORDER BY ord, id LIMIT $limit`);
    this.#down = db.prepare(`${range} AND (ord, id) < ($afterOrd, $afterId) ORDER BY ord DESC, id DESC LIMIT $limit`);
  }

  get(collection: string, ids: readonly string[]): RecordRow[] {
    return ids.flatMap((id) => (this.#one.get(collection, id) as unknown as RecordRow | undefined) ?? []);
  }

  list({ collection, from = "", to = lastText, after, descending, limit }: RecordRange): RecordRow[] {
    const [$afterOrd, $afterId] = after ?? (descending ? [lastText, lastText] : ["", ""]);
    const parameters = { $collection: collection, $from: from, $to: to, $afterOrd, $afterId, $limit: limit };
    return (descending ? this.#down : this.#up).all(parameters) as unknown as RecordRow[];
  }
}

/** Sorts after every key, because keys are printable ASCII. */
const lastText = "\u007f";
