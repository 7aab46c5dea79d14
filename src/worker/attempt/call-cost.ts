// What an attempt cost, by the prices of the deployment that was called; and what it cost at most before it ends.
import type { Settings } from "../../config/settings.ts";
import type { Attempt, AttemptEnd, Job } from "../../domain/job.ts";
import { costNanoUsd, keepsForAnHour } from "../../domain/money.ts";
import type { Grant } from "../../scheduler/scheduler.ts";

interface Called {
  job: Job;
  attempt: Attempt;
}

/**
 * The end, with its cost if usage and prices are known. A provider that names no tier is taken to have used the one that
 * was asked for.
 */
export function priced(settings: Pick<Settings, "models">, { job, attempt }: Called, end: AttemptEnd): AttemptEnd {
  const prices = pricesOf(settings, attempt);
  if (end.usage === undefined || prices === undefined) return end;
  const tier = end.serviceTier ?? job.request.serviceTier;
  const keptForAnHour = keepsForAnHour(job.request);
  return { ...end, costNanoUsd: costNanoUsd(prices, end.usage, { tier, keptForAnHour }) };
}

/** What the reservation of a grant costs, in billionths of a US dollar, on the default tier; undefined without a price. */
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
