// Explains why a file of the store cannot be opened, in sentences for the person who starts the service.
import { rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { StoreOpenError } from "../environments.ts";
import { isIoError, isNotWritable, isOutOfSpace } from "./sqlite-errors.ts";

/** Converts an error of opening the file or folder at `path` to a StoreOpenError that says what to do. */
export function openErrorOf(error: unknown, path: string, folder = dirname(path)): StoreOpenError {
  if (error instanceof StoreOpenError) return error;
  const options = { cause: error };
  const message = (error as Error).message.replace(/\.$/, "");
  // If SQLite cannot enlarge its shared memory, it reports only "disk I/O error".
  if (isOutOfSpace(error) || (isIoError(error) && !hasRoom(folder))) {
    return new StoreOpenError(`The disk of ${path} is full. Free some space, then start again.`, options);
  }
  if (isNotWritable(error)) {
    return new StoreOpenError(
      `${path} cannot be written to: ${message}. Check who owns it, its permissions, and whether its disk is mounted read-only.`,
      options,
    );
  }
  return new StoreOpenError(`${path} cannot be opened: ${message}.`, options);
}

/** Space that SQLite needs to open a database with its log, in bytes. */
const probeBytes = 64 * 1024;

function hasRoom(folder: string): boolean {
  const probe = join(folder, "sluice.probe");
  try {
    writeFileSync(probe, Buffer.alloc(probeBytes), { mode: 0o600 });
    return true;
  } catch (error) {
    return !isOutOfSpace(error);
  } finally {
    rmSync(probe, { force: true });
  }
}
