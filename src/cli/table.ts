// Tables for people: aligned columns that fit the width of the terminal.
import {
  broken,
  columnsOf,
  cut,
  cutMiddle,
  fill,
  type Output,
  oneLine,
  type Paint,
  paintFor,
  widthOf,
} from "./terminal.ts";

export interface Column {
  title: string;
  /** Numbers go to the right. Default: left. */
  align?: "right";
  /** The width in columns to which cells may be cut if the table is too wide. Default: never cut. */
  atLeast?: number;
  /** Where cells are cut, or `wrap` to continue them on the next line. Default: at their end. */
  cutAt?: "middle" | "wrap";
  /**
   * Leaves the column out if the table is too wide even with all its cells cut. The lowest number goes first. Default:
   * never left out.
   */
  dropOrder?: number;
  /** Leaves the column out if all of its cells are empty. Default: false. */
  optional?: boolean;
}

const gap = "  ";

/**
 * Returns the lines of a table. Cells may hold foreign text.
 * @param width in columns; a wider table loses columns that have a `dropOrder`, has its longest flexible cells cut, and
 * then the ends of its lines
 */
export function tableLines(
  allColumns: readonly Column[],
  allRows: readonly (readonly string[])[],
  width: number,
  paint: Paint = (_, text) => text,
): string[] {
  const dropped = droppedColumns(allColumns, allRows, width);
  const isShown = (_: unknown, i: number) => !dropped.has(allColumns[i]!) && hasText(allColumns[i]!, i, allRows);
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
  return cells.flatMap((row, n) => {
    const parts = row.map((cell, i) => linesOfCell(cell, widths[i]!, columns[i]!));
    return Array.from({ length: Math.max(...parts.map((lines) => lines.length)) }, (_, k) => {
      const line = parts.map((lines, i) => fill(lines[k] ?? "", widths[i]!, columns[i]!.align)).join(gap);
      const fitting = cut(line.trimEnd(), width);
      return n === 0 ? paint("bold", fitting) : fitting;
    });
  });
}

function linesOfCell(cell: string, width: number, { cutAt }: Column): string[] {
  if (cutAt === "wrap") return broken(cell, width);
  return [(cutAt === "middle" ? cutMiddle : cut)(cell, width)];
}

function hasText({ optional }: Column, i: number, rows: readonly (readonly string[])[]): boolean {
  return !optional || rows.some((row) => row[i] !== "");
}

/** Returns the columns for which the width has no room. */
function droppedColumns(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number,
): ReadonlySet<Column> {
  const shown = columns
    .map((column, i) => {
      const widest = Math.max(...[column.title, ...rows.map((row) => oneLine(row[i]!))].map(columnsOf));
      return { column, i, least: gap.length + Math.min(widest, column.atLeast ?? widest) };
    })
    .filter(({ column, i }) => hasText(column, i, rows));
  let total = shown.reduce((sum, { least }) => sum + least, -gap.length);
  const dropped = new Set<Column>();
  const candidates = shown.filter(({ column }) => column.dropOrder !== undefined);
  for (const { column, least } of candidates.sort((a, b) => a.column.dropOrder! - b.column.dropOrder!)) {
    if (total <= width) break;
    dropped.add(column);
    total -= least;
  }
  return dropped;
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
