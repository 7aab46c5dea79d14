// Reads the limits that the configuration leaves to AWS (`limit: auto`) when the service starts or reloads. If Service
// Quotas cannot be read, uses the values that it listed last, which the store keeps, or else the configuration's
// fallback. Without any of these the service does not start, because an invented limit would throttle or idle it.
import type { Logger } from "pino";
import { type AutoQuota, autoQuotas, setAutoLimits } from "../config/quota-settings.ts";
import type { Settings } from "../config/settings.ts";
import type { JobStore } from "../store/job-store.ts";
import type { AwsEndpoint } from "./account-reader.ts";
import { findRow, type Listing, listingKey, listQuotas } from "./discover.ts";

export interface AutoLimitsContext {
  store: Pick<JobStore, "loadCheckpoint" | "saveCheckpoint">;
  log: Logger;
  awsEndpoint?: AwsEndpoint;
}

const checkpoint = "listed-limits";
/**
 * Timeout in milliseconds. The service returns hundreds of rows in pages of 100 and throttles early. It usually needs
 * seconds.
 */
const withinMs = 30_000;

/**
 * Sets every limit that is `auto`.
 * @throws ConfigError that names each key without a limit
 */
export async function readAutoLimits(
  settings: Settings,
  { store, log, awsEndpoint }: AutoLimitsContext,
): Promise<void> {
  const wanted = autoQuotas(settings);
  if (wanted.length === 0) return;
  const listings = await listQuotas(
    wanted.map(({ deployment }) => deployment),
    { withinMs, ...(awsEndpoint && { awsEndpoint }) },
  );
  const remembered = await readRemembered(store);
  const limits = new Map<string, number | string>();
  for (const { deployment, quota } of wanted) {
    const found = listedLimit(deployment, quota, listings.get(listingKey(deployment))!);
    const last = remembered[quota.name];
    const instead = last ?? quota.auto.fallback;
    if (typeof found === "number") remembered[quota.name] = found;
    else if (instead !== undefined) {
      const source = last === undefined ? "its fallback" : "what AWS listed last";
      log.warn(
        {
          quota: quota.name,
          limit: instead,
          reason: `${quota.auto.key}.limit is auto, but ${found} Sluice uses ${source}.`,
        },
        "replaced a limit that AWS does not list",
      );
    }
    limits.set(quota.name, typeof found === "number" ? found : (instead ?? found));
  }
  setAutoLimits(settings, (name) => limits.get(name)!);
  log.info({ limits: Object.fromEntries(limits) }, "applied limits that are auto");
  await store.saveCheckpoint(checkpoint, remembered);
}

/** Returns the limit, or a sentence that says why there is none. */
function listedLimit(
  deployment: AutoQuota["deployment"],
  quota: AutoQuota["quota"],
  listing: Listing,
): number | string {
  if ("error" in listing) return `the quotas of ${deployment.region} cannot be read. ${listing.error}`;
  const row = findRow(deployment, quota, listing.quotas);
  if (!row) {
    return (
      `AWS lists no ${quota.unit} per ${quota.per} for ${deployment.listedAs ?? deployment.modelId} in ${deployment.region}. ` +
      "If AWS lists it under another name, set listedAs to that name."
    );
  }
  const limit = Math.floor(row.value);
  return limit >= 1 ? limit : `AWS lists 0 as "${row.name}": the account has no such quota.`;
}

async function readRemembered(store: AutoLimitsContext["store"]): Promise<Record<string, number>> {
  const saved: unknown = await store.loadCheckpoint(checkpoint);
  if (typeof saved !== "object" || saved === null) return {};
  return Object.fromEntries(Object.entries(saved).filter(([, limit]) => Number.isSafeInteger(limit) && limit >= 1));
}
