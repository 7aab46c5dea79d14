// A consistent cut: what several databases contain at one moment, read while another process writes to them. The write
// locks of all databases are held together for a few milliseconds, so no commit falls between two snapshots.
// docs/decisions/backup.md explains why that is enough.
import { type Database, openForReading, openPlain } from "../driver.ts";
import { isBusy } from "../sqlite-errors.ts";

export interface Cut<T> {
  /** A connection to each database, in a read transaction that sees the moment of the cut. */
  readers: Database[];
  /** What `during` returned. */
  found: T;
  /** Ends the read transactions. Until then, the log of each database grows by what is written. */
  close(): void;
}

/** Longest wait for the first lock, in milliseconds. */
const firstLockMs = 5_000;
/**
 * Longest wait for each further lock, in milliseconds. Meanwhile, writes to the locked databases wait, and they give up
 * after 5 s.
 */
const furtherLockMs = 250;
const maxTries = 20;

/**
 * Takes a cut of databases.
 * @param during runs while no database can be written to; it should take milliseconds
 * @throws the error of SQLite, or what `during` throws
 */
export function takeCut<T>(paths: readonly string[], during: () => T): Cut<T> {
  for (let tries = 1; ; tries++) {
    const opened: Database[] = [];
    const keep = (db: Database) => {
      opened.push(db);
      return db;
    };
    // A connection that can write is closed last, and removes the log if no service has the database open. No statement
    // is prepared, because on Node 20 that keeps its connection open until it is collected.
    const close = () => {
      for (const db of opened.splice(0).reverse()) db.close();
    };
    try {
      const locks = paths.map((path, i) => keep(openPlain(path, i === 0 ? firstLockMs : furtherLockMs)));
      const readers = paths.map((path) => keep(openForReading(path)));
      for (const lock of locks) lock.exec("BEGIN IMMEDIATE");
      for (const reader of readers) {
        reader.exec("BEGIN");
        // The snapshot is that of the first read.
        reader.exec("SELECT count(*) FROM sqlite_schema");
      }
      const found = during();
      for (const lock of locks) lock.exec("ROLLBACK");
      return { readers, found, close };
    } catch (error) {
      close();
      if (!isBusy(error) || tries === maxTries) throw error;
    }
  }
}
