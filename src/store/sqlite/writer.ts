// Group commit: all writes that are waiting are made in one transaction per database, so that one wait for the disk
// serves them all. Each stands for itself: when one fails, the transaction is rolled back and every write of the group
// is made alone, which costs time in a case that is rare and nothing in the one that is not (a SAVEPOINT around each
// write costs 2 us of about 20).
import { join } from "node:path";
import { type Database, openForWriting } from "./driver.ts";
import { commitFailureOf, type Failure, failureOf } from "./errors.ts";
import { JobWriter } from "./job-writer.ts";
import { migrate } from "./migrate.ts";
import { type DatabaseName, type Reply, serviceDatabase, type Write } from "./protocol.ts";
import { environmentMigrations, serviceMigrations } from "./schema.ts";

/**
 * Rows in one transaction at most, unless one write alone has more: bounds how long the others wait for a large one
 * (2,000 rows take about 50 ms).
 */
const maxRowsPerCommit = 2_000;

/** A database that is open for writing. */
export interface WritableDatabase {
  path: string;
  db: Database;
  apply(write: Write): unknown;
  beforeCommit?(): void;
  afterRollback?(): void;
}

export class Writer {
  readonly #databases = new Map<DatabaseName, WritableDatabase>();

  /**
   * Opens the files and brings them up to date.
   * @throws StoreOpenError and SQLite's own errors; then all are closed
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
    const db = openForWriting(path);
    try {
      this.#databases.set(name, open(db, path));
    } catch (error) {
      db.close();
      throw error;
    }
  }

  /** Makes as many of the writes as go into one commit, at least one. The replies are those of the first ones. */
  commit(writes: readonly Write[]): Reply[] {
    let rows = 0;
    const groups = new Map<DatabaseName, { index: number; write: Write }[]>();
    const replies: Reply[] = [];
    for (const [index, write] of writes.entries()) {
      rows += write.kind === "insert" ? write.jobs.length : 1;
      if (index > 0 && rows > maxRowsPerCommit) break;
      const group = groups.get(write.database);
      if (group) group.push({ index, write });
      else groups.set(write.database, [{ index, write }]);
    }
    for (const [name, group] of groups) {
      const answers = commitGroup(
        this.#databases.get(name)!,
        group.map((g) => g.write),
      );
      for (const [i, { index }] of group.entries()) replies[index] = answers[i]!;
    }
    return replies;
  }

  close(): void {
    for (const { db } of this.#databases.values()) db.close();
    this.#databases.clear();
  }
}

function openJobs(db: Database, path: string): WritableDatabase {
  migrate(db, path, environmentMigrations);
  const jobs = new JobWriter(db);
  return {
    path,
    db,
    apply: (write) => jobs.apply(write as Parameters<JobWriter["apply"]>[0]),
    beforeCommit: () => jobs.writeCounts(),
    afterRollback: () => jobs.dropCounts(),
  };
}

function openService(db: Database, path: string): WritableDatabase {
  migrate(db, path, serviceMigrations);
  const save = db.prepare(
    `INSERT INTO checkpoints (name, value, saved_at) VALUES (?, ?, ?)
     ON CONFLICT (name) DO UPDATE SET value = excluded.value, saved_at = excluded.saved_at`,
  );
  return {
    path,
    db,
    apply(write) {
      if (write.kind === "saveCheckpoint") save.run(write.name, write.value, write.at);
    },
  };
}

function commitGroup(database: WritableDatabase, writes: readonly Write[]): Reply[] {
  const together = commitTogether(database, writes);
  if ("answers" in together) return together.answers.map((answer) => ({ answer }));
  if (together.alone && writes.length > 1) return writes.flatMap((write) => commitGroup(database, [write]));
  return writes.map(() => ({ failure: together.failure }));
}

/** `alone`: worth trying one by one, because it may have been a single write that failed. */
function commitTogether(
  database: WritableDatabase,
  writes: readonly Write[],
): { answers: unknown[] } | { failure: Failure; alone: boolean } {
  const { db, path } = database;
  let stage: "begin" | "write" | "commit" = "begin";
  try {
    db.exec("BEGIN IMMEDIATE");
    stage = "write";
    const answers = writes.map((write) => database.apply(write));
    database.beforeCommit?.();
    stage = "commit";
    db.exec("COMMIT");
    return { answers };
  } catch (error) {
    // A full disk may have rolled it back already.
    if (db.isTransaction) db.exec("ROLLBACK");
    database.afterRollback?.();
    const failure = stage === "commit" ? commitFailureOf(error, path) : failureOf(error, path);
    return { failure, alone: stage !== "begin" && failure.code !== "fate_unknown" };
  }
}
