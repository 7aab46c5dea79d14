// Remembers what the rows of the queue waited for and when, to split the wait of a job that was granted. A row is a set
// of jobs that wait for the same. Samples come about once a second. The memory is bounded: old intervals of a row are
// merged, which keeps the sum of each reason but not its exact time.
import { type Period, partsOf, type WaitPart, type WaitReason } from "../domain/wait-parts.ts";

/** A time in which a row waited. The sum of its parts is its length. */
export interface WaitInterval extends Period {
  parts: readonly WaitPart[];
}

/** What one row waits for now. */
export interface RowSample {
  row: string;
  reason: WaitReason;
}

interface Row {
  /** In the order of time, without overlaps. */
  intervals: WaitInterval[];
  /** The latest sample, whose reason applies until the next one. Absent if the row does not wait. */
  open: { from: number; until: number; reason: WaitReason } | undefined;
}

/** Limits of a timeline. */
export interface TimelineLimits {
  /** Rows; the one that waited the longest time ago is dropped first. Default: 256. */
  maxRows?: number;
  /** Intervals of one row. Default: 256. */
  maxIntervals?: number;
  /** Longest time for which one sample counts, in milliseconds. Default: 5,000. */
  maxGapMs?: number;
}

export class WaitTimeline {
  /** The rows that waited last are at the end. */
  readonly #rows = new Map<string, Row>();
  readonly #maxRows: number;
  readonly #maxIntervals: number;
  readonly #maxGapMs: number;
  #lastAt = Number.NEGATIVE_INFINITY;

  constructor({ maxRows = 256, maxIntervals = 256, maxGapMs = 5_000 }: TimelineLimits = {}) {
    this.#maxRows = maxRows;
    this.#maxIntervals = maxIntervals;
    this.#maxGapMs = maxGapMs;
  }

  /**
   * Records what all waiting rows wait for. A sample counts from its time to that of the next one. For a row that did
   * not wait before, it also counts from the sample before. Both are bounded by `maxGapMs`.
   * @param time whole milliseconds since the epoch
   */
  sample(time: number, samples: readonly RowSample[]): void {
    // The clock may be set back.
    const at = Math.max(time, this.#lastAt);
    const began = Math.max(at - this.#maxGapMs, this.#lastAt);
    const waiting = new Set(samples.map(({ row }) => row));
    for (const [name, row] of this.#rows) {
      this.#extend(row, at);
      if (!waiting.has(name)) row.open = undefined;
    }
    for (const { row: name, reason } of samples) {
      const row = this.#rows.get(name) ?? { intervals: [], open: undefined };
      if (row.open === undefined) this.#add(row, { from: began, to: at }, reason);
      row.open = { from: at, until: at + this.#maxGapMs, reason };
      this.#rows.delete(name);
      this.#rows.set(name, row);
    }
    for (const name of this.#rows.keys()) {
      if (this.#rows.size <= this.#maxRows) break;
      this.#rows.delete(name);
    }
    this.#lastAt = at;
  }

  /** Returns what is known of a row in a period, in the order of time. */
  of(name: string): readonly WaitInterval[] {
    const row = this.#rows.get(name);
    if (!row) return [];
    const { intervals, open } = row;
    if (!open) return intervals;
    return [...intervals, intervalOf({ from: open.from, to: open.until }, open.reason)];
  }

  /** Turns the latest sample of a row into an interval that ends now. */
  #extend(row: Row, at: number): void {
    if (row.open) this.#add(row, { from: row.open.from, to: Math.min(at, row.open.until) }, row.open.reason);
  }

  #add(row: Row, { from, to }: Period, reason: WaitReason): void {
    const { intervals } = row;
    const last = intervals.at(-1);
    const start = Math.max(from, last?.to ?? from);
    if (to <= start) return;
    const [only, ...others] = last?.parts ?? [];
    if (last && last.to === start && others.length === 0 && isSame(only, reason)) {
      intervals[intervals.length - 1] = intervalOf({ from: last.from, to }, reason);
      return;
    }
    intervals.push(intervalOf({ from: start, to }, reason));
    if (intervals.length > this.#maxIntervals) row.intervals = thinned(intervals);
  }
}

function intervalOf(period: Period, reason: WaitReason): WaitInterval {
  return { ...period, parts: [{ ...reason, ms: period.to - period.from }] };
}

function isSame(a: WaitReason | undefined, b: WaitReason): boolean {
  return a?.kind === b.kind && a.subject === b.subject;
}

/** Merges neighbours in the older half. */
function thinned(intervals: readonly WaitInterval[]): WaitInterval[] {
  const half = 2 * Math.ceil(intervals.length / 4);
  const merged: WaitInterval[] = [];
  for (let i = 0; i < half; i += 2) {
    const [a, b] = [intervals[i]!, intervals[i + 1]!];
    const gap: WaitPart = { kind: "unknown", ms: b.from - a.to };
    merged.push({ from: a.from, to: b.to, parts: partsOf([...a.parts, gap, ...b.parts]) });
  }
  return [...merged, ...intervals.slice(half)];
}

/**
 * Splits a period by what is known about it. The parts add up to its length.
 * @param sources lists of intervals, each in the order of time; an earlier list counts more than a later one
 */
export function splitPeriod(period: Period, sources: readonly (readonly WaitInterval[])[]): WaitPart[] {
  const [intervals, ...others] = sources;
  if (intervals === undefined) return partsOf([{ kind: "unknown", ms: period.to - period.from }]);
  const parts: WaitPart[] = [];
  let { from } = period;
  for (const interval of intervals) {
    const start = Math.max(from, interval.from);
    const end = Math.min(period.to, interval.to);
    if (end <= start) continue;
    if (start > from) parts.push(...splitPeriod({ from, to: start }, others));
    parts.push(...cut(interval, { from: start, to: end }));
    from = end;
  }
  if (from < period.to) parts.push(...splitPeriod({ from, to: period.to }, others));
  return partsOf(parts);
}

/** Returns the parts of an interval within a period inside it, in proportion and in whole milliseconds. */
function cut({ from, to, parts }: WaitInterval, period: Period): WaitPart[] {
  const share = (period.to - period.from) / (to - from);
  let before = 0;
  let sum = 0;
  return parts.map(({ ms, ...reason }) => {
    sum += ms;
    // Rounding sums instead of parts keeps the total.
    const upTo = Math.round(sum * share);
    const part = { ...reason, ms: upTo - before };
    before = upTo;
    return part;
  });
}
