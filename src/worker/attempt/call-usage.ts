// What a call used: what its quotas are charged, what it cost, and an estimate where the provider does not say.
import type { Settings } from "../../config/settings.ts";
import type { Attempt, AttemptEnd, Job, Usage } from "../../domain/job.ts";
import { costNanoUsd, keepsForAnHour } from "../../domain/money.ts";
import { estimateTokens, type TokenCount } from "../../domain/tokens.ts";
import type { ProviderAnswer } from "../../providers/provider.ts";
import type { Grant } from "../../scheduler/scheduler.ts";

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

/** Returns whole tokens: what was stored before usage was checked may be any number. */
function bounded(tokens: number, most: number): number {
  return Number.isFinite(tokens) ? Math.min(most, Math.max(0, Math.ceil(tokens))) : most;
}

/** Counts the output of one call as it streams. */
export class OutputMeter {
  #tokens = 0;

  /** Estimated tokens of all pieces so far. */
  get tokens(): number {
    return this.#tokens;
  }

  readonly add = (piece: string): void => {
    this.#tokens += estimateTokens(piece);
  };
}

/** Returns the estimated output tokens of a whole answer. */
export function outputOf({ text, toolCalls }: ProviderAnswer): number {
  return estimateTokens(text) + toolCalls.reduce((sum, call) => sum + estimateTokens(JSON.stringify(call)), 0);
}

/**
 * Adds an estimate to the end of a call that may have been billed, unless its usage is known. Limits, budgets and usage
 * count the estimate until they learn the real usage.
 * @param seen estimated output tokens that arrived; without any, the output counts as reserved
 */
export function withEstimate(end: AttemptEnd, { reserved }: Pick<Attempt, "reserved">, seen: number): AttemptEnd {
  if (end.usage !== undefined) return end;
  const output = seen > 0 ? Math.min(seen, reserved.output) : reserved.output;
  return { ...end, usage: { input: reserved.input, output }, estimated: true };
}

/**
 * Adds its cost to an end, if usage and prices are known. A provider that names no tier is taken to have used the one that
 * was asked for.
 */
export function withCost(
  settings: Pick<Settings, "models">,
  { job, attempt }: { job: Pick<Job, "request">; attempt: Attempt },
  end: AttemptEnd,
): AttemptEnd {
  const prices = pricesOf(settings, attempt);
  if (end.usage === undefined || prices === undefined) return end;
  const tier = end.serviceTier ?? job.request.serviceTier;
  const keptForAnHour = keepsForAnHour(job.request);
  return { ...end, costNanoUsd: costNanoUsd(prices, end.usage, { tier, keptForAnHour }) };
}

/** Returns what a grant's reservation costs on the default tier, in billionths of a US dollar; undefined without a price. */
export function reservedNanoUsd(
  settings: Pick<Settings, "models">,
  grant: Pick<Grant, "model" | "deployment" | "reserved">,
): number | undefined {
  const prices = pricesOf(settings, grant);
  return prices && costNanoUsd(prices, grant.reserved);
}

function pricesOf({ models }: Pick<Settings, "models">, { model, deployment }: Pick<Attempt, "model" | "deployment">) {
  return models[model]?.deployments.find(({ id }) => id === deployment)?.traits.prices;
}
