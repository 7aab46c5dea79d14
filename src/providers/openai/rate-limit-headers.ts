// What a 429 says about which quota was exceeded and how long to wait: in OpenAI's headers and words, and in those of
// others who use its protocol. Pure.
import type { ThrottleKind } from "../provider.ts";

export type Headers = Readonly<Record<string, string | string[] | undefined>>;

/** Waits beyond this are not believed. Daily limits come back within it. */
const longestWaitMs = 24 * 3_600_000;

/** @param type the error's type, which OpenAI sets to the quota's unit */
export function throttleKind(message: string, type: string, headers: Headers): ThrottleKind {
  // The daily quotas are parked as one, be they on requests or on tokens.
  if (/\bper day\b|\b[TR]PD\b/i.test(message)) return "tokens_per_day";
  if (type === "tokens" || /\b[IO]?TPM\b|tokens per min|token rate limit|too many tokens/i.test(message))
    return "tokens";
  if (type === "requests" || /\bRPM\b|requests per min|call rate limit/i.test(message)) return "requests";
  if (used("tokens", headers)) return "tokens";
  if (used("requests", headers)) return "requests";
  return /too many requests|request rate/i.test(message) ? "requests" : "unknown";
}

function used(unit: "requests" | "tokens", headers: Headers): boolean {
  return header(headers, `x-ratelimit-remaining-${unit}`) === "0";
}

/**
 * How long the server asks to wait. The reset headers come last: they tell when the quota is full again, which is later
 * than when there is room for one call.
 * @param wall the time of day, for dates
 */
export function waitAfterThrottle(
  message: string,
  kind: ThrottleKind,
  headers: Headers,
  wall: number,
): number | undefined {
  const inWords =
    /(?:try again|retry) (?:in|after) ([\d.]+ ?(?:ms|s|m|h|seconds?|minutes?)(?:[\d.]+(?:ms|s|m))*)/i.exec(message);
  const resets = (["requests", "tokens"] as const)
    .filter((unit) => (kind !== "requests" && kind !== "tokens" ? true : unit === kind))
    .map((unit) => waitMs(header(headers, `x-ratelimit-reset-${unit}`), wall))
    .filter((ms) => ms !== undefined);
  return (
    retryAfter(headers, wall) ??
    waitMs(
      inWords?.[1]
        ?.replace(/ ?seconds?/, "s")
        .replace(/ ?minutes?/, "m")
        .replace(" ", ""),
      wall,
    ) ??
    (resets.length > 0 ? Math.min(...resets) : undefined)
  );
}

/** Retry-After in seconds or as a date, or OpenAI's own header in milliseconds. */
export function retryAfter(headers: Headers, wall: number): number | undefined {
  const ms = header(headers, "retry-after-ms");
  return waitMs(ms && `${ms}ms`, wall) ?? waitMs(header(headers, "retry-after"), wall);
}

/**
 * "1s", "6m0s", "20ms", "1h2m", "1.5" (seconds), "Fri, 27 Nov 2026 12:00:00 GMT", "1795780800" (seconds since 1970, or
 * milliseconds). Undefined if it is none of these, or no time from now.
 */
function waitMs(text: string | undefined, wall: number): number | undefined {
  if (!text) return undefined;
  const bounded = (ms: number) => (ms > 0 ? Math.min(longestWaitMs, Math.ceil(ms)) : undefined);
  if (/^\d+(\.\d+)?$/.test(text)) {
    const number = Number(text);
    if (number < 1e9) return bounded(number * 1_000);
    return bounded((number < 1e12 ? number * 1_000 : number) - wall);
  }
  const parts = /^(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?$/.exec(text);
  if (parts) {
    const [days, hours, minutes, seconds, ms] = parts.slice(1).map((part) => Number(part ?? 0)) as number[];
    return bounded((((days! * 24 + hours!) * 60 + minutes!) * 60 + seconds!) * 1_000 + ms!);
  }
  const date = /^[A-Za-z]{3}|^\d{4}-\d\d-\d\dT/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(date) ? undefined : bounded(date - wall);
}

function header(headers: Headers, name: string): string | undefined {
  const value = headers[name];
  return (Array.isArray(value) ? value[0] : value)?.trim();
}
