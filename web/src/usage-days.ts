// Usage by day as the columns of a plot, and when a budget will be used up. Pure.

/** A row of GET /v1/usage that is grouped by day, and perhaps by one other name. */
export interface DayRow {
  day?: string | null;
  input_tokens: number;
  output_tokens: number;
  cost_usd: number;
}

export interface DayColumn {
  label: string;
  values: (number | null)[];
}

const dayMs = 86_400_000;
/** Groups that have a colour of their own. The others are one column. */
const mostGroups = 3;
const others = "others";

/**
 * Returns every day of a period, in milliseconds since the epoch.
 * @param from the first UTC day, such as `2030-01-31`
 * @param to the last one
 */
export function daysOf(from: string, to: string): number[] {
  const first = Date.parse(`${from}T00:00:00Z`);
  const days = Math.round((Date.parse(`${to}T00:00:00Z`) - first) / dayMs) + 1;
  return Number.isFinite(days) && days > 0 ? Array.from({ length: days }, (_, i) => first + i * dayMs) : [];
}

/**
 * Returns one column for each group, that with the greatest sum first. Small groups are one column, `others`.
 * @param groupOf returns the group of a row
 */
export function dayColumns<Row extends DayRow>(
  days: readonly number[],
  rows: readonly Row[],
  groupOf: (row: Row) => string,
  amountOf: (row: Row) => number,
): DayColumn[] {
  const sums = new Map<string, number>();
  for (const row of rows) sums.set(groupOf(row), (sums.get(groupOf(row)) ?? 0) + amountOf(row));
  const names = [...sums].sort(([, a], [, b]) => b - a).map(([name]) => name);
  const own = names.length > mostGroups + 1 ? names.slice(0, mostGroups) : names;
  const labels = own.length < names.length ? [...own, others] : own;
  return labels.map((label) => {
    const byDay = new Map<number, number>();
    for (const row of rows) {
      const group = own.includes(groupOf(row)) ? groupOf(row) : others;
      const at = Date.parse(`${row.day}T00:00:00Z`);
      if (group === label) byDay.set(at, (byDay.get(at) ?? 0) + amountOf(row));
    }
    return { label, values: days.map((day) => byDay.get(day) ?? null) };
  });
}

/** The period of a limit: a UTC day or month. */
export interface Period {
  from: number;
  to: number;
}

export function periodOf(per: "day" | "month", now: number): Period {
  const at = new Date(now);
  const [year, month, day] = [at.getUTCFullYear(), at.getUTCMonth(), at.getUTCDate()];
  return per === "day"
    ? { from: Date.UTC(year, month, day), to: Date.UTC(year, month, day + 1) }
    : { from: Date.UTC(year, month, 1), to: Date.UTC(year, month + 1, 1) };
}

/**
 * Returns when a limit is used up if use goes on as since the start of its period, in milliseconds since the epoch.
 * Undefined if that is after the period's end, or if nothing was used. Not after `now` if it is used up.
 */
export function usedUpAt(used: number, limit: number, { from, to }: Period, now: number): number | undefined {
  if (used >= limit) return now;
  if (used <= 0 || now <= from) return undefined;
  const at = from + ((now - from) * limit) / used;
  return at < to ? at : undefined;
}
