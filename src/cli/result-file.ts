// Where a command writes many lines: standard output, or a file that appears under its name only when it is complete.
import { createWriteStream } from "node:fs";
import { rename, rm, stat } from "node:fs/promises";
import { finished } from "node:stream/promises";
import { CommandError } from "./exit-codes.ts";
import { writeText } from "./output.ts";

export type Write = (text: string) => Promise<void>;

/**
 * Calls `produce` with a function that writes text and waits while the disk or the reader is slower.
 * @param path absent or `-`: standard output. Otherwise a file for its owner only, because it may hold answers. It replaces
 *   an existing file at the end; if `produce` fails, no file is left. A device or a named pipe is written as it is.
 */
export async function writeResult(path: string | undefined, produce: (write: Write) => Promise<void>): Promise<void> {
  if (path === undefined || path === "-") {
    await produce((text) => writeText(text));
    return;
  }
  const existing = await stat(path).catch(() => undefined);
  // A rename would replace a device such as /dev/null by a file.
  const inPlace = existing !== undefined && !existing.isFile();
  const partial = inPlace ? path : `${path}.partial`;
  const file = createWriteStream(partial, { mode: 0o600 });
  const closed = finished(file);
  closed.catch(() => {});
  try {
    await Promise.race([closed, produce((text) => writeText(text, file))]);
    file.end();
    await closed;
    if (!inPlace) await rename(partial, path);
  } catch (error) {
    file.destroy();
    if (!inPlace) await rm(partial, { force: true });
    const { code, syscall, message } = error as NodeJS.ErrnoException;
    if (syscall === undefined) throw error;
    throw new CommandError(`${path} cannot be written: ${code ?? message}. Name another file with --output.`);
  }
}
