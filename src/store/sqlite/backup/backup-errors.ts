// Explains why a backup or a restore failed, in sentences for the person who runs the command.
import { isBusy, isCorrupt, isNotWritable, isOutOfSpace } from "../sqlite-errors.ts";

/** A backup or a restore failed. The message is whole sentences and says what to do. */
export class BackupError extends Error {
  override readonly name = "BackupError";
}

/**
 * Converts an error of copying to a BackupError.
 * @param from the file or folder that was read
 * @param to the folder that was written to
 */
export function backupErrorOf(error: unknown, from: string, to: string): BackupError {
  if (error instanceof BackupError) return error;
  const { name, message, path } = error as NodeJS.ErrnoException;
  const options = { cause: error };
  if (name === "AbortError") return new BackupError("Stopped. What was copied is removed.", options);
  if (isOutOfSpace(error)) {
    return new BackupError(`The disk of ${to} is full. Free some space, then repeat the command.`, options);
  }
  const reason = message.replace(/\.$/, "");
  if (isBusy(error)) {
    return new BackupError(`Another program holds a lock on a database of ${from}. Close its transaction.`, options);
  }
  if (isCorrupt(error)) return new BackupError(`A database of ${from} is damaged: ${reason}.`, options);
  if (isNotWritable(error)) {
    const what = path ?? `${from} or ${to}`;
    const next = "Run the command as the user that runs the service, and check the permissions.";
    return new BackupError(`${what} cannot be read or written: ${reason}. ${next}`, options);
  }
  return new BackupError(`Copying ${from} to ${to} failed: ${reason}.`, options);
}
