// Creates folders for data that only their owner may read.
import { existsSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Creates a folder and those above it, which only their owner can open. Does not use `recursive`, which never returns if
 * a file system wrongly reports that the folder above does not exist, as /proc does.
 * @throws what the file system throws
 */
export function makeFolder(path: string): void {
  if (existsSync(path)) return;
  const above = dirname(path);
  if (above !== path) makeFolder(above);
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}
