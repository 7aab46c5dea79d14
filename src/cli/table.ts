// Tables for people: aligned columns that fit the width of the terminal.
import { columnsOf, cut, cutMiddle, fill, type Output, oneLine, type Paint, paintFor, widthOf } from "./terminal.ts";

export interface Column {
  title: string;
  /** Numbers go to the right. Default: left. */
  align?: "right";
  /** The width in columns to which cells may be cut if the table is too wide. Default: never cut. */
  atLeast?: number;
  /** Where cells are cut. Default: at their end. */
  cutAt?: "middle";
  /** Leaves the column out if all of its cells are empty. Default: false. */
  optional?: boolean;
}

const gap = "  ";

/**
 * Returns the lines of a table. Cells may hold foreign text.
 * @param width in columns; a wider table has its longest flexible cells cut, and then the ends of its lines
 */
export function tableLines(
  allColumns: readonly Column[],
  allRows: readonly (readonly string[])[],
  width: number,
  paint: Paint = (_, text) => text,
): string[] {
  const isShown = (_: unknown, i: number) => !allColumns[i]!.optional || allRows.some((row) => row[i] !== "");
  const columns = allColumns.filter(isShown);
  const rows = allRows.map((row) => row.filter(isShown));
  const cells = [columns.map(({ title }) => title), ...rows.map((row) => row.map(oneLine))];
  const widths = columns.map((_, i) => Math.max(...cells.map((row) => columnsOf(row[i]!))));
  const total = () => widths.reduce((sum, w) => sum + w, 0) + gap.length * (widths.length - 1);
  while (total() > width) {
    const widest = columns
      .map(({ atLeast = Number.POSITIVE_INFINITY }, i) => ({ i, over: widths[i]! - atLeast }))
      .sort((a, b) => b.over - a.over)[0];
    if (!widest || widest.over <= 0) break;
    widths[widest.i]!--;
  }
  return cells.map((row, n) => {
    const line = row
      .map((cell, i) => {
        const { cutAt, align } = columns[i]!;
        return fill((cutAt === "middle" ? cutMiddle : cut)(cell, widths[i]!), widths[i]!, align);
      })
      .join(gap);
    const fitting = cut(line.trimEnd(), width);
    return n === 0 ? paint("bold", fitting) : fitting;
  });
}

/** Prints a table. On a terminal it fits the width. */
export function printTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  out: Output = process.stdout,
): void {
  for (const line of tableLines(columns, rows, widthOf(out), paintFor(out))) out.write(`${line}\n`);
}

/** Prints names and values as two columns, without those whose value is undefined. Values may hold foreign text. */
export function printPairs(
  pairs: readonly (readonly [string, string | undefined])[],
  out: Output = process.stdout,
): void {
  const shown = pairs.filter((pair): pair is readonly [string, string] => pair[1] !== undefined);
  const width = Math.max(...shown.map(([name]) => name.length));
  for (const [name, value] of shown) out.write(`${name.padEnd(width)}${gap}${oneLine(value)}\n`);
}
