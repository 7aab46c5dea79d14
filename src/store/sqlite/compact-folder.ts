// Rewrites the SQLite files of a data folder while no service uses it. Files that earlier versions created cannot shrink
// before that.
import { existsSync, statSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { join } from "node:path";
import { StoreOpenError } from "../environments.ts";
import { emptyLog, openForWriting, rewriteFile } from "./driver.ts";
import { lockDataFolder } from "./lock.ts";
import { openErrorOf } from "./open-errors.ts";
import { type DatabaseName, serviceDatabase } from "./protocol.ts";

export interface CompactedFile {
  path: string;
  /** Sizes in bytes. */
  before: number;
  after: number;
}

/**
 * Rewrites the files one by one. A killed process leaves each file as it was or rewritten.
 * @throws StoreOpenError if the folder has no database, a service uses it, or the disk has too little space for a second copy of a file
 */
export async function* compactFolder(
  dataDir: string,
  databases: Iterable<DatabaseName>,
): AsyncGenerator<CompactedFile> {
  const names = [...new Set([...databases, serviceDatabase])];
  const paths = names.map((name) => join(dataDir, `${name}.sqlite`)).filter((path) => existsSync(path));
  if (paths.length === 0) {
    throw new StoreOpenError(
      `${dataDir} is not a data folder of Sluice: it has no database. Name the folder with --data-dir or SLUICE_DATA_DIR.`,
    );
  }
  const unlock = lockDataFolder(dataDir);
  try {
    for (const path of paths) yield await compactFile(dataDir, path);
  } finally {
    unlock();
  }
}

async function compactFile(dataDir: string, path: string): Promise<CompactedFile> {
  const before = statSync(path).size;
  const { bavail, bsize } = await statfs(dataDir);
  // The new file goes through the log, so it is there twice for a while.
  const needed = 2 * before;
  if (bavail * bsize < needed) {
    throw new StoreOpenError(
      `${path} cannot be rewritten: that needs ${needed} free bytes on its disk, and ${bavail * bsize} are free. Free space first.`,
    );
  }
  try {
    const db = openForWriting(path);
    try {
      rewriteFile(db);
      emptyLog(db);
    } finally {
      db.close();
    }
  } catch (error) {
    throw openErrorOf(error, path);
  }
  return { path, before, after: statSync(path).size };
}
