// Replaces the content of a data folder by a staged copy, in steps that can be interrupted and repeated. One rename
// commits the restore. Before it, the old data is in place; after it, the next start completes the replacement.
//
//   restore.copying/   being copied; a start removes it
//   restore.ready/     complete: the old files move to restore.ready/before-restore-<time>/
//   restore.moving/    the new files move from restore.moving/new/ into the data folder
//
// Data folders are often mount points, which cannot be renamed. So each file is renamed within the data folder.
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmdirSync,
  rmSync,
} from "node:fs";
import { basename, join } from "node:path";

const copyingName = "restore.copying";
const readyName = "restore.ready";
const movingName = "restore.moving";
const newName = "new";
const asidePrefix = "before-restore-";

/** Returns whether a restore was committed whose files are not all in place. */
export function restoreIsUnfinished(dataDir: string): boolean {
  return existsSync(join(dataDir, readyName)) || existsSync(join(dataDir, movingName));
}

/**
 * Creates the folders of a restore, without content.
 * @param at time of the restore, in milliseconds since the epoch
 * @returns the folder for the new files
 */
export function createStaging(dataDir: string, at: number): string {
  const staging = join(dataDir, copyingName);
  mkdirSync(join(staging, asideName(dataDir, at)), { recursive: true, mode: 0o700 });
  const folder = join(staging, newName);
  mkdirSync(folder, { mode: 0o700 });
  return folder;
}

/** Returns a name such as `before-restore-2026-12-01T04-12-31Z` that the data folder does not have. */
function asideName(dataDir: string, at: number): string {
  // Without colons, which some file systems do not take.
  const name =
    asidePrefix +
    new Date(at)
      .toISOString()
      .replace(/\.\d+Z$/, "Z")
      .replaceAll(":", "-");
  return existsSync(join(dataDir, name)) ? asideName(dataDir, at + 1000) : name;
}

/** Commits a restore. All files of the staging folder must be on disk. */
export function commitRestore(dataDir: string): void {
  syncFolder(join(dataDir, copyingName));
  renameSync(join(dataDir, copyingName), join(dataDir, readyName));
  syncFolder(dataDir);
}

/**
 * Completes a restore that was committed, and removes one that was not. The data folder must be locked.
 * @returns the folder with the data that was replaced, or undefined if there was none
 */
export function finishRestore(dataDir: string): string | undefined {
  const ready = join(dataDir, readyName);
  const moving = join(dataDir, movingName);
  if (existsSync(ready)) {
    // A log must never meet a database that it does not belong to: all old files go before the first new one comes.
    moveAll(dataDir, asideIn(ready)!, isData);
    renameSync(ready, moving);
    syncFolder(dataDir);
  }
  let aside: string | undefined;
  if (existsSync(moving)) {
    const fresh = join(moving, newName);
    // It is gone if the process died while it removed the folders.
    if (existsSync(fresh)) moveAll(fresh, dataDir);
    aside = keepAside(dataDir, moving);
    rmSync(moving, { recursive: true });
    syncFolder(dataDir);
  }
  rmSync(join(dataDir, copyingName), { recursive: true, force: true });
  return aside;
}

/** Returns whether a name in the data folder belongs to the data that a restore replaces. */
function isData(name: string): boolean {
  return name === "files" || /\.(sqlite|staged)(-wal|-shm|-journal)?$/.test(name);
}

function moveAll(from: string, to: string, which: (name: string) => boolean = () => true): void {
  for (const name of readdirSync(from)) if (which(name)) renameSync(join(from, name), join(to, name));
  syncFolder(to);
  syncFolder(from);
}

/** Returns the folder for replaced files, or undefined if it was moved already. */
function asideIn(folder: string): string | undefined {
  const name = readdirSync(folder).find((candidate) => candidate.startsWith(asidePrefix));
  return name && join(folder, name);
}

/** Moves the folder with replaced files into the data folder, unless it is empty. */
function keepAside(dataDir: string, moving: string): string | undefined {
  const from = asideIn(moving);
  if (from === undefined) return undefined;
  if (readdirSync(from).length === 0) {
    rmdirSync(from);
    return undefined;
  }
  const aside = join(dataDir, basename(from));
  renameSync(from, aside);
  syncFolder(dataDir);
  return aside;
}

function syncFolder(path: string): void {
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
