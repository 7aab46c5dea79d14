// Keeps other users of the machine out of the store's files, which hold prompts, answers and webhook secrets. The mode
// of the folder is its owner's business, so every file has to be private by itself. SQLite gives a log the mode of its
// database. On Windows modes mean nothing, and nothing is done.
import { chmodSync, closeSync, openSync, statSync } from "node:fs";
import { join } from "node:path";

const forOthers = 0o077;
const hasModes = process.platform !== "win32";

/** Creates an empty file for its owner only, unless there is one: SQLite itself would create it for everybody to read. */
export function createPrivately(path: string): void {
  try {
    // Never opens a file that is there: closing it would drop the locks that SQLite holds on it.
    closeSync(openSync(path, "wx", 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}

/** Takes the rights of group and others from a file or folder. Does nothing if it is missing or belongs to another user. */
export function makePrivate(path: string): void {
  const mode = modeOf(path);
  if (mode === undefined || (mode & forOthers) === 0) return;
  try {
    chmodSync(path, mode & ~forOthers);
  } catch {
    // Another user's, or a file system without modes: its owner decides.
  }
}

/**
 * Does so for everything that the store has in its folder, such as files of an older version or a restored backup.
 * @param databases all names
 */
export function makeFilesPrivate(dataDir: string, databases: Iterable<string>): void {
  for (const name of databases) makeDatabasePrivate(join(dataDir, `${name}.sqlite`));
  for (const name of ["sluice.lock", "sluice.lock-journal", "sluice.pid", "files"]) makePrivate(join(dataDir, name));
}

export function makeDatabasePrivate(path: string): void {
  for (const ending of ["", "-wal", "-shm", "-journal"]) makePrivate(path + ending);
}

/** The mode of a folder that others may enter, such as `755`; undefined if they may not. */
export function openFolderMode(dataDir: string): string | undefined {
  const mode = modeOf(dataDir);
  return mode !== undefined && (mode & forOthers) !== 0 ? (mode & 0o777).toString(8) : undefined;
}

function modeOf(path: string): number | undefined {
  return hasModes ? statSync(path, { throwIfNoEntry: false })?.mode : undefined;
}
