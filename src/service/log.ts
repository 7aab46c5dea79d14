// The log of a process: JSON, one line each, or text where it goes to a terminal. An outage is expected and repeats itself: it is said in a few words, and the
// place in the code that noticed it, a stack of a thousand characters, is left to errors that are mistakes.
import { type DestinationStream, type Logger, pino, stdSerializers } from "pino";
import { secretHider } from "../config/secret-hider.ts";
import { SluiceError } from "../domain/errors.ts";
import { onOneLine } from "../domain/json-lines.ts";
import { readableLine } from "./log-lines.ts";

/** @param level as in the configuration */
export function createLog(level: string, destination?: DestinationStream): Logger {
  // Errors of clients carry what was sent, also a password.
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
