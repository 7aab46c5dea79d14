// A table whose rows become cards on a narrow screen, where each value shows the title of its column.
import type { ComponentChildren } from "preact";
import { Scroll } from "./scroll.tsx";

export interface Column<T> {
  title: string;
  /** Returns what to show. Null shows a dash, and nothing in a card. */
  cell(row: T): ComponentChildren;
  /**
   * How the values look. `n`: a number. `state`: a badge, next to the name in a card. `break`: a short foreign text.
   * `wrap`: several words. `text`: a long foreign text. `wide`: a bar. Default: a short word in one line.
   */
  kind?: "n" | "state" | "break" | "wrap" | "text" | "wide";
}

export interface TableProps<T> {
  /** What the rows are, for screen readers. */
  caption: string;
  /** The first column names the row. */
  columns: readonly Column<T>[];
  rows: readonly T[];
  idOf(row: T): string;
  /** Returns whether a row matters less than others. Default: none does. */
  isQuiet?(row: T): boolean;
}

export function Table<T>({ caption, columns, rows, idOf, isQuiet }: TableProps<T>) {
  return (
    <Scroll label={caption}>
      <table class="cards">
        <caption class="sr">{caption}</caption>
        <thead>
          <tr>
            {columns.map(({ title, kind }) => (
              <th key={title} scope="col" class={kind}>
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={idOf(row)} class={isQuiet?.(row) ? "quiet" : undefined}>
              {columns.map(({ title, kind, cell }) => (
                <td key={title} class={kind} data-label={title}>
                  {cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}
