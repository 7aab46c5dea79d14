// Checks the folder of the archive before anything has to be written there.
import { existsSync, mkdtempSync, realpathSync, rmdirSync, statSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import type { Settings } from "../../config/settings.ts";

/**
 * Returns what is wrong with the folder of the archive, in sentences, or undefined if it can be used or there is none. A
 * folder that does not exist is not created.
 */
export function archiveProblem({
  retention,
  dataDir,
  distributed,
}: Pick<Settings, "retention" | "dataDir" | "distributed">): string | undefined {
  const { archive } = retention;
  if (archive === undefined) return undefined;
  const next = "Name another folder in retention.archive.";
  if (!distributed && isWithin(realPath(archive), realPath(dataDir))) {
    return `The archive ${archive} is in the data folder ${dataDir}. ${next}`;
  }
  const place = existing(resolve(archive));
  if (!statSync(place).isDirectory()) return `The archive ${archive} cannot be used: ${place} is not a folder. ${next}`;
  try {
    rmdirSync(mkdtempSync(join(place, ".sluice-check-")));
  } catch (error) {
    return `The archive ${archive} cannot be written: ${(error as Error).message}. Change the permissions or the disk. ${next}`;
  }
  return undefined;
}

/** Returns the path itself if it exists, or else the lowest folder above it that does. */
function existing(path: string): string {
  return existsSync(path) || dirname(path) === path ? path : existing(dirname(path));
}

/** Returns a path without links, also of a folder that does not exist. */
function realPath(path: string): string {
  const place = existing(resolve(path));
  return resolve(realpathSync(place), relative(place, resolve(path)));
}

function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}
