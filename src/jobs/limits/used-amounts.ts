// What a job has used, as its key's limits count it. Pure.
import type { Attempt, Outcome } from "../../domain/job.ts";
import { attemptUsage } from "../../domain/usage.ts";
import { type Amounts, plus } from "../reservation.ts";

const none: Amounts = { jobs: 1, tokens: 0, nanoUsd: 0 };

/**
 * The tokens and the cost of all calls: real usage, or estimates until it is known.
 * @param reserved what the job reserved for one call, which is what a call without a price costs
 */
export function usedBy(attempts: readonly Attempt[], reserved: Amounts): Amounts {
  let used = none;
  for (const attempt of attempts) {
    const known = attemptUsage(attempt);
    if (!known) continue;
    const { input, output, cacheRead = 0, cacheWrite = 0 } = known.usage;
    const tokens = input + output + cacheRead + cacheWrite;
    const nanoUsd = known.nanoUsd ?? reserved.nanoUsd;
    used = plus(used, { jobs: 0, tokens, nanoUsd, ...(known.estimated && { estimated: { tokens, nanoUsd } }) });
  }
  return used;
}

/** The same for a job whose attempts are not stored. */
export function usedByOutcome({ usage, costNanoUsd }: Outcome, reserved: Amounts): Amounts {
  if (!usage) return { ...none, nanoUsd: costNanoUsd ?? 0 };
  const { input, output, cacheRead = 0, cacheWrite = 0 } = usage;
  return { jobs: 1, tokens: input + output + cacheRead + cacheWrite, nanoUsd: costNanoUsd ?? reserved.nanoUsd };
}
