// What the driver's errors mean to those who use the store. The question that matters is whether a write that failed may
// have been made all the same.
import {
  MongoNetworkError,
  MongoNotConnectedError,
  MongoOperationTimeoutError,
  MongoServerError,
  MongoServerSelectionError,
  MongoWriteConcernError,
} from "mongodb";
import { SluiceError } from "../../domain/errors.ts";

/**
 * What became of a command that failed:
 * - `away`         it was not sent: no server was found in time; trying again at once would only wait as long again
 * - `not_applied`  it was not sent, or the server says that it did nothing; another try may find the new primary
 * - `unknown`      it was sent, and nobody knows whether it was carried out and will survive
 * - `refused`      the server understood it and would not do it
 */
export type Fate = "away" | "not_applied" | "unknown" | "refused";

// https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml
const unauthorized = 13;
const authenticationFailed = 18;
const outOfDiskSpace = 14031;
/** NotWritablePrimary, NotPrimaryNoSecondaryOk: answered before anything is done. */
const notPrimary = [10107, 13435];
/** ShutdownInProgress, PrimarySteppedDown, InterruptedAtShutdown, InterruptedDueToReplStateChange, NotPrimaryOrSecondary. */
const interrupted = [91, 189, 11600, 11602, 13436];

/** Names of errors whose classes the driver does not export. All are raised before a connection is had. */
const withoutConnection = ["MongoPoolClosedError", "MongoTopologyClosedError", "MongoWaitQueueTimeoutError"];

export function fateOf(error: unknown): Fate {
  if (error instanceof MongoServerSelectionError || error instanceof MongoNotConnectedError) return "away";
  if (error instanceof Error && withoutConnection.includes(error.name)) return "away";
  if (error instanceof MongoNetworkError) return isUnsent(error) ? "not_applied" : "unknown";
  if (isTimeLimit(error)) return "unknown";
  if (error instanceof MongoWriteConcernError || error instanceof MongoOperationTimeoutError) return "unknown";
  if (error instanceof MongoServerError) {
    if (notPrimary.includes(error.code as number)) return "not_applied";
    if (interrupted.includes(error.code as number)) return "unknown";
    return "refused";
  }
  // Raised while our own side was closing: the command may be on its way.
  return error instanceof Error && error.name === "MongoClientClosedError" ? "unknown" : "refused";
}

/** Whether it was raised while a connection was being made. In doubt it was not. */
function isUnsent(error: MongoNetworkError): boolean {
  const { syscall } = (error.cause ?? {}) as { syscall?: string };
  return error.hasErrorLabel("HandshakeError") || error.name === "MongoPoolClearedError" || syscall === "connect";
}

const retryAfterS = 2;

/** An error of a read, or of a write that was surely not made, for those who use the store. */
export function storeError(error: unknown): Error {
  if (error instanceof SluiceError) return error;
  // Of our own code, not of the server: a value that cannot be written as JSON or BSON.
  if (error instanceof RangeError || error instanceof TypeError) return error;
  if (fateOf(error) !== "refused") {
    return new SluiceError(
      "unavailable",
      `MongoDB cannot be reached: ${messageOf(error)}.`,
      { retryAfterS },
      cause(error),
    );
  }
  if (isOutOfSpace(error)) {
    return new SluiceError("storage_full", `MongoDB has no space left: ${messageOf(error)}.`, {}, cause(error));
  }
  if (error instanceof MongoServerError && [unauthorized, authenticationFailed].includes(error.code as number)) {
    const text = `MongoDB denied access: ${messageOf(error)}.`;
    return new SluiceError("unavailable", text, { retryAfterS }, cause(error));
  }
  return new SluiceError("internal", `MongoDB failed: ${messageOf(error)}.`, {}, cause(error));
}

/** An error of a write that may have been made. */
export function unknownFate(error: unknown): SluiceError {
  const text = `MongoDB did not confirm the write: ${messageOf(error)}.`;
  return new SluiceError("fate_unknown", text, { retryAfterS }, cause(error));
}

export function closedError(): SluiceError {
  return new SluiceError("unavailable", "The store is closed.", { retryAfterS });
}

function isOutOfSpace(error: unknown): boolean {
  if (error instanceof MongoServerError && error.code === outOfDiskSpace) return true;
  // MongoDB's own errors of its files, and SQLite's behind FerretDB, say it in words only.
  return /no space left on device|disk is full/i.test(messageOf(error));
}

function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/\.$/, "");
}

function cause(error: unknown): ErrorOptions {
  return { cause: error };
}

// The driver (7.9) never settles a command if the server closes the connection while the command is written: it waits for
// the socket to drain, no socket time-out runs any more, and its option `timeoutMS` has no effect. This happened with one in
// about six killed servers, and blocked all commands queued behind it. An aborted signal ends the wait and closes the connection.

/** Longer than the server takes to give up a write that no majority confirms (commands.ts). */
const commandTimeoutMs = 8_000;

/** For one command. */
export function timeLimit(): AbortSignal {
  return AbortSignal.timeout(commandTimeoutMs);
}

function isTimeLimit(error: unknown): boolean {
  return error instanceof DOMException && error.name === "TimeoutError";
}
