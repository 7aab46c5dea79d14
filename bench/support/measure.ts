// Figures as this folder gives them: several repeats, of each the smallest, the median and the largest.
import type { Load } from "./machine.ts";

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

/** One result of a benchmark. */
export interface Figure {
  what: string;
  unit: string;
  ours: Spread;
  /** What was measured in turn with ours. `ratio` is ours / baseline of each pair of repeats. */
  baseline?: { what: string; values: Spread; ratio: Spread };
  goal?: string;
}

/** What a run of one benchmark measured. */
export interface Measured {
  name: string;
  /** When it ended, in ISO 8601. */
  at: string;
  /** Whether other work kept all cores busy. */
  busy: boolean;
  load: Load;
  figures: Figure[];
}

/** A figure from pairs of repeats that were measured one after the other, so that both saw the same machine. */
export function compare(
  what: string,
  unit: string,
  pairs: readonly { ours: number; baseline: number }[],
  baseline: string,
  goal?: string,
): Figure {
  return {
    what,
    unit,
    ours: spreadOf(pairs.map((p) => p.ours)),
    baseline: {
      what: baseline,
      values: spreadOf(pairs.map((p) => p.baseline)),
      ratio: spreadOf(pairs.map((p) => p.ours / p.baseline)),
    },
    ...(goal !== undefined && { goal }),
  };
}

/** Prints figures for terminals of 80 columns: the median, and the smallest and the largest repeat. */
export function printFigures(figures: readonly Figure[]): void {
  for (const { what, unit, ours, baseline, goal } of figures) {
    console.log(`\n${what}`);
    console.log(`  Sluice    ${shown(ours)} ${unit}`);
    if (baseline) console.log(`  baseline  ${shown(baseline.values)} ${unit}: ${baseline.what}`);
    if (baseline) console.log(`  ratio     ${shown(baseline.ratio)}`);
    if (goal) console.log(`  goal      ${goal}`);
  }
}

/** Returns the median, and the smallest and the largest value, as text. */
export function shown({ min, median, max }: Spread): string {
  return `${round(median)} (${round(min)} .. ${round(max)})`;
}

function round(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3)));
}
