// Numbers, times and dollars as people read them.

/** Returns `1,234,567`. */
export function grouped(value: number): string {
  return value.toLocaleString("en-US", { maximumFractionDigits: 2 });
}

/** Returns at most five characters, such as `950`, `12.3k` or `4.5M`. */
export function short(value: number): string {
  const [divisor, unit] = value >= 999_950_000 ? [1e9, "G"] : value >= 999_950 ? [1e6, "M"] : [1e3, "k"];
  if (value < 1000) return String(Number.isInteger(value) ? value : Number(value.toFixed(1)));
  const scaled = value / divisor;
  return `${scaled < 100 ? Number(scaled.toFixed(1)) : Math.round(scaled)}${unit}`;
}

const units = [
  { name: "d", ms: 86_400_000 },
  { name: "h", ms: 3_600_000 },
  { name: "min", ms: 60_000 },
  { name: "s", ms: 1_000 },
] as const;

/** Returns a duration in its two largest units, such as `45 s`, `3 min 20 s` or `2 d 4 h`. */
export function duration(ms: number): string {
  const rounded = Math.max(0, Math.round(ms / 1000) * 1000);
  const at = units.findIndex((unit) => rounded >= unit.ms);
  if (at < 0) return "0 s";
  const [first, second] = [units[at]!, units[at + 1]];
  const rest = second ? Math.floor((rounded % first.ms) / second.ms) : 0;
  return `${Math.floor(rounded / first.ms)} ${first.name}${rest > 0 ? ` ${rest} ${second!.name}` : ""}`;
}

/** Returns how long ago a time was in its largest unit, such as `5m`. */
export function age(time: string | number, now: number): string {
  const ms = Math.max(0, now - (typeof time === "number" ? time : Date.parse(time)));
  const unit = units.find((u) => ms >= u.ms) ?? units[3];
  return `${Math.floor(ms / unit.ms)}${unit.name[0]}`;
}

/** Returns a rate as `38/s`, or per minute or hour if it is slower than one a second. */
export function rate(perSecond: number): string {
  if (perSecond <= 0) return "0/s";
  if (perSecond >= 1) return `${short(perSecond < 10 ? perSecond : Math.round(perSecond))}/s`;
  const perMinute = perSecond * 60;
  return perMinute >= 1 ? `${short(perMinute)}/min` : `${short(perMinute * 60)}/h`;
}

/** Returns `$12.34`, with four decimals below a dollar. */
export function dollars(usd: number): string {
  return `$${usd === 0 ? "0" : usd < 1 ? usd.toFixed(4) : usd.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
}

/** Returns a UTC time to the second, such as `2030-01-31 12:00:00Z`. */
export function utc(time: string | number | Date): string {
  return new Date(time)
    .toISOString()
    .replace("T", " ")
    .replace(/\.\d+Z$/, "Z");
}

/** Returns `1 job` or `5 jobs`. */
export function several(count: number, noun: string): string {
  return `${grouped(count)} ${noun}${count === 1 ? "" : "s"}`;
}
