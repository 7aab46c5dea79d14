// Chooses SQLite and opens files. Uses the module that is built into Node where it works without a flag and copies
// databases: 22.16 and later. Older versions use the npm package with the same API.
import { pathToFileURL } from "node:url";
import type * as Sqlite from "@photostructure/sqlite";
import { createPrivately } from "./permissions.ts";

export type Database = Sqlite.DatabaseSyncInstance;
export type Statement = Sqlite.StatementSyncInstance;
type SqliteModule = Pick<typeof Sqlite, "DatabaseSync" | "backup">;

/**
 * How long a statement waits for a lock of another program, in milliseconds, such as the sqlite3 shell with an open
 * write transaction. Readers in other programs never block a write (WAL).
 */
const busyTimeoutMs = 5_000;

const { DatabaseSync, backup } = builtIn() ?? (await import("@photostructure/sqlite"));

function builtIn(): SqliteModule | undefined {
  // Node 22 and 24 warn that the module is experimental. The tests cover its API on every version, so that one warning
  // is dropped. The function is restored before any other code can run.
  const { emitWarning } = process;
  process.emitWarning = ((warning: string | Error, ...rest: never[]) => {
    if (!String(warning).startsWith("SQLite is an experimental feature")) emitWarning.call(process, warning, ...rest);
  }) as typeof process.emitWarning;
  try {
    const module = process.getBuiltinModule("node:sqlite" as "node:fs") as unknown as Partial<SqliteModule> | undefined;
    return module?.backup ? (module as SqliteModule) : undefined;
  } finally {
    process.emitWarning = emitWarning;
  }
}

/**
 * Opens a connection without any settings, for locks.
 * @param timeoutMs how long a statement waits for a lock, in milliseconds. Default: not at all
 */
export function openPlain(path: string, timeoutMs = 0): Database {
  return new DatabaseSync(path, { timeout: timeoutMs });
}

/** Opens a file that no process changes. Creates no other file, so the folder may be read-only. */
export function openImmutable(path: string): Database {
  const url = pathToFileURL(path);
  url.searchParams.set("immutable", "1");
  return new DatabaseSync(url, { readOnly: true });
}

/** Pages that are copied between two passes of the event loop. */
const pagesAtOnce = 1_024;

/**
 * Copies a database as the open read transaction of the connection sees it, and syncs the copy to disk.
 * @param path an empty file
 * @param onPages receives the number of pages that were copied so far; an error ends the copy
 */
export async function copyDatabase(
  db: Database,
  path: string,
  onPages: (copied: number, total: number) => void,
): Promise<void> {
  const progress = ({ totalPages, remainingPages }: { totalPages: number; remainingPages: number }) =>
    onPages(totalPages - remainingPages, totalPages);
  await backup(db, path, { rate: pagesAtOnce, progress });
}

/** Returns the number of migrations that were applied to a database. */
export function schemaOf(db: Database): number {
  return (db.prepare("PRAGMA user_version").get() as { user_version: number }).user_version;
}

/**
 * Opens a connection for writing. `synchronous=FULL` makes a commit in WAL mode wait for the disk; `fullfsync` makes
 * macOS really do so (elsewhere it has no effect). With `secure_delete`, erased data is overwritten in the file, not
 * only unlinked; the log holds it until it is emptied.
 */
export function openForWriting(path: string): Database {
  createPrivately(path);
  const db = new DatabaseSync(path, { timeout: busyTimeoutMs });
  try {
    // Has an effect only before the first table is created. `rewriteFile` converts files of earlier versions.
    db.exec("PRAGMA auto_vacuum = INCREMENTAL");
    const { journal_mode: mode } = db.prepare("PRAGMA journal_mode = WAL").get() as { journal_mode: string };
    if (mode !== "wal") throw new Error("this file system cannot keep a write-ahead log; use a local disk");
    db.exec(`
      PRAGMA synchronous = FULL;
      PRAGMA fullfsync = 1;
      PRAGMA checkpoint_fullfsync = 1;
      PRAGMA wal_autocheckpoint = 4000;
      PRAGMA journal_size_limit = 67108864;
      PRAGMA secure_delete = ON;
      PRAGMA cache_size = -32768;
      PRAGMA temp_store = MEMORY;
    `);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/**
 * Writes the version number that the file already has. SQLite reports no error when it opens a read-only file, and a
 * full disk shows only at the first write.
 * @throws the error of SQLite
 */
export function checkWritable(db: Database): void {
  const version = schemaOf(db);
  db.exec(`BEGIN IMMEDIATE; PRAGMA user_version = ${version}; COMMIT;`);
}

/**
 * Moves the log into the file and empties it, unless a reader uses it: writes must not wait for readers.
 * @returns whether the log is empty
 */
export function emptyLog(db: Database): boolean {
  db.exec("PRAGMA busy_timeout = 0");
  try {
    const { busy } = db.prepare("PRAGMA wal_checkpoint(TRUNCATE)").get() as { busy: number };
    return busy === 0;
  } catch {
    // For example a full disk. The log continues to be used as it is.
    return false;
  } finally {
    db.exec(`PRAGMA busy_timeout = ${busyTimeoutMs}`);
  }
}

/** Returns the bytes of pages that hold nothing. */
export function freeBytes(db: Database): number {
  const { freelist_count: pages } = db.prepare("PRAGMA freelist_count").get() as { freelist_count: number };
  const { page_size: bytes } = db.prepare("PRAGMA page_size").get() as { page_size: number };
  return pages * bytes;
}

const incremental = 2;

/** Returns whether free pages can be returned to the file system a few at a time. */
export function canShrink(db: Database): boolean {
  const { auto_vacuum: mode } = db.prepare("PRAGMA auto_vacuum").get() as { auto_vacuum: number };
  return mode === incremental;
}

/** Returns up to this number of free pages to the file system. Part of the transaction, if there is one. */
export function releasePages(db: Database, pages: number): void {
  db.exec(`PRAGMA incremental_vacuum(${pages})`);
}

/** Rewrites a file without free pages, so that it can shrink from then on. */
export function rewriteFile(db: Database): void {
  db.exec("PRAGMA auto_vacuum = INCREMENTAL; VACUUM;");
}

/**
 * Opens a connection that sees committed data and never blocks a write. The file must have been opened for writing
 * before.
 */
export function openForReading(path: string): Database {
  const db = new DatabaseSync(path, { timeout: busyTimeoutMs, readOnly: true });
  db.exec("PRAGMA cache_size = -32768; PRAGMA temp_store = MEMORY;");
  return db;
}
