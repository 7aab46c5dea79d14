// Reads from a 429 which quota was exceeded and how long to wait. Knows the headers and wording of OpenAI and of others
// that use its protocol. Pure.
import type { ThrottleKind } from "../provider.ts";

export type Headers = Readonly<Record<string, string | string[] | undefined>>;

/** Longest accepted wait, in milliseconds. Daily limits recover within it. */
const longestWaitMs = 24 * 3_600_000;

/**
 * Returns the quota that was exceeded.
 * @param type type of the error, which OpenAI sets to the quota's unit
 */
export function throttleKind(message: string, type: string, headers: Headers): ThrottleKind {
  // All daily quotas are parked alike, whether on requests or on tokens.
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
 * Returns how long the server asks to wait, in milliseconds. The reset headers are used last: they say when the quota
 * is full again, which is later than when it admits one call.
 * @param wall time of day, in milliseconds since the epoch, for dates
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

/** Reads Retry-After in seconds or as a date, or OpenAI's own header in milliseconds. */
export function retryAfter(headers: Headers, wall: number): number | undefined {
  const ms = header(headers, "retry-after-ms");
  return waitMs(ms && `${ms}ms`, wall) ?? waitMs(header(headers, "retry-after"), wall);
}

/**
 * Parses "1s", "6m0s", "20ms", "1h2m", "1.5" (seconds), "Fri, 27 Nov 2026 12:00:00 GMT", or "1795780800" (seconds or
 * milliseconds since 1970). Returns undefined for anything else, and for times that are not in the future.
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
