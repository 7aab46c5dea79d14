// What would become of a job if it were submitted: all checks, its tokens, its cost, the quota that it takes most of, and
// where it would stand. Nothing is stored.
import type { DeploymentSettings } from "../config/settings.ts";
import type { Job } from "../domain/job.ts";
import { costNanoUsd, keepsForAnHour } from "../domain/money.ts";
import type { TokenCount } from "../domain/tokens.ts";
import { reservedCost } from "../scheduler/cost.ts";
import type { Explanation, QuotaUnit } from "../scheduler/scheduler.ts";
import type { Caller } from "./caller.ts";
import type { JobsContext } from "./context.ts";
import { queueEntryOf } from "./queue-entry.ts";
import { buildJob, type SubmitInput } from "./submit.ts";

export interface DryRun {
  job: Job;
  /** Input as it was counted, not as it is bounded for the quotas; absent if it could not be counted now. */
  counted?: number;
  /** In billionths of a US dollar, of one call; absent if no price is known. */
  cost?: { min: number; max: number };
  /** The quota of which the job takes the largest share, on the deployment where that is smallest; absent without any. */
  binding?: Binding;
  standing?: Explanation;
  /** How long a call is expected to take; absent if that is not known. */
  durationMs?: number;
}

export interface Binding {
  deployment: string;
  quota: string;
  unit: QuotaUnit;
  per: "minute" | "day";
  limit: number;
  /** What the job would reserve of it. */
  takes: number;
}

/** @throws SluiceError as a submit would */
export async function dryRun(context: JobsContext, input: SubmitInput, caller: Caller): Promise<DryRun> {
  const { scheduler, clock, log, tokenCounter, durations } = context;
  const job = await buildJob(context, input, caller);
  await context.limits?.check([job]);
  const deployments = servedBy(context, job);
  const [standing, counted] = await Promise.all([
    scheduler.foresee(queueEntryOf(job, clock.wall())).catch((error) => {
      log.warn({ err: error }, "the scheduler could not say where a job would stand");
      return undefined;
    }),
    tokenCounter.count([job.request]).then(
      ([count]) => count,
      () => undefined,
    ),
  ]);
  const cost = costOf(job, deployments, counted);
  const binding = bindingOf(deployments, job.tokens);
  const durationMs = durations?.averageMs(job.model);
  return {
    job,
    ...(counted !== undefined && { counted }),
    ...(cost && { cost }),
    ...(binding && { binding }),
    ...(standing && { standing }),
    ...(durationMs !== undefined && { durationMs }),
  };
}

/** The deployments of the job's own model that may serve it. */
function servedBy({ settings }: JobsContext, { model, regions }: Job): DeploymentSettings[] {
  const all = settings.models[model]?.deployments ?? [];
  return regions ? all.filter(({ region }) => regions.includes(region)) : all;
}

/** From an answer of no tokens at the cheapest deployment to one of max_tokens, with the bound of the input, at the dearest. */
function costOf({ request, tokens }: Job, deployments: readonly DeploymentSettings[], counted = 0): DryRun["cost"] {
  const terms = { tier: request.serviceTier, keptForAnHour: keepsForAnHour(request) };
  let cost: DryRun["cost"];
  for (const { traits } of deployments) {
    const min = traits.prices && costNanoUsd(traits.prices, { input: counted, output: 0 }, terms);
    const max = traits.prices && costNanoUsd(traits.prices, tokens, terms);
    if (min === undefined || max === undefined) return undefined;
    cost = { min: Math.min(cost?.min ?? min, min), max: Math.max(cost?.max ?? max, max) };
  }
  return cost;
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
