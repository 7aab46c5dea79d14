// The cost of a call: for each quota in its own unit, and for the fair shares in one common unit.
import type { TokenCount } from "../domain/tokens.ts";
import type { QuotaUnit } from "./scheduler-configuration.ts";

/**
 * Returns what a quota is charged when a call starts, in `unit`. Bedrock reserves input + max_tokens at admission and
 * settles at input + output x burndown. Where the burndown can make the settlement larger, this reserves the larger
 * one.
 */
export function reservedCost(unit: QuotaUnit, tokens: TokenCount, outputBurndown: number): number {
  const output = Math.ceil(tokens.output * Math.max(1, outputBurndown));
  switch (unit) {
    case "requests":
      return 1;
    case "tokens":
      return tokens.input + output;
    case "input_tokens":
      return tokens.input;
    case "output_tokens":
      return output;
  }
}

/**
 * Returns what a call turned out to cost, in `unit`. Tokens written to a cache count as input; tokens read from one are
 * free.
 */
export function settledCost(
  unit: QuotaUnit,
  used: { input: number; output: number; cacheWrite?: number },
  outputBurndown: number,
): number {
  const input = used.input + (used.cacheWrite ?? 0);
  const output = Math.ceil(used.output * outputBurndown);
  switch (unit) {
    case "requests":
      return 1;
    case "tokens":
      return input + output;
    case "input_tokens":
      return input;
    case "output_tokens":
      return output;
  }
}

/**
 * Returns the cost that fairness counts: for how many microseconds a charge occupies a quota.
 * A job's share is the largest such cost over its deployment's quotas. It counts tokens where tokens are the
 * bottleneck, and requests where requests are.
 */
export function fairCost(cost: number, limit: number, windowMs: number): number {
  return Math.ceil((cost * windowMs * 1000) / limit);
}

/** Fair cost of a job on a deployment without quotas, in microseconds: a millisecond, whatever the job's size. */
export const unlimitedFairCost = 1000;
