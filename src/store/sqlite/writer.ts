// All files, open for writing. Writes of many callers to one file share a transaction.
import { rmSync } from "node:fs";
import { join } from "node:path";
import { checkWritable, type Database, emptyLog, openForWriting } from "./driver.ts";
import { commitGroup, type WritableDatabase } from "./group-commit.ts";
import { JobWriter } from "./job-writer.ts";
import { migrate } from "./migrate.ts";
import { openErrorOf } from "./open-errors.ts";
import { type DatabaseName, type Reply, serviceDatabase, type Write } from "./protocol.ts";
import { RecordWriter } from "./record-queries.ts";
import { environmentMigrations, serviceMigrations } from "./sqlite-schema.ts";
import { reclaim, UpkeepWriter } from "./upkeep-writer.ts";

/**
 * Largest number of rows in one transaction, unless one write alone has more. It bounds how long other writes wait for a
 * large one: 2,000 rows take about 50 ms.
 */
const maxRowsPerCommit = 2_000;

/** Writes after which a log may hold what was erased. */
const erasing = new Set<Write["kind"]>(["erase", "remove", "removeAttempts", "reclaim"]);

export class Writer {
  readonly #databases = new Map<DatabaseName, WritableDatabase>();
  /** Databases whose logs may hold erased texts. After a crash this is unknown, so it starts with all of them. */
  readonly #toEmpty = new Set<DatabaseName>();

  /**
   * Opens the files and migrates them.
   * @throws StoreOpenError; then all files are closed
   */
  constructor(dataDir: string, databases: Iterable<DatabaseName>) {
    try {
      for (const name of new Set(databases)) this.#open(dataDir, name, openJobs);
      this.#open(dataDir, serviceDatabase, openService);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #open(dataDir: string, name: DatabaseName, open: (db: Database, path: string) => WritableDatabase): void {
    const path = join(dataDir, `${name}.sqlite`);
    let db: Database | undefined;
    try {
      db = openForWriting(path);
      checkWritable(db);
      this.#databases.set(name, open(db, path));
      this.#toEmpty.add(name);
    } catch (error) {
      db?.close();
      throw openErrorOf(error, path);
    }
  }

  /** Commits as many of the first writes as fit into one transaction, at least one, and returns their replies. */
  commit(writes: readonly Write[]): Reply[] {
    let rows = 0;
    const groups = new Map<DatabaseName, { index: number; write: Write }[]>();
    const replies: Reply[] = [];
    for (const [index, write] of writes.entries()) {
      rows += rowsOf(write);
      if (index > 0 && rows > maxRowsPerCommit) break;
      const group = groups.get(write.database);
      if (group) group.push({ index, write });
      else groups.set(write.database, [{ index, write }]);
    }
    for (const [name, group] of groups) {
      const database = this.#databases.get(name)!;
      const answers = commitGroup(
        database,
        group.map((g) => g.write),
      );
      for (const [i, { index }] of group.entries()) replies[index] = answers[i]!;
      if (group.some(({ write }) => erasing.has(write.kind))) this.#toEmpty.add(name);
    }
    return replies;
  }

  /** Whether a log may still hold erased texts. */
  get hasErased(): boolean {
    return this.#toEmpty.size > 0;
  }

  /** Moves logs into their files and empties them, so that neither holds erased texts. May have to be repeated. */
  emptyLogs(): void {
    for (const name of this.#toEmpty) if (emptyLog(this.#databases.get(name)!.db)) this.#toEmpty.delete(name);
  }

  close(): void {
    for (const { db } of this.#databases.values()) db.close();
    this.#databases.clear();
  }
}

/** Opens the database of an environment. */
export function openJobs(db: Database, path: string): WritableDatabase {
  migrate(db, path, environmentMigrations);
  removeStaged(path);
  const jobs = new JobWriter(db);
  const records = new RecordWriter(db);
  const upkeep = new UpkeepWriter(db);
  return {
    path,
    db,
    apply(write) {
      if (isOfRecords(write)) return writeRecords(records, write);
      switch (write.kind) {
        case "removeAttempts":
          return upkeep.removeAttempts(write);
        case "removeUsage":
          return upkeep.removeUsage(write);
        case "reclaim":
          return reclaim(db);
        default:
          return jobs.apply(write as JobWrite);
      }
    },
    beforeCommit: () => jobs.writeSums(),
    afterRollback: () => jobs.dropSums(),
  };
}

/**
 * Removes the file in which an earlier version staged the lines of batches. None of these lines was a job: the batch is
 * stored, and its file is read again.
 */
function removeStaged(path: string): void {
  const staged = path.replace(/(\.sqlite)?$/, ".staged");
  for (const file of [staged, `${staged}-journal`]) rmSync(file, { force: true });
}

function openService(db: Database, path: string): WritableDatabase {
  migrate(db, path, serviceMigrations);
  const records = new RecordWriter(db);
  const save = db.prepare(
    `INSERT INTO checkpoints (name, value, saved_at) VALUES (?, ?, ?)
     ON CONFLICT (name) DO UPDATE SET value = excluded.value, saved_at = excluded.saved_at`,
  );
  return {
    path,
    db,
    apply(write) {
      if (isOfRecords(write)) return writeRecords(records, write);
      if (write.kind === "reclaim") return reclaim(db);
      if (write.kind === "saveCheckpoint") save.run(write.name, write.value, write.at);
    },
  };
}

type JobWrite = Parameters<JobWriter["apply"]>[0];
type RecordWrite = Extract<Write, { kind: "insertRecords" | "putRecord" | "removeRecords" }>;

function isOfRecords(write: Write): write is RecordWrite {
  return write.kind === "insertRecords" || write.kind === "putRecord" || write.kind === "removeRecords";
}

function writeRecords(records: RecordWriter, write: RecordWrite): unknown {
  switch (write.kind) {
    case "insertRecords":
      return records.insert(write.collection, write.records);
    case "putRecord":
      return records.put(write.collection, write.record);
    case "removeRecords":
      return records.remove(write.collection, write.ids);
  }
}

/** Removing a job takes as long as inserting ten. */
const rowsOfOther: Partial<Record<Write["kind"], number>> = { remove: 10, erase: 5, removeAttempts: 200, reclaim: 50 };

function rowsOf(write: Write): number {
  if (write.kind === "insert") return write.jobs.requests.length;
  if (write.kind === "insertRecords") return write.records.length;
  return write.kind === "removeRecords" ? write.ids.length : (rowsOfOther[write.kind] ?? 1);
}
