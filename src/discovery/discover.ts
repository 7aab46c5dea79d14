// Reads what AWS lists for the deployments of a configuration, once per Region and account and in parallel.
import type { DeploymentSettings, QuotaSettings } from "../config/settings.ts";
import { sharedTimeout } from "../domain/shared-abort.ts";
import { type AwsEndpoint, type ListedQuota, openAccountReader } from "./account-reader.ts";
import { likeness, scopesOf } from "./names.ts";

/** What AWS lists in one Region for one account, or why that is unknown. */
export type Listing = { quotas: ListedQuota[] } | { error: string };

export interface DiscoverOptions {
  withinMs: number;
  awsEndpoint?: AwsEndpoint;
}

/** Returns a key that is equal for deployments with the same listing. */
export function listingKey({ region, account }: Pick<DeploymentSettings, "region" | "account">): string {
  return JSON.stringify([region, account?.profile, account?.roleArn, account?.externalId]);
}

/** Reads the listings by `listingKey`. Never rejects: a listing that cannot be read has an error. */
export async function listQuotas(
  deployments: readonly DeploymentSettings[],
  { withinMs, awsEndpoint }: DiscoverOptions,
): Promise<Map<string, Listing>> {
  const places = new Map(deployments.map((deployment) => [listingKey(deployment), deployment]));
  const signal = sharedTimeout(withinMs);
  const listings = [...places].map(async ([key, { region, account }]): Promise<[string, Listing]> => {
    const reader = openAccountReader(region, account, awsEndpoint);
    try {
      // The SDK ignores the signal in some places. Finding credentials, for example, may take long.
      return [key, { quotas: await Promise.race([reader.listQuotas(signal), whenAborted(signal)]) }];
    } catch (error) {
      return [key, { error: (error as Error).message }];
    } finally {
      reader.close();
    }
  });
  return new Map(await Promise.all(listings));
}

function whenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(new Error("AWS did not answer in time.")), { once: true });
  });
}

/**
 * Returns the row that limits a deployment's calls. Among several, prefers the scope that most likely applies, then the
 * most similar name, then the lowest limit.
 */
export function findRow(
  { modelId, listedAs }: Pick<DeploymentSettings, "modelId" | "listedAs">,
  { unit, per }: Pick<QuotaSettings, "unit" | "per">,
  rows: readonly ListedQuota[],
): ListedQuota | undefined {
  const scopes = scopesOf(modelId);
  const ranked = rows
    .filter((row) => row.unit === unit && row.per === per)
    .map((row) => ({ row, rank: rankOf(row) }))
    .filter(({ rank }) => rank !== undefined)
    .sort((a, b) => a.rank! - b.rank! || a.row.value - b.row.value);
  return ranked[0]?.row;

  /**
   * Returns a row's rank; lower is better. One daily quota covers all models, so daily quotas of single models no
   * longer count.
   */
  function rankOf({ model, scope }: ListedQuota): number | undefined {
    if (model === undefined) return 0;
    const at = scopes.indexOf(scope);
    const alike =
      listedAs === undefined ? likeness(model, modelId) : model.toLowerCase() === listedAs.toLowerCase() ? 2 : 0;
    return at < 0 || alike === 0 ? undefined : 1 + at * 2 + (2 - alike);
  }
}
