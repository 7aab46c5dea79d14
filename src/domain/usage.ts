// What calls have used, as sums that can be added up: of a time, a key, a model. Pure.
import type { AttemptEnd } from "./job.ts";

export interface UsageSums {
  /** Jobs whose first attempt is among those that are counted. */
  jobs: number;
  /** Calls that left, or may have. */
  attempts: number;
  /** Of those, the ones that run or of which nobody knows how they ended; they may have been billed. */
  open: number;
  /** Of those, the ones that used tokens whose price is not known: they are missing from `nanoUsd`. */
  unpriced: number;
  input: number;
  output: number;
  cacheRead: number;
  cacheWrite: number;
  /** Billionths of a US dollar. */
  nanoUsd: number;
}

/** Of one tenant, key and model alias. */
export interface UsageRow extends UsageSums {
  tenant: string;
  /** Absent where there are no keys. */
  keyId?: string;
  model: string;
}

export const noUsage: Readonly<UsageSums> = {
  jobs: 0,
  attempts: 0,
  open: 0,
  unpriced: 0,
  input: 0,
  output: 0,
  cacheRead: 0,
  cacheWrite: 0,
  nanoUsd: 0,
};

const fields = Object.keys(noUsage) as (keyof UsageSums)[];

/** Adds `more` to `sums`, in place. */
export function addUsage(sums: UsageSums, more: UsageSums): void {
  for (const field of fields) sums[field] += more[field];
}

export function usageOfAttempt({ n, end }: { n: number; end?: AttemptEnd }): UsageSums {
  const usage = end?.usage;
  return {
    jobs: n === 1 ? 1 : 0,
    attempts: end?.result === "not_sent" ? 0 : 1,
    open: end ? 0 : 1,
    unpriced: usage && end.costNanoUsd === undefined ? 1 : 0,
    input: usage?.input ?? 0,
    output: usage?.output ?? 0,
    cacheRead: usage?.cacheRead ?? 0,
    cacheWrite: usage?.cacheWrite ?? 0,
    nanoUsd: end?.costNanoUsd ?? 0,
  };
}
