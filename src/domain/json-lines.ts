// Prints JSON for outputs that are read line by line: result files, server-sent events, NDJSON, the log, and `--json`
// of the commands.
import { printJson } from "./json-text.ts";

/**
 * Characters that JSON does not escape but some readers take for a line end, such as Python's `splitlines`: next line,
 * line separator and paragraph separator. JSON escapes the others (vertical tab, form feed, FS, GS, RS).
 */
const lineBreaks = /[\u0085\u2028\u2029]/g;

/** Returns JSON with the same value on one line. */
export function onOneLine(json: string): string {
  return json.replace(lineBreaks, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/**
 * Returns a value as JSON on one line. Texts that are printed verbatim may have line breaks, but only between tokens.
 */
export function jsonLine(value: unknown): string {
  return onOneLine(printJson(value).replace(/[\r\n]/g, " "));
}
