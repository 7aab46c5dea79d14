// Creates the log of a process: JSON lines, or text on a terminal. Outages are expected and repeat, so their entries
// have no stack trace of a thousand characters. Only bugs do.
import { type DestinationStream, type Logger, pino, stdSerializers } from "pino";
import { secretHider } from "../config/secret-hider.ts";
import { SluiceError } from "../domain/errors.ts";
import { onOneLine } from "../domain/json-lines.ts";
import { readableLine } from "./log-lines.ts";

/**
 * Creates a log.
 * @param level as in the configuration
 */
export function createLog(level: string, destination?: DestinationStream): Logger {
  // Errors of clients contain what was sent, which may include a password.
  const hide = secretHider(process.env);
  const options = {
    level,
    serializers: { err: serialized },
    hooks: { streamWrite: (line: string) => onOneLine(hide(line)) },
  };
  const { stdout } = process;
  if (destination) return pino(options, destination);
  return stdout.isTTY
    ? pino(options, { write: (line) => stdout.write(readableLine(line, stdout.hasColors())) })
    : pino(options);
}

function serialized(error: unknown): unknown {
  if (!(error instanceof SluiceError) || error.status < 502) return stdSerializers.err(error as Error);
  const { name: type, code, message } = error;
  return { type, code, message };
}
