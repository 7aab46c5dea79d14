// Converts SQLite's errors to those of the store.
import { type ErrorCode, SluiceError } from "../../domain/errors.ts";

// Primary result codes (the low byte of `errcode`), from https://www.sqlite.org/rescode.html.
const busy = 5;
const locked = 6;
const readOnly = 8;
const ioError = 10;
const corrupt = 11;
const full = 13;
const cannotOpen = 14;
const notADatabase = 26;

const ioErrorWrite = ioError | (3 << 8);

interface SqliteError extends Error {
  /** The extended result code. */
  errcode: number;
}

function isSqliteError(error: unknown): error is SqliteError {
  return error instanceof Error && typeof (error as Partial<SqliteError>).errcode === "number";
}

export function isBusy(error: unknown): boolean {
  return isSqliteError(error) && (error.errcode & 0xff) === busy;
}

/** Whether SQLite or the file system reports that no space is left. */
export function isOutOfSpace(error: unknown): boolean {
  if (isSqliteError(error)) return (error.errcode & 0xff) === full;
  return ["ENOSPC", "EDQUOT"].includes((error as NodeJS.ErrnoException).code ?? "");
}

export function isIoError(error: unknown): boolean {
  return isSqliteError(error) && (error.errcode & 0xff) === ioError;
}

/** Whether the file exists and may not be written to. */
export function isNotWritable(error: unknown): boolean {
  if (isSqliteError(error)) return [readOnly, cannotOpen].includes(error.errcode & 0xff);
  return ["EACCES", "EPERM", "EROFS"].includes((error as NodeJS.ErrnoException).code ?? "");
}

export function isNotADatabase(error: unknown): boolean {
  return isSqliteError(error) && (error.errcode & 0xff) === notADatabase;
}

export function isCorrupt(error: unknown): boolean {
  return isSqliteError(error) && [corrupt, notADatabase].includes(error.errcode & 0xff);
}

/** An error in the form in which a thread sends it to the caller's. */
export interface Failure {
  code: ErrorCode;
  message: string;
}

/** Converts an error of a statement, after which the transaction was rolled back: nothing was written. */
export function failureOf(error: unknown, file: string): Failure {
  if (error instanceof SluiceError) return { code: error.code, message: error.message };
  if (!isSqliteError(error) && isOutOfSpace(error)) {
    return { code: "storage_full", message: `There is no space left on the disk of ${file}.` };
  }
  if (!isSqliteError(error)) return { code: "internal", message: `The store failed: ${(error as Error).message}` };
  const says = `${file}: ${error.message} (SQLite code ${error.errcode})`;
  switch (error.errcode & 0xff) {
    case full:
      return { code: "storage_full", message: `There is no space left to write to ${says}.` };
    case busy:
    case locked:
      return { code: "unavailable", message: `Another program holds a lock on ${says}. Close its transaction.` };
    case readOnly:
    case cannotOpen:
    case ioError:
    case corrupt:
    case notADatabase:
      return { code: "unavailable", message: `The store cannot be read or written: ${says}.` };
    default:
      return { code: "internal", message: `The store failed: ${says}.` };
  }
}

/**
 * Converts an error of COMMIT. If the write itself failed, the log holds no complete transaction. If the disk failed to
 * confirm it, the log may be complete and a restart may find the transaction.
 */
export function commitFailureOf(error: unknown, file: string): Failure {
  const failure = failureOf(error, file);
  const nothingWritten =
    isSqliteError(error) && ([full, busy, readOnly].includes(error.errcode & 0xff) || error.errcode === ioErrorWrite);
  return nothingWritten
    ? failure
    : { code: "fate_unknown", message: `${failure.message} The write may or may not survive a restart.` };
}
