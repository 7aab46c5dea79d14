// The figures of a plot, as they are drawn and as a table shows them. Pure.

type Column = readonly (number | null | undefined)[];

/** Returns the places of values that have no neighbour on either side. Null if there is none. */
export function singles(values: ArrayLike<number | null | undefined>): number[] | null {
  const isSet = (i: number) => values[i] !== null && values[i] !== undefined;
  const found = Array.from(values, (_, i) => i).filter((i) => isSet(i) && !isSet(i - 1) && !isSet(i + 1));
  return found.length > 0 ? found : null;
}

/** Returns the rows of the table: newest first, without times that have no value. */
export function rowsOf(
  times: readonly number[],
  columns: readonly Column[],
): { at: number; values: (number | null | undefined)[] }[] {
  return times
    .map((at, i) => ({ at, values: columns.map((column) => column[i]) }))
    .filter(({ values }) => values.some((value) => value !== null && value !== undefined))
    .reverse();
}

/** Returns each column plus those after it, as stacked bars are drawn: the tallest first. */
export function stacked(columns: readonly Column[]): (number | null)[][] {
  return columns.map((column, first) =>
    column.map((_, i) => {
      const values = columns.slice(first).map((one) => one[i] ?? null);
      return values.every((value) => value === null)
        ? null
        : values.reduce<number>((sum, value) => sum + (value ?? 0), 0);
    }),
  );
}
