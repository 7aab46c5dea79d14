// Locks a data folder for one process. The lock is an exclusive transaction on an empty SQLite file, so that the system
// frees it however the process dies. The holder's process id is in a file of its own. Reading the locked file with
// anything but SQLite would drop the lock: POSIX frees a process's locks when it closes any descriptor of the file.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { StoreOpenError } from "../environments.ts";
import { makeFolder } from "../make-folder.ts";
import { type Database, openPlain } from "./driver.ts";
import { openErrorOf } from "./open-errors.ts";
import { createPrivately, makePrivate } from "./permissions.ts";
import { isBusy, isOutOfSpace } from "./sqlite-errors.ts";

/**
 * Creates the folder if it is missing (readable only for its owner, because it will hold prompts) and locks it. Returns
 * a function that frees the lock.
 * @throws StoreOpenError if another process holds the lock, or the folder cannot be written to
 */
export function lockDataFolder(dataDir: string): () => void {
  const pidFile = join(dataDir, "sluice.pid");
  let db: Database | undefined;
  try {
    makeFolder(dataDir);
    const lockFile = join(dataDir, "sluice.lock");
    createPrivately(lockFile);
    makePrivate(lockFile);
    db = openPlain(lockFile);
    // Without a journal no other file ever appears next to the lock file.
    db.exec("PRAGMA journal_mode = OFF; BEGIN EXCLUSIVE;");
    writeFileSync(pidFile, `${process.pid}\n`, { mode: 0o600 });
  } catch (error) {
    db?.close();
    if (isBusy(error)) {
      throw new StoreOpenError(
        `The data folder ${dataDir} is in use by ${holder(pidFile)}. Stop that process, or choose another folder (SLUICE_DATA_DIR).`,
      );
    }
    if (isOutOfSpace(error)) throw openErrorOf(error, dataDir);
    throw new StoreOpenError(
      `The data folder ${dataDir} cannot be used: ${(error as Error).message}. Make it a folder that this user can write to, or choose another one (SLUICE_DATA_DIR).`,
      { cause: error },
    );
  }
  const held = db;
  return () => {
    if (!held.isOpen) return;
    rmSync(pidFile, { force: true });
    held.close();
  };
}

function holder(pidFile: string): string {
  try {
    const pid = Number.parseInt(readFileSync(pidFile, "utf8"), 10);
    if (pid > 0) return `another process (PID ${pid})`;
  } catch {
    // The other process holds the lock but has not written the file yet.
  }
  return "another process";
}
