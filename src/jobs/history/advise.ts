// Advises on every configured quota, from the history of the last days.
import { lifecycleOf } from "../../config/lifecycle.ts";
import type { DeploymentSettings, Settings } from "../../config/settings.ts";
import type { JobsContext } from "../jobs-context.ts";
import { type AdviceForm, cautionsOf, formOf, formTextOf, type QuotaUser, reasonOf } from "./advice-text.ts";
import { hourMs, minuteMs, readHours, startOf } from "./history-records.ts";
import { type AdvisedQuota, adviseQuota, type QuotaAdvice } from "./quota-advice.ts";

export interface AdviceQuery {
  /** Days of history to read, 1 to 30. */
  days: number;
  /** Time within which accepted work should be done, in whole hours from 1 to 24. */
  targetWaitHours: number;
}

export interface WordedAdvice extends QuotaAdvice {
  form: AdviceForm;
  /** Ids of the deployments that use the quota. */
  deployments: string[];
  /** What to do and why. */
  reason: string;
  cautions: string[];
  /** For the form of the provider. Absent if there is nothing to ask for. */
  text?: string;
}

export interface AdviceReport {
  /** Start and end of the history that was read, in milliseconds since the epoch. */
  from: number;
  to: number;
  /** Minutes between them that were recorded. */
  minutes: number;
  quotas: WordedAdvice[];
}

/** Returns the advice for each quota, in the order of the configuration. */
export async function adviseQuotas(
  { settings, scheduler, store, clock }: Pick<JobsContext, "settings" | "scheduler" | "store" | "clock">,
  { days, targetWaitHours }: AdviceQuery,
): Promise<AdviceReport> {
  const now = clock.wall();
  const to = startOf(now, minuteMs);
  const [hours, snapshot] = await Promise.all([
    readHours(store, startOf(now, hourMs) - (days * 24 - 1) * hourMs, to),
    scheduler.snapshot(),
  ]);
  const from = hours[0]?.at ?? to;
  const { sendWithinMs, networkJitterMs } = settings.scheduler;
  const effective = new Map(snapshot.quotas.map(({ name, effectiveLimit }) => [name, effectiveLimit]));
  const quotas = quotasOf(settings).map(({ quota, deployments }) => {
    const advised = { ...quota, effectiveLimit: effective.get(quota.name) ?? quota.configuredLimit };
    const advice = adviseQuota(advised, hours, { targetWaitHours, guardMs: sendWithinMs + networkJitterMs });
    const users = deployments.map((deployment) => userOf(deployment, now));
    const options = { users, targetWaitHours, from, to };
    const text = formTextOf(advice, options);
    return {
      ...advice,
      form: formOf(advice, users),
      deployments: deployments.map(({ id }) => id),
      reason: reasonOf(advice, options),
      cautions: cautionsOf(advice, options),
      ...(text !== undefined && { text }),
    };
  });
  return { from, to, minutes: hours.reduce((sum, { period }) => sum + period.minutes, 0), quotas };
}

interface UsedQuota {
  quota: Omit<AdvisedQuota, "effectiveLimit"> & { models: string[] };
  deployments: DeploymentSettings[];
}

/** Returns each configured quota once, with the models and deployments that use it. */
function quotasOf({ models }: Pick<Settings, "models">): UsedQuota[] {
  const found = new Map<string, UsedQuota>();
  for (const [alias, { deployments }] of Object.entries(models)) {
    for (const deployment of deployments) {
      for (const { name, unit, per, limit } of deployment.quotas) {
        const used = found.get(name) ?? {
          quota: { name, unit, per, configuredLimit: limit, models: [] },
          deployments: [],
        };
        if (!used.quota.models.includes(alias)) used.quota.models.push(alias);
        if (!used.deployments.some(({ id }) => id === deployment.id)) used.deployments.push(deployment);
        found.set(name, used);
      }
    }
  }
  return [...found.values()];
}

function userOf(deployment: DeploymentSettings, now: number): QuotaUser {
  const { id, provider, region, modelId, account, listedAs, openai } = deployment;
  return {
    ...{ provider, region, modelId },
    ...(account && { account: account.label }),
    ...(listedAs !== undefined && { listedAs }),
    ...(openai && { host: new URL(openai.baseUrl).host }),
    isSimulated: id.startsWith("simulator/"),
    isLegacy: lifecycleOf(deployment, now).status !== "active",
  };
}
