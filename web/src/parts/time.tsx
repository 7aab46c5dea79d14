// A moment as the dashboard shows it everywhere: in the reader's time zone, with the whole local time and UTC in the title.
import { fullTime, localTime, relative } from "../format.ts";
import { now } from "../live.ts";

export interface TimeProps {
  /** ISO 8601, or milliseconds since the epoch. Null shows a dash. */
  at: string | number | null | undefined;
  /** Shows the distance from now, such as `3 min ago` or `in 5 s`. Default: false. */
  relative?: boolean;
  /** Leaves out the seconds, as for an estimate. Default: false. */
  coarse?: boolean;
}

export function Time({ at, relative: isRelative = false, coarse = false }: TimeProps) {
  if (at === null || at === undefined) return <>–</>;
  const date = new Date(at);
  return (
    <time dateTime={date.toISOString()} title={fullTime(date)}>
      {isRelative ? relative(date, now.value) : localTime(date, now.value, coarse)}
    </time>
  );
}
