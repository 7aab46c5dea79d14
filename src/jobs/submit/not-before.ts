// Reads the earliest start of a job, from a submit or a change.
import type { Settings } from "../../config/settings.ts";
import { SluiceError } from "../../domain/errors.ts";

/** A time in milliseconds since the epoch, or a delay from now in milliseconds. */
export type NotBefore = { at: number } | { inMs: number };

/**
 * Returns the earliest start in milliseconds since the epoch.
 * @param expiresAt the job's deadline; absent if it has none
 * @throws SluiceError `invalid_request` for a start that is too far away, or not before the deadline
 */
export function startTime(
  { limits }: Pick<Settings, "limits">,
  requested: NotBefore,
  now: number,
  expiresAt: number | undefined,
): number {
  const start = "at" in requested ? requested.at : now + requested.inMs;
  const { maxExpiresInS } = limits;
  if (start > now + maxExpiresInS * 1000) throw refused(`at most ${maxExpiresInS} seconds from now`);
  if (expiresAt !== undefined && start >= expiresAt) throw refused("earlier than the deadline of the job");
  return start;
}

function refused(allowed: string): SluiceError {
  return new SluiceError("invalid_request", `not_before must be ${allowed}.`, { field: "not_before" });
}
