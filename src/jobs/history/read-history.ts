// Reads a part of the history, in minutes or hours.
import { quote, SluiceError } from "../../domain/errors.ts";
import type { JobsContext } from "../jobs-context.ts";
import { hourMs, minuteMs, readHours, readMinutes, startOf } from "./history-records.ts";
import type { Period } from "./period.ts";

/** Length of the periods. Minutes are kept for about a day, hours for 30 days. */
export const resolutions = ["minute", "hour"] as const;
export type Resolution = (typeof resolutions)[number];

const lengthMs: Record<Resolution, number> = { minute: minuteMs, hour: hourMs };
/** What is read by default: an hour of minutes, a day of hours. */
const defaultPeriods: Record<Resolution, number> = { minute: 60, hour: 24 };
/** Most periods in one answer: the minutes that are kept, and more hours than that. */
export const mostPeriods = 1500;

export interface HistoryQuery {
  resolution: Resolution;
  /** Milliseconds since the epoch. Default: an hour of minutes, or a day of hours, before `to`. */
  from?: number | undefined;
  /** Milliseconds since the epoch. Default: the end of the current period. */
  to?: number | undefined;
}

export interface History {
  resolution: Resolution;
  /** Start of the first period, in milliseconds since the epoch. */
  from: number;
  /** End of the last period, in milliseconds since the epoch. */
  to: number;
  /** Start and content of every period, in order. A period without a record has no content. */
  periods: { at: number; period?: Period }[];
}

/**
 * Returns the periods that a range of time touches. The minute that is under way is not part of it.
 * @throws SluiceError `invalid_request` if `from` is not before `to`, or if there are more than 1,500 periods
 */
export async function readHistory(
  { store, clock }: Pick<JobsContext, "store" | "clock">,
  { resolution, from, to }: HistoryQuery,
): Promise<History> {
  const length = lengthMs[resolution];
  const end = startOf((to ?? clock.wall()) + length - 1, length);
  const start = from === undefined ? end - defaultPeriods[resolution] * length : startOf(from, length);
  checkRange(start, end, length, resolution);
  const read = resolution === "minute" ? readMinutes : readHours;
  const found = new Map((await read(store, start, end)).map(({ at, period }) => [at, period]));
  const periods = Array.from({ length: (end - start) / length }, (_, i) => {
    const at = start + i * length;
    const period = found.get(at);
    return { at, ...(period && { period }) };
  });
  return { resolution, from: start, to: end, periods };
}

function checkRange(start: number, end: number, length: number, resolution: Resolution): void {
  const count = (end - start) / length;
  if (count >= 1 && count <= mostPeriods) return;
  const problem =
    count < 1
      ? `from must be before to, ${quote(new Date(end).toISOString())}`
      : `from must be at most ${mostPeriods} ${resolution}s before to`;
  const advice = resolution === "minute" && count > mostPeriods ? " Use resolution=hour for a longer time." : "";
  throw new SluiceError("invalid_request", `${problem}; got ${quote(new Date(start).toISOString())}.${advice}`, {
    field: "from",
  });
}
