// What an attempt cost, by the prices of the deployment that was called, and what its job has cost with it.
import type { Settings } from "../config/settings.ts";
import type { Attempt, AttemptEnd, Job } from "../domain/job.ts";
import { costNanoUsd, keepsForAnHour, sumOfCosts } from "../domain/money.ts";

interface Called {
  job: Job;
  attempt: Attempt;
}

/**
 * The end, with its cost if usage and prices are known. A provider that names no tier is taken to have used the one that
 * was asked for.
 */
export function priced(settings: Pick<Settings, "models">, { job, attempt }: Called, end: AttemptEnd): AttemptEnd {
  const deployment = settings.models[attempt.model]?.deployments.find(({ id }) => id === attempt.deployment);
  const prices = deployment?.traits.prices;
  if (end.usage === undefined || prices === undefined) return end;
  const tier = end.serviceTier ?? job.request.serviceTier;
  const keptForAnHour = keepsForAnHour(job.request);
  return { ...end, costNanoUsd: costNanoUsd(prices, end.usage, { tier, keptForAnHour }) };
}

/** Of the attempt that ends like this and of those before it. */
export function totalCost({ earlier }: { earlier: readonly Attempt[] }, end: AttemptEnd): number | undefined {
  return sumOfCosts([...earlier.map((attempt) => attempt.end), end]);
}
