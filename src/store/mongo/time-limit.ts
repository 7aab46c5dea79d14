// What makes every command end. The driver (7.9) waits for ever if the server closes the connection in the moment in
// which a command is written: it waits for the socket to drain, no time-out of sockets runs any more, and its own option
// for this, `timeoutMS`, has no effect. That was one in about six of our killed servers, and with it everything that was
// queued behind that command. An aborted signal ends the wait and closes the connection.

/** Longer than the server takes to give up a write that no majority confirms (commands.ts). */
const commandTimeoutMs = 8_000;

/** For one command. */
export function timeLimit(): AbortSignal {
  return AbortSignal.timeout(commandTimeoutMs);
}

export function isTimeLimit(error: unknown): boolean {
  return error instanceof DOMException && error.name === "TimeoutError";
}
