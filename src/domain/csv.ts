// CSV for spreadsheets, RFC 4180. A spreadsheet runs a cell as a formula if it begins with one of a few characters, so
// foreign text that begins with one gets an apostrophe in front, which spreadsheets take as "this is text".

/** The characters that begin a formula, also in their full-width forms and after gaps, and those that split a cell. */
const formula = /^[\s\u00a0\u3000]*[=+\-@＝＋－＠]|^[\t\r\n]/u;

/** Returns one row, ending with CRLF. Numbers and booleans stay as they are; `null` and `undefined` are empty. */
export function csvRow(cells: readonly unknown[]): string {
  return `${cells.map(csvCell).join(",")}\r\n`;
}

function csvCell(value: unknown): string {
  if (value === null || value === undefined) return "";
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  const text = typeof value === "string" ? value : JSON.stringify(value);
  const safe = formula.test(text) ? `'${text}` : text;
  return /[",\r\n\t']|^\s|\s$/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
