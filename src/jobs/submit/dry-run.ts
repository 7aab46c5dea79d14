// Estimates a job without submitting it: all checks, tokens, cost, binding quota and queue position. It stores nothing.
import type { DeploymentSettings } from "../../config/settings.ts";
import type { Job } from "../../domain/job.ts";
import { costNanoUsd } from "../../domain/money.ts";
import type { TokenCount } from "../../domain/tokens.ts";
import { reservedCost } from "../../scheduler/cost.ts";
import type { Explanation } from "../../scheduler/scheduler.ts";
import type { QuotaUnit } from "../../scheduler/scheduler-configuration.ts";
import type { Caller } from "../caller.ts";
import type { JobsContext } from "../jobs-context.ts";
import { estimatePosition } from "../queue-position.ts";
import { servedBy } from "../served-by.ts";
import { reservedInput } from "../tokens/token-ratios.ts";
import { buildJob } from "./build-job.ts";
import type { SubmitInput } from "./submit-input.ts";

export interface DryRun {
  /** The job. Its `tokens` are an upper bound of what it would reserve. */
  job: Job;
  /**
   * Input that would be reserved after an exact count, never more than the job's. Absent if it cannot be counted now.
   */
  input?: number;
  cost?: CostRange;
  /**
   * The quota of which the job takes the largest share, on the deployment where that share is smallest. Absent without
   * quotas.
   */
  binding?: Binding;
  queuePosition?: Explanation;
  /** Expected duration of a call in milliseconds. Absent if unknown. */
  durationMs?: number;
}

/** A range in billionths of a US dollar. Absent if a price is unknown. */
export interface CostRange {
  min: number;
  max: number;
}

export interface Binding {
  deployment: string;
  quota: string;
  unit: QuotaUnit;
  per: "minute" | "day";
  limit: number;
  /** The amount that would be reserved. */
  takes: number;
}

/**
 * Estimates a job.
 * @throws SluiceError as a submit would
 */
export async function dryRun(context: JobsContext, input: SubmitInput, caller: Caller): Promise<DryRun> {
  const { settings, log, durations } = context;
  const built = await buildJob(context, input, caller);
  await context.limits?.check([built]);
  const counted = await countedInput(context, built);
  // For about one prompt in sixty, the one-pass bound of a submit is lower than the count.
  const atLeast = (tokens: TokenCount) => ({ ...tokens, input: Math.max(tokens.input, counted ?? 0) });
  const { totalTokens, tokens } = built;
  const job = totalTokens ? { ...built, totalTokens: atLeast(totalTokens) } : { ...built, tokens: atLeast(tokens) };
  const deployments = servedBy(settings, job);
  const queuePosition = await estimatePosition(context, job).catch((error) => {
    log.warn({ err: error }, "failed to estimate the queue position of a dry run");
    return undefined;
  });
  const cost = costRange(deployments, job.request.serviceTier, { input: counted ?? 0, output: 0 }, totalOf(job));
  const binding = bindingOf(deployments, job.tokens);
  const durationMs = durations?.averageMs(job.model);
  return {
    job,
    ...(counted !== undefined && { input: counted }),
    ...(cost && { cost }),
    ...(binding && { binding }),
    ...(queuePosition && { queuePosition }),
    ...(durationMs !== undefined && { durationMs }),
  };
}

/**
 * Returns the input as for waiting jobs near the head of the queue: the count, times the model's learned ratio. Returns
 * undefined if it cannot be counted now.
 */
export async function countedInput(
  { settings, tokenCounter, tokenRatios }: JobsContext,
  job: Pick<Job, "request" | "model" | "fallbackModels">,
): Promise<number | undefined> {
  const [count] = await tokenCounter.count([job.request]).catch(() => []);
  if (count === undefined) return undefined;
  return reservedInput(settings, tokenRatios, [job.model, ...job.fallbackModels], job.request, count);
}

/** Returns what all calls of a job reserve together. */
export function totalOf({ totalTokens, tokens }: Pick<Job, "tokens" | "totalTokens">): TokenCount {
  return totalTokens ?? tokens;
}

/** Returns the cost from the least use at the cheapest deployment to the most at the dearest. */
export function costRange(
  deployments: readonly DeploymentSettings[],
  tier: string | undefined,
  least: TokenCount,
  most: TokenCount,
): CostRange | undefined {
  let range: CostRange | undefined;
  for (const { traits } of deployments) {
    const min = traits.prices && costNanoUsd(traits.prices, least, { tier });
    const max = traits.prices && costNanoUsd(traits.prices, most, { tier });
    if (min === undefined || max === undefined) return undefined;
    range = { min: Math.min(range?.min ?? min, min), max: Math.max(range?.max ?? max, max) };
  }
  return range;
}

function bindingOf(deployments: readonly DeploymentSettings[], tokens: TokenCount): Binding | undefined {
  let least: Binding | undefined;
  for (const deployment of deployments) {
    let most: Binding | undefined;
    for (const { name, unit, per, limit } of deployment.quotas) {
      const takes = reservedCost(unit, tokens, deployment.outputBurndown);
      const binding = { deployment: deployment.id, quota: name, unit, per, limit, takes };
      if (!most || takes / limit > most.takes / most.limit) most = binding;
    }
    if (!most) return undefined;
    if (!least || most.takes / most.limit < least.takes / least.limit) least = most;
  }
  return least;
}
