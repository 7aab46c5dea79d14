// What a terminal can show: its width, colours, and foreign text without anything that controls the terminal.

/** The part of a stream such as `process.stdout` that the commands write to. */
export interface Output {
  write(text: string): unknown;
  isTTY?: boolean;
  /** Width of the terminal, in columns. */
  columns?: number;
  /** Height of the terminal, in lines. */
  rows?: number;
}

const defaultColumns = 80;

/** Returns the width of the terminal in columns, or `Infinity` if the output is not a terminal. */
export function widthOf({ isTTY, columns }: Output): number {
  return isTTY ? columns || defaultColumns : Number.POSITIVE_INFINITY;
}

// ---------------------------------------------------------------- foreign text

/** Control characters, marks that turn the direction of text, and characters without a width that split words. */
const unprintable = /[\p{Cc}\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/gu;

/** Returns a text on one line: a gap becomes one space, and characters that control a terminal become `?`. */
export function oneLine(text: string): string {
  return text
    .replace(/[\t\n\v\f\r\u0085\u2028\u2029]+/g, " ")
    .replace(unprintable, "?")
    .trim();
}

/** Returns a text with its lines and tabs, in which other characters that control a terminal become `?`. */
export function printable(text: string): string {
  return text.replace(/\r\n/g, "\n").replace(unprintable, (c) => (c === "\n" || c === "\t" ? c : "?"));
}

/** Characters that take two columns: East Asian scripts, full-width forms and emoji. */
const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;
const combining = /\p{M}|\u200d/u;

/** The codes of `paintFor`, which take no column. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the code of a colour begins with one
const colour = /^\u001b\[\d+m$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the code of a colour begins with one
const parts = /\u001b\[\d+m|./gsu;

/** Returns how many columns a text of one line takes, without its colours. */
export function columnsOf(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let columns = 0;
  for (const part of text.match(parts) ?? []) columns += columnsOfPart(part);
  return columns;
}

function columnsOfPart(part: string): number {
  return colour.test(part) || combining.test(part) ? 0 : wide.test(part) ? 2 : 1;
}

/** Cuts a text of one line to a number of columns. What was cut ends with an ellipsis. Colours stay. */
export function cut(text: string, columns: number): string {
  if (columnsOf(text) <= columns) return text;
  if (columns < 1) return "";
  let kept = "";
  let used = 0;
  let ended = false;
  for (const part of text.match(parts) ?? []) {
    const width = columnsOfPart(part);
    ended ||= used + width > columns - 1;
    // The colours behind the cut end those before it.
    if (ended && !colour.test(part)) continue;
    kept += part;
    used += width;
  }
  return `${kept}…`;
}

/** Cuts a plain text in its middle, for names that differ at both ends. */
export function cutMiddle(text: string, columns: number): string {
  const all = [...text];
  if (columnsOf(text) <= columns || columns < 3) return cut(text, columns);
  const tail = Math.floor((columns - 1) / 2);
  return `${all.slice(0, columns - 1 - tail).join("")}…${all.slice(-tail).join("")}`;
}

/** Fills a text of one line up to a number of columns. */
export function fill(text: string, columns: number, align: "left" | "right" = "left"): string {
  const gap = " ".repeat(Math.max(0, columns - columnsOf(text)));
  return align === "left" ? text + gap : gap + text;
}

/** Breaks a text between words into lines of at most so many columns. */
export function wrapped(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && columnsOf(line) + 1 + columnsOf(word) > columns) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

/** Breaks a name of one line behind `/`, `:` or a gap into lines of at most so many columns; longer parts anywhere. */
export function broken(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const part of text.match(/[^/:\s]*[/:\s]?/g) ?? []) {
    if (columnsOf(line) + columnsOf(part.trimEnd()) > columns && line !== "") {
      lines.push(line.trimEnd());
      line = "";
    }
    for (const character of part) {
      if (columnsOf(line) + columnsOf(character.trimEnd()) > columns && line !== "") {
        lines.push(line);
        line = "";
      }
      line += character;
    }
  }
  return [...lines, line.trimEnd()];
}

// ---------------------------------------------------------------- colours

const codes = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;

/** Returns the text in a colour, or unchanged where the output takes none. */
export type Paint = (colour: keyof typeof codes, text: string) => string;

/** Colours only a terminal, and never if NO_COLOR is set or TERM is `dumb`. */
export function paintFor({ isTTY }: Output, env: Readonly<Record<string, string | undefined>> = process.env): Paint {
  const coloured = isTTY === true && !env.NO_COLOR && env.TERM !== "dumb";
  return (colour, text) => (coloured && text !== "" ? `\u001b[${codes[colour]}m${text}\u001b[0m` : text);
}
