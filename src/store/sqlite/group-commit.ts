// Group commit: all writes that are waiting are made in one transaction, so that one wait for the disk serves them all.
// Each stands for itself: when one fails, the transaction is rolled back and every write of the group is made alone,
// which costs time in a case that is rare and nothing in the one that is not (a SAVEPOINT around each write costs 1 us
// of about 20).
import type { Database } from "./driver.ts";
import type { Reply, Write } from "./protocol.ts";
import { commitFailureOf, type Failure, failureOf } from "./sqlite-errors.ts";

/** A database that is open for writing. */
export interface WritableDatabase {
  path: string;
  db: Database;
  apply(write: Write): unknown;
  beforeCommit?(): void;
  afterRollback?(): void;
}

/** Makes the writes, and returns a reply for each when they are on disk. */
export function commitGroup(database: WritableDatabase, writes: readonly Write[]): Reply[] {
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
