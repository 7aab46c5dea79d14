// Group commit: all waiting writes share one transaction, and so one wait for the disk. Writes stay independent: if one
// fails, the transaction is rolled back and each write of the group is repeated alone. That costs time only in the rare
// case; a SAVEPOINT around each write would add 1 us to its 20.
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

/** Makes the writes and returns a reply for each once they are on disk. */
export function commitGroup(database: WritableDatabase, writes: readonly Write[]): Reply[] {
  const together = commitTogether(database, writes);
  if ("answers" in together) return together.answers.map((answer) => ({ answer }));
  if (together.alone && writes.length > 1) return writes.flatMap((write) => commitGroup(database, [write]));
  return writes.map(() => ({ failure: together.failure }));
}

/** `alone`: a single write may have failed, so each write is worth repeating alone. */
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
    // A full disk may already have rolled it back.
    if (db.isTransaction) db.exec("ROLLBACK");
    database.afterRollback?.();
    const failure = stage === "commit" ? commitFailureOf(error, path) : failureOf(error, path);
    return { failure, alone: stage !== "begin" && failure.code !== "fate_unknown" };
  }
}
