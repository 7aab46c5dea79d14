// Keeps other users of the machine out of the store's files, which hold prompts, answers and webhook secrets. The owner
// decides about the mode of the folder, so every file is private by itself. SQLite gives a log the mode of its database.
// On Windows, modes have no meaning and stay as they are.
import { chmodSync, closeSync, openSync, statSync } from "node:fs";
import { join } from "node:path";

const forOthers = 0o077;
const hasModes = process.platform !== "win32";

/** Creates an empty file that only its owner can read, unless it exists. SQLite itself would let every user read it. */
export function createPrivately(path: string): void {
  try {
    // Never opens an existing file: closing it would drop the locks that SQLite holds on it.
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
    // The file belongs to another user, or the file system has no modes: its owner decides.
  }
}

/**
 * Makes everything that the store has in its folder private, such as files of an older version or a restored backup.
 * @param databases the names of all databases
 */
export function makeFilesPrivate(dataDir: string, databases: Iterable<string>): void {
  for (const name of databases) makeDatabasePrivate(join(dataDir, `${name}.sqlite`));
  for (const name of ["sluice.lock", "sluice.lock-journal", "sluice.pid", "files"]) makePrivate(join(dataDir, name));
}

export function makeDatabasePrivate(path: string): void {
  for (const ending of ["", "-wal", "-shm", "-journal"]) makePrivate(path + ending);
}

/** Returns the mode of a folder that other users may enter, such as `755`, or undefined if they may not. */
export function openFolderMode(dataDir: string): string | undefined {
  const mode = modeOf(dataDir);
  return mode !== undefined && (mode & forOthers) !== 0 ? (mode & 0o777).toString(8) : undefined;
}

function modeOf(path: string): number | undefined {
  return hasModes ? statSync(path, { throwIfNoEntry: false })?.mode : undefined;
}
