// The order of rows in reports, so that every implementation returns the same.
import type { WaitingRow } from "./scheduler.ts";

export function byRow(a: WaitingRow, b: WaitingRow): number {
  return (
    compareNames(a.environment, b.environment) || compareNames(a.priority, b.priority) || compareNames(a.model, b.model)
  );
}

export function byModel(a: { model: string }, b: { model: string }): number {
  return compareNames(a.model, b.model);
}

function compareNames(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
