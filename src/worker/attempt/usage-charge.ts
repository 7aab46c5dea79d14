// What the usage of a call costs its quotas. Pure.
import type { Usage } from "../../domain/job.ts";
import type { TokenCount } from "../../domain/tokens.ts";

/** Most input that a call is charged, in tokens of its reservation, and tokens beyond that for what a template adds. */
const mostOfReserved = 4;
const templateTokens = 256;

/**
 * Returns what a call is settled at. Tokens read from a cache cost no quota; see ProviderAnswer.quotaUsage.
 *
 * A call is charged at most four times the input that was reserved and 256 tokens, and at most the output that was reserved.
 * Usage and cost show what the provider reports; a quota would stop for minutes after one report of three times its limit.
 * A server that really uses more shows it by throttling, and then the limit is learned.
 */
export function usageCharge(
  usage: Usage,
  reserved: TokenCount,
): { input: number; output: number; cacheWrite?: number } {
  const mostInput = mostOfReserved * reserved.input + templateTokens;
  const input = bounded(usage.input, mostInput);
  const output = bounded(usage.output, reserved.output);
  if (usage.cacheWrite === undefined) return { input, output };
  return { input, output, cacheWrite: bounded(usage.cacheWrite, mostInput - input) };
}

/** Whole tokens: what was stored before usage was checked may be any number. */
function bounded(tokens: number, most: number): number {
  return Number.isFinite(tokens) ? Math.min(most, Math.max(0, Math.ceil(tokens))) : most;
}
