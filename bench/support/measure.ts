// Figures as this folder gives them: several repeats, of each the smallest, the median and the largest.

export interface Spread {
  min: number;
  median: number;
  max: number;
  repeats: number;
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  return { min: sorted[0]!, median: quantile(sorted, 0.5), max: sorted.at(-1)!, repeats: sorted.length };
}

/** @param sorted in ascending order, not empty */
export function quantile(sorted: readonly number[], q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]!;
}

/** One line of the table. */
export interface Figure {
  what: string;
  unit: string;
  ours: Spread;
  /** What ran beside it in the same run, and how ours compares: of each pair of repeats, ours / beside. */
  beside?: { what: string; values: Spread; ratio: Spread };
  goal?: string;
}

/** A figure from pairs of repeats that were measured one after the other, so that both saw the same machine. */
export function compare(
  what: string,
  unit: string,
  pairs: readonly { ours: number; beside: number }[],
  beside: string,
  goal?: string,
): Figure {
  return {
    what,
    unit,
    ours: spreadOf(pairs.map((p) => p.ours)),
    beside: {
      what: beside,
      values: spreadOf(pairs.map((p) => p.beside)),
      ratio: spreadOf(pairs.map((p) => p.ours / p.beside)),
    },
    ...(goal !== undefined && { goal }),
  };
}

export function printFigures(figures: readonly Figure[]): void {
  console.table(
    figures.map(({ what, unit, ours, beside, goal }) => ({
      what,
      unit,
      "median (min .. max)": shown(ours),
      beside: beside ? `${beside.what}: ${shown(beside.values)}` : "",
      ratio: beside ? shown(beside.ratio) : "",
      goal: goal ?? "",
    })),
  );
}

function shown({ min, median, max }: Spread): string {
  return `${round(median)} (${round(min)} .. ${round(max)})`;
}

function round(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3)));
}
