// Numbers, times and amounts as people read them. Pure.
import type { Quota } from "./resources.ts";

const whole = new Intl.NumberFormat("en");
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export function number(n: number): string {
  return whole.format(n);
}

/** Returns a short form of large numbers, such as 1.2M. */
export function short(n: number): string {
  return Math.abs(n) < 10_000 ? whole.format(Math.round(n)) : compact.format(n);
}

/** Returns the end of a job's id. The beginning is the time of its submission, which neighbours share. */
export function shortId(id: string): string {
  return id.slice(-12);
}

/** Returns `1 job` or `2 jobs`. */
export function count(n: number, noun: string): string {
  return `${number(n)} ${noun}${n === 1 ? "" : "s"}`;
}

/** Returns dollars with as many digits as a small amount needs. */
export function dollars(usd: number | null | undefined): string {
  if (usd === null || usd === undefined) return "–";
  if (usd === 0) return "$0";
  if (usd < 0.01) return `$${usd.toPrecision(2)}`;
  return `$${usd.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
}

/** Returns a duration in milliseconds in its two largest units, such as `4 s`, `2 min 5 s` or `3 h 20 min`. */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  const s = ms / 1000;
  if (s < 10) return `${s.toFixed(1)} s`;
  const total = Math.round(s);
  const units: [size: number, name: string][] = [
    [86_400, "d"],
    [3600, "h"],
    [60, "min"],
    [1, "s"],
  ];
  const first = units.findIndex(([size]) => total >= size);
  const [size, name] = units[first]!;
  const rest = total % size;
  const next = units[first + 1];
  const second = next && Math.floor(rest / next[0]) > 0 ? ` ${Math.floor(rest / next[0])} ${next[1]}` : "";
  return `${Math.floor(total / size)} ${name}${second}`;
}

const dayMonth = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const utcDay = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
const dayMonthYear = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });
const clockSeconds = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const clockMinutes = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });

/**
 * Returns a time in the reader's zone: `14:32:05` today, `30 Nov 14:32:05` this year, else with the year.
 * @param now milliseconds since the epoch
 * @param coarse whether to leave out the seconds; default: false
 */
export function localTime(at: Date, now: number, coarse = false): string {
  const today = new Date(now);
  const clock = (coarse ? clockMinutes : clockSeconds).format(at);
  if (at.toDateString() === today.toDateString()) return clock;
  const day = at.getFullYear() === today.getFullYear() ? dayMonth : dayMonthYear;
  return `${day.format(at)} ${clock}`;
}

/** Returns the label of a time on a plot's axis: a clock, or the day at midnight. */
export function plotClock(ms: number): string {
  const clock = clockMinutes.format(new Date(ms));
  return clock === "00:00" ? dayMonth.format(new Date(ms)) : clock;
}

/** Returns a UTC day, such as `30 Nov`. */
export function plotDay(ms: number): string {
  return utcDay.format(new Date(ms));
}

/** Returns a time in the reader's zone and in UTC: `1 Dec 2026 14:32:05; UTC: 2026-12-01 13:32:05`. */
export function fullTime(at: Date): string {
  const utc = at.toISOString().slice(0, 19).replace("T", " ");
  return `${dayMonthYear.format(at)} ${clockSeconds.format(at)}; UTC: ${utc}`;
}

/** Returns how long ago a time was, or how far ahead it is, in whole seconds: `12 s ago`, `in 3 min`. */
export function relative(at: Date, now: number): string {
  const seconds = Math.round((at.getTime() - now) / 1000);
  if (seconds === 0) return "now";
  const distance = Math.abs(seconds) < 10 ? `${Math.abs(seconds)} s` : duration(Math.abs(seconds) * 1000);
  return seconds < 0 ? `${distance} ago` : `in ${distance}`;
}

export function bytes(n: number): string {
  const units = ["B", "KB", "MB", "GB", "TB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, n)) / 3));
  const value = n / 1000 ** power;
  return `${value >= 100 || power === 0 ? Math.round(value) : value.toFixed(1)} ${units[power]}`;
}

/** Returns a count out of a whole in percent. A part never shows as 0 % or 100 % unless it is. */
export function percent(part: number, all: number): string {
  if (all <= 0) return "–";
  const share = (part / all) * 100;
  if (share > 0 && share < 1) return "<1%";
  if (share > 99 && share < 100) return ">99%";
  return `${Math.round(share)}%`;
}

/** Returns what a quota limits, such as `tokens per minute`. */
export function unitOf({ unit, per }: Pick<Quota, "unit" | "per">): string {
  return `${unit.replace("_", " ")} per ${per}`;
}
