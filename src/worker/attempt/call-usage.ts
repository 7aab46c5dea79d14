// Computes what a call used: the charge of its quotas, its cost, and an estimate if the provider reports nothing.
import type { Settings } from "../../config/settings.ts";
import { definedFields } from "../../domain/defined-fields.ts";
import type { Attempt, AttemptEnd, Job, Usage } from "../../domain/job.ts";
import { costNanoUsd, keepsForAnHour } from "../../domain/money.ts";
import { estimateTokens, type TokenCount } from "../../domain/tokens.ts";
import type { ProviderAnswer } from "../../providers/provider.ts";
import type { Grant } from "../../scheduler/scheduler.ts";

/** Maximum input that a call is charged: a multiple of the reserved tokens, plus tokens for what a template adds. */
const mostOfReserved = 4;
const templateTokens = 256;

/**
 * Returns the usage at which a call is settled. Tokens read from a cache cost no quota; see ProviderAnswer.quotaUsage.
 * A call is charged at most four times its reserved input plus 256 tokens, and at most its reserved output. Usage and
 * cost show what the provider reports, but one report of three times the limit would stop a quota for minutes. A server
 * that really uses more throttles, and then the limit is learned.
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

/** Returns whole tokens. Values stored before usage was checked may be any number. */
function bounded(tokens: number, most: number): number {
  return Number.isFinite(tokens) ? Math.min(most, Math.max(0, Math.ceil(tokens))) : most;
}

/** Counts the output of one call while it streams. */
export class OutputMeter {
  #tokens = 0;

  /** Estimated tokens of all chunks so far. */
  get tokens(): number {
    return this.#tokens;
  }

  readonly add = (piece: string): void => {
    this.#tokens += estimateTokens(piece);
  };
}

/** Returns the estimated output tokens of a whole answer. */
export function outputOf({ text, toolCalls, reasoning = [] }: ProviderAnswer): number {
  const texts = [text, ...reasoning.map((thought) => thought.text)];
  return (
    estimateTokens(texts.join("")) + toolCalls.reduce((sum, call) => sum + estimateTokens(JSON.stringify(call)), 0)
  );
}

/**
 * Adds an estimate to the end of a call that may have been billed, unless its usage is known. Limits, budgets and usage
 * count the estimate until the real usage is known.
 * @param seen estimated output tokens received; without any, the output counts as reserved
 */
export function withEstimate(end: AttemptEnd, { reserved }: Pick<Attempt, "reserved">, seen: number): AttemptEnd {
  if (end.usage !== undefined) return end;
  const output = seen > 0 ? Math.min(seen, reserved.output) : reserved.output;
  return { ...end, usage: { input: reserved.input, output }, estimated: true };
}

/** Adds the cost to an end, if usage and prices are known. If the provider names no tier, the requested one counts. */
export function withCost(
  settings: Pick<Settings, "models">,
  { job, attempt }: { job: Pick<Job, "request">; attempt: Attempt },
  end: AttemptEnd,
): AttemptEnd {
  const prices = pricesOf(settings, attempt);
  if (end.usage === undefined || prices === undefined) return end;
  const tier = end.serviceTier ?? job.request.serviceTier;
  const keptForAnHour = keepsForAnHour(job.request);
  return definedFields<AttemptEnd>(end, { costNanoUsd: costNanoUsd(prices, end.usage, { tier, keptForAnHour }) });
}

/**
 * Returns the cost of a grant's reservation on the default tier, in billionths of a US dollar. Undefined without a
 * price.
 */
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
