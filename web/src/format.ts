// Numbers, times and amounts as people read them. Pure.

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

/** Returns a time of day if it is today, else with its date. */
export function time(iso: string | null | undefined, now: number): string {
  if (!iso) return "–";
  const at = new Date(iso);
  const sameDay = at.toDateString() === new Date(now).toDateString();
  const clock = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  return sameDay ? clock : `${at.toLocaleDateString([], { day: "numeric", month: "short" })} ${clock}`;
}

/** Returns a time of day without seconds, with the date if it is another day. */
export function clock(iso: string, now: number): string {
  const at = new Date(iso);
  const text = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const sameDay = at.toDateString() === new Date(now).toDateString();
  return sameDay ? text : `${text} on ${at.toLocaleDateString([], { day: "numeric", month: "short" })}`;
}

/** Returns how long ago a time was, or how far ahead it is: `12 s ago`, `in 3 min`. */
export function relative(iso: string, now: number): string {
  const ms = Date.parse(iso) - now;
  if (Math.abs(ms) < 1000) return "now";
  return ms < 0 ? `${duration(-ms)} ago` : `in ${duration(ms)}`;
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
