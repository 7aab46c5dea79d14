// Writes what is left of quotas in the headers of each API. A quota that does not exist has no headers.
import type { Clock } from "../../domain/clock.ts";
import type { Job } from "../../domain/job.ts";
import type { QuotaRoom, QuotaRooms, RoomByUnit } from "../../jobs/read/quota-room.ts";

/** Reads the quotas, and returns a function that writes the headers of a job's answer. */
export type LimitHeaders = () => Promise<(job: Job) => Record<string, string>>;

/** Returns the headers of OpenAI's API, such as `x-ratelimit-remaining-requests`. */
export function openAiLimits(rooms: QuotaRooms): LimitHeaders {
  return written(rooms, ({ requests, tokens }) => {
    const of = (name: string, { limit, remaining, resetMs }: QuotaRoom) => ({
      [`x-ratelimit-limit-${name}`]: String(limit),
      [`x-ratelimit-remaining-${name}`]: String(remaining),
      [`x-ratelimit-reset-${name}`]: durationText(resetMs),
    });
    return { ...(requests && of("requests", requests)), ...(tokens && of("tokens", tokens)) };
  });
}

/** Returns the headers of Anthropic's API, such as `anthropic-ratelimit-requests-remaining`. */
export function anthropicLimits(rooms: QuotaRooms, clock: Clock): LimitHeaders {
  return written(rooms, (room) => {
    const headers: Record<string, string> = {};
    for (const [unit, { limit, remaining, resetMs }] of Object.entries(room)) {
      const prefix = `anthropic-ratelimit-${unit.replace("_", "-")}`;
      headers[`${prefix}-limit`] = String(limit);
      headers[`${prefix}-remaining`] = String(remaining);
      headers[`${prefix}-reset`] = timeText(clock.wall() + resetMs);
    }
    return headers;
  });
}

function written(rooms: QuotaRooms, headersOf: (room: RoomByUnit) => Record<string, string>): LimitHeaders {
  return async () => {
    const roomOf = await rooms.read();
    return (job) => headersOf(roomOf(job));
  };
}

/** Returns a duration as OpenAI writes it, such as `12ms`, `1.5s` or `6m0s`. */
export function durationText(ms: number): string {
  const whole = Math.ceil(ms);
  if (whole < 1000) return `${whole}ms`;
  const seconds = `${(whole % 60_000) / 1000}s`;
  const minutes = Math.floor(whole / 60_000);
  if (minutes === 0) return seconds;
  return minutes < 60 ? `${minutes}m${seconds}` : `${Math.floor(minutes / 60)}h${minutes % 60}m${seconds}`;
}

/** Returns a time in RFC 3339, in whole seconds, not earlier than it is. */
function timeText(at: number): string {
  return new Date(1000 * Math.ceil(at / 1000)).toISOString().replace(".000Z", "Z");
}
