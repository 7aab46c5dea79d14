// Converts the driver's errors to those of the store. What matters is whether a failed write may have been made all the
// same.
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
 * The fate of a command that failed:
 * - `unavailable`  it was not sent: no server was found in time. Another try at once would only wait as long again
 * - `not_applied`  it was not sent, or the server says that it did nothing. Another try may find the new primary
 * - `unknown`      it was sent, and it is not known whether it was carried out and will survive
 * - `refused`      the server understood it and refused
 */
export type Fate = "unavailable" | "not_applied" | "unknown" | "refused";

// https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml
const unauthorized = 13;
const authenticationFailed = 18;
const outOfDiskSpace = 14031;
/** NotWritablePrimary, NotPrimaryNoSecondaryOk: returned before the server does anything. */
const notPrimary = [10107, 13435];
/**
 * ShutdownInProgress, PrimarySteppedDown, InterruptedAtShutdown, InterruptedDueToReplStateChange,
 * NotPrimaryOrSecondary.
 */
const interrupted = [91, 189, 11600, 11602, 13436];

/** Names of errors whose classes the driver does not export. All are raised before there is a connection. */
const withoutConnection = ["MongoPoolClosedError", "MongoTopologyClosedError", "MongoWaitQueueTimeoutError"];

export function fateOf(error: unknown): Fate {
  if (error instanceof MongoServerSelectionError || error instanceof MongoNotConnectedError) return "unavailable";
  if (error instanceof Error && withoutConnection.includes(error.name)) return "unavailable";
  if (error instanceof MongoNetworkError) return isUnsent(error) ? "not_applied" : "unknown";
  if (isTimeLimit(error)) return "unknown";
  if (error instanceof MongoWriteConcernError || error instanceof MongoOperationTimeoutError) return "unknown";
  if (error instanceof MongoServerError) {
    if (notPrimary.includes(error.code as number)) return "not_applied";
    if (interrupted.includes(error.code as number)) return "unknown";
    return "refused";
  }
  // Raised while this client was closing: the command may have been sent.
  return error instanceof Error && error.name === "MongoClientClosedError" ? "unknown" : "refused";
}

/** Whether the error was raised while a connection was being established. If in doubt, returns false. */
function isUnsent(error: MongoNetworkError): boolean {
  const { syscall } = (error.cause ?? {}) as { syscall?: string };
  return error.hasErrorLabel("HandshakeError") || error.name === "MongoPoolClearedError" || syscall === "connect";
}

const retryAfterS = 2;

/** Converts an error of a read, or of a write that was certainly not made. */
export function storeError(error: unknown): Error {
  if (error instanceof SluiceError) return error;
  // An error of our own code, not of the server: a value that cannot be written as JSON or BSON.
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

/** Converts an error of a write that may have been made. */
export function unknownFate(error: unknown): SluiceError {
  const text = `MongoDB did not confirm the write: ${messageOf(error)}.`;
  return new SluiceError("fate_unknown", text, { retryAfterS }, cause(error));
}

export function closedError(): SluiceError {
  return new SluiceError("unavailable", "The store is closed.", { retryAfterS });
}

function isOutOfSpace(error: unknown): boolean {
  if (error instanceof MongoServerError && error.code === outOfDiskSpace) return true;
  // MongoDB's errors of its own files, and SQLite's behind FerretDB, show it only in their message.
  return /no space left on device|disk is full/i.test(messageOf(error));
}

function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/\.$/, "");
}

function cause(error: unknown): ErrorOptions {
  return { cause: error };
}

// The driver (7.9) never settles a command if the server closes the connection while the command is written. It waits
// for the socket to drain, no socket time-out runs any more, and its option `timeoutMS` has no effect. This happened
// with about one in six killed servers, and blocked all commands queued behind it. An aborted signal ends the wait and
// closes the connection.

/**
 * Time limit of one command in milliseconds. The server gives up sooner on a write that no majority confirms
 * (commands.ts).
 */
const commandTimeoutMs = 8_000;

/** Returns a signal that aborts one command at its time limit. */
export function timeLimit(): AbortSignal {
  return AbortSignal.timeout(commandTimeoutMs);
}

function isTimeLimit(error: unknown): boolean {
  return error instanceof DOMException && error.name === "TimeoutError";
}
