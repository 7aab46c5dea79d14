// Sums up what calls have used, by time, key or model. Pure.
import { isUnknown } from "./attempts.ts";
import type { Attempt, Usage } from "./job.ts";

/** Sums of usage over jobs and attempts. */
export interface UsageSums {
  /** Number of jobs whose first attempt is counted. */
  jobs: number;
  /** Number of calls that were sent, or may have been. */
  attempts: number;
  /** Number of these calls that run or whose result is unknown. They may have been billed. */
  open: number;
  /** Number of these calls that used tokens of unknown price. `nanoUsd` excludes them. */
  unpriced: number;
  /** Number of these calls whose usage is an estimate, because the provider reported none. */
  estimated: number;
  input: number;
  output: number;
  cacheRead: number;
  cacheWrite: number;
  /** Cost in billionths of a US dollar. */
  nanoUsd: number;
  /** The estimated part of `input`. */
  estimatedInput: number;
  /** The estimated part of `output`. */
  estimatedOutput: number;
  /** The estimated part of `nanoUsd`. */
  estimatedNanoUsd: number;
}

/** Usage of one UTC day, tenant, key and model alias. */
export interface UsageRow extends UsageSums {
  /** UTC day in whole days since 1970. */
  day: number;
  tenant: string;
  /** Absent if there are no keys. */
  keyId?: string;
  model: string;
}

export const noUsage: Readonly<UsageSums> = {
  jobs: 0,
  attempts: 0,
  open: 0,
  unpriced: 0,
  estimated: 0,
  input: 0,
  output: 0,
  cacheRead: 0,
  cacheWrite: 0,
  nanoUsd: 0,
  estimatedInput: 0,
  estimatedOutput: 0,
  estimatedNanoUsd: 0,
};

export const usageFields = Object.keys(noUsage) as (keyof UsageSums)[];

const dayMs = 86_400_000;

/** Returns the UTC day of a time in milliseconds since the epoch, as whole days since 1970. */
export function usageDay(atMs: number): number {
  return Math.floor(atMs / dayMs);
}

/** Adds `more` to `sums`, in place. With `sign` -1 it subtracts. */
export function addUsage(sums: UsageSums, more: UsageSums, sign: 1 | -1 = 1): void {
  for (const field of usageFields) sums[field] += sign * more[field];
}

/** What one attempt used. */
export interface AttemptUsage {
  usage: Usage;
  /** Cost in billionths of a US dollar. Absent if no price is known. */
  nanoUsd?: number;
  /** Whether this is an estimate, because the provider reported no usage. */
  estimated: boolean;
}

/**
 * Returns what an attempt used: as the provider reported it, or else its estimate. An attempt without a known result
 * counts with its reservation until its real usage is known. Undefined if nothing can have been billed.
 */
export function attemptUsage(attempt: Pick<Attempt, "reserved" | "reservedNanoUsd" | "end">): AttemptUsage | undefined {
  const { reserved, reservedNanoUsd, end } = attempt;
  if (end?.usage) {
    const { usage, costNanoUsd, estimated = false } = end;
    return { usage, ...(costNanoUsd !== undefined && { nanoUsd: costNanoUsd }), estimated };
  }
  // Earlier versions stored no estimate when they cut off a call.
  if (end && end.result !== "aborted" && end.result !== "unknown") return undefined;
  const usage = { input: reserved.input, output: reserved.output };
  return { usage, ...(reservedNanoUsd !== undefined && { nanoUsd: reservedNanoUsd }), estimated: true };
}

/** More than any call can use. Earlier versions may have stored any number. */
const most = 1e12;

function whole(n: number | undefined): number {
  return n !== undefined && n > 0 ? Math.round(Math.min(n, most)) : 0;
}

/** Returns the usage of one attempt as sums. */
export function usageOfAttempt(
  attempt: Pick<Attempt, "n" | "reserved" | "reservedNanoUsd"> & Partial<Pick<Attempt, "end">>,
): UsageSums {
  const { n, end } = attempt;
  const used = attemptUsage(attempt);
  const input = whole(used?.usage.input);
  const output = whole(used?.usage.output);
  const nanoUsd = whole(used?.nanoUsd);
  const estimated = used?.estimated === true;
  return {
    jobs: n === 1 ? 1 : 0,
    attempts: end?.result === "not_sent" ? 0 : 1,
    open: isUnknown(attempt) ? 1 : 0,
    unpriced: used && used.nanoUsd === undefined ? 1 : 0,
    estimated: estimated ? 1 : 0,
    input,
    output,
    cacheRead: whole(used?.usage.cacheRead),
    cacheWrite: whole(used?.usage.cacheWrite),
    nanoUsd,
    estimatedInput: estimated ? input : 0,
    estimatedOutput: estimated ? output : 0,
    estimatedNanoUsd: estimated ? nanoUsd : 0,
  };
}

/** Cost of several attempts together. */
export interface AttemptsCost {
  /** Cost in billionths of a US dollar. */
  nanoUsd: number;
  /** The estimated part of `nanoUsd`. */
  estimatedNanoUsd: number;
}

/** Returns the total cost of attempts. Undefined if none used anything, or if one used tokens of unknown price. */
export function costOfAttempts(attempts: readonly Attempt[]): AttemptsCost | undefined {
  let sum: AttemptsCost | undefined;
  for (const attempt of attempts) {
    const used = attemptUsage(attempt);
    if (!used) continue;
    if (used.nanoUsd === undefined) return undefined;
    sum ??= { nanoUsd: 0, estimatedNanoUsd: 0 };
    sum.nanoUsd += used.nanoUsd;
    if (used.estimated) sum.estimatedNanoUsd += used.nanoUsd;
  }
  return sum;
}

/** Returns the total cost in the form that an outcome stores. */
export function outcomeCost(attempts: readonly Attempt[]): { costNanoUsd?: number; estimatedNanoUsd?: number } {
  const cost = costOfAttempts(attempts);
  if (!cost) return {};
  const { nanoUsd, estimatedNanoUsd } = cost;
  return { costNanoUsd: nanoUsd, ...(estimatedNanoUsd > 0 && { estimatedNanoUsd }) };
}
