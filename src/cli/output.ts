// How commands print: results on standard output, everything about them on standard error.
import { once } from "node:events";
import { jsonLine } from "../domain/json-lines.ts";
import { type Output, oneLine, printable } from "./terminal.ts";

/** Writes text and waits while the reader is slower. */
export async function writeText(text: string, out: NodeJS.WritableStream = process.stdout): Promise<void> {
  if (!out.write(text)) await once(out, "drain");
}

/** Prints one object as a line of JSON. */
export function printJson(value: unknown): void {
  process.stdout.write(`${jsonLine(value)}\n`);
}

/** Prints a text that a model wrote: unchanged into a file or pipe, and without control characters on a terminal. */
export function printAnswer(text: string, out: Output = process.stdout): void {
  out.write(`${out.isTTY ? printable(text) : text}\n`);
}

/** Prints one line per field that has a value, nested values as JSON; or the whole object as a line of JSON. */
export function printFields(object: object, { json }: { json?: boolean | undefined }): void {
  if (json) {
    printJson(object);
    return;
  }
  const fields = Object.entries(object).filter(([, value]) => value !== null && value !== undefined);
  const width = Math.max(...fields.map(([name]) => name.length));
  for (const [name, value] of fields) {
    const text = typeof value === "string" ? value : JSON.stringify(value);
    process.stdout.write(`${name.padEnd(width)}  ${oneLine(text)}\n`);
  }
}

/** Prints a line about what the command does, on standard error. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}
