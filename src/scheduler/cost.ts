// What a call costs: each quota in its own unit, and the fair shares in one common unit.
import type { TokenCount } from "../domain/tokens.ts";
import type { QuotaUnit } from "./scheduler-configuration.ts";

/**
 * What a quota is charged when a call starts. Bedrock reserves input + max_tokens at admission and settles at input +
 * output x burndown; where the burndown can make the settlement the larger one, the larger one is reserved.
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

/** What a call turned out to cost. Tokens written to a cache count as input; tokens read from one are free. */
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
 * The cost that fairness counts: for how many microseconds the charge occupies a quota. The largest one over a
 * deployment's quotas is the share that the job takes of what is scarce: tokens where tokens bind, requests where
 * requests do.
 */
export function fairCost(cost: number, limit: number, windowMs: number): number {
  return Math.ceil((cost * windowMs * 1000) / limit);
}

/** What a job costs the fair shares where nothing limits its deployment: a millisecond, whatever its size. */
export const unlimitedFairCost = 1000;
