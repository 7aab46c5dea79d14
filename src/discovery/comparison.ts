// Compares configured, listed and learned limits, with the lifecycle of each model. `sluice quotas` shows the result.
import type { DeploymentSettings, QuotaSettings, Settings } from "../config/settings.ts";
import { sharedTimeout } from "../domain/shared-abort.ts";
import { type AwsEndpoint, type Lifecycle, type ListedQuota, openAccountReader } from "./account-reader.ts";
import { findRow, type Listing, listingKey, listQuotas } from "./discover.ts";
import { bareId, likeness, scopesOf } from "./names.ts";

/** Limits and state of one deployment. */
export interface DeploymentComparison {
  deployment: string;
  model: string;
  /** Index among the deployments of the model. */
  index: number;
  region: string;
  modelId: string;
  account?: string;
  lifecycle?: Lifecycle;
  /** Whether the profile that the deployment calls exists. Absent if that is unknown, or if it calls no profile. */
  profileExists?: boolean;
  quotas: QuotaComparison[];
  /** Sentences about what could not be read or found. */
  notes: string[];
}

/** The configured, listed and learned limit of one quota. */
export interface QuotaComparison {
  /** The scheduler's name for the quota. Absent if AWS lists it and the configuration does not. */
  name?: string;
  /** Index in the deployment's list. */
  index?: number;
  unit: QuotaSettings["unit"];
  per: QuotaSettings["per"];
  /** The configured limit. `auto` means that the listed one applies. */
  configured?: number | "auto";
  listed?: number;
  default?: number;
  /** Name of the row in Service Quotas. */
  listedName?: string;
  code?: string;
  learned?: number;
}

/** Limits of all deployments, and listed rows that belong to none. */
export interface Comparison {
  deployments: DeploymentComparison[];
  /** Rows that limit calls of models that no deployment serves. */
  unmatched: { region: string; name: string; code: string; value: number }[];
}

export interface CompareOptions {
  /** Region to compare. Default: all. */
  region?: string;
  withinMs: number;
  /** Effective limits by quota name. Empty if no service answered. */
  learned: ReadonlyMap<string, number>;
  awsEndpoint?: AwsEndpoint;
}

/** Compares the limits of all Bedrock deployments. Never rejects: what cannot be read is reported in the notes. */
export async function compareQuotas(settings: Settings, options: CompareOptions): Promise<Comparison> {
  const chosen = Object.entries(settings.models).flatMap(([model, { deployments }]) =>
    deployments
      .map((deployment, index) => ({ model, index, deployment }))
      .filter(({ deployment: d }) => d.provider === "bedrock" && (!options.region || d.region === options.region)),
  );
  const deployments = chosen.map(({ deployment }) => deployment);
  const [listings, facts] = await Promise.all([listQuotas(deployments, options), readFacts(deployments, options)]);
  const compared = chosen.map(({ model, index, deployment }): DeploymentComparison => {
    const listing = listings.get(listingKey(deployment))!;
    const { lifecycle, profileExists, notes } = facts.get(deployment.id)!;
    const { id, region, modelId, account } = deployment;
    return {
      deployment: id,
      model,
      index,
      region,
      modelId,
      ...(account && { account: account.label }),
      ...(lifecycle && { lifecycle }),
      ...(profileExists !== undefined && { profileExists }),
      quotas: compareOne(deployment, listing, options.learned),
      notes: [...notesOn(deployment, listing), ...notes],
    };
  });
  return { deployments: compared, unmatched: unmatchedRows(deployments, listings) };
}

/** Kinds of quotas that AWS lists. */
const listedKinds = [
  { unit: "requests", per: "minute" },
  { unit: "tokens", per: "minute" },
  { unit: "tokens", per: "day" },
] as const;

function compareOne(d: DeploymentSettings, listing: Listing, learned: CompareOptions["learned"]): QuotaComparison[] {
  const rows = "quotas" in listing ? listing.quotas : [];
  const configured = d.quotas.map(
    (quota, index): QuotaComparison => ({
      name: quota.name,
      index,
      unit: quota.unit,
      per: quota.per,
      configured: quota.auto ? "auto" : quota.limit,
      ...listed(findRow(d, quota, rows)),
      ...(learned.has(quota.name) && { learned: learned.get(quota.name)! }),
    }),
  );
  const others = listedKinds.flatMap(({ unit, per }): QuotaComparison[] => {
    const row = findRow(d, { unit, per }, rows);
    const isConfigured = d.quotas.some((quota) => quota.unit === unit && quota.per === per);
    return row && !isConfigured ? [{ unit, per, ...listed(row) }] : [];
  });
  return [...configured, ...others];
}

function listed(row: ListedQuota | undefined): Partial<QuotaComparison> {
  if (!row) return {};
  return {
    listed: row.value,
    ...(row.default !== undefined && { default: row.default }),
    listedName: row.name,
    code: row.code,
  };
}

function notesOn(d: DeploymentSettings, listing: Listing): string[] {
  if ("error" in listing) return [listing.error];
  const found = listedKinds.some(({ unit, per }) => per === "minute" && findRow(d, { unit, per }, listing.quotas));
  if (found) return [];
  const scopes = scopesOf(d.modelId);
  return [
    `AWS lists no ${scopes.join(" or ")} quota for ${d.listedAs ?? bareId(d.modelId)} in ${d.region}. If one of the unmatched ` +
      "names is this model (--all shows them), set listedAs to that name.",
  ];
}

function unmatchedRows(deployments: readonly DeploymentSettings[], listings: ReadonlyMap<string, Listing>) {
  const seen = new Map<string, Comparison["unmatched"][number]>();
  for (const [key, listing] of listings) {
    const here = deployments.filter((deployment) => listingKey(deployment) === key);
    for (const { name, code, value, model } of "quotas" in listing ? listing.quotas : []) {
      if (model === undefined || here.some((d) => likeness(model, d.modelId) > 0 || d.listedAs === model)) continue;
      const { region } = here[0]!;
      seen.set(`${region} ${code}`, { region, name, code, value });
    }
  }
  return [...seen.values()];
}

// ---------------------------------------------------------------- lifecycles and profiles

interface Facts {
  lifecycle?: Lifecycle;
  profileExists?: boolean;
  notes: string[];
}

/** Reads lifecycles and profiles. The key of the map is the deployment's id. */
async function readFacts(
  deployments: readonly DeploymentSettings[],
  { withinMs, awsEndpoint }: CompareOptions,
): Promise<Map<string, Facts>> {
  const signal = sharedTimeout(withinMs);
  const profiles = new Map<string, Promise<string[] | string>>();
  const facts = deployments.map(async (deployment): Promise<[string, Facts]> => {
    const { id, region, account, modelId } = deployment;
    const reader = openAccountReader(region, account, awsEndpoint);
    const messageOf = (error: unknown) => (error as Error).message;
    try {
      const key = listingKey(deployment);
      if (!profiles.has(key)) profiles.set(key, reader.listProfiles(signal).catch(messageOf));
      const [lifecycle, known] = await Promise.all([
        reader.lifecycle(modelId, signal).catch(messageOf),
        isProfile(modelId) ? profiles.get(key)! : undefined,
      ]);
      const notes = [lifecycle, known].filter((part) => typeof part === "string");
      const profileExists = Array.isArray(known)
        ? known.includes(modelId.slice(modelId.lastIndexOf("/") + 1))
        : undefined;
      if (profileExists === false) notes.push(`The inference profile ${modelId} does not exist in ${region}.`);
      return [
        id,
        {
          ...(typeof lifecycle === "object" && { lifecycle }),
          ...(profileExists !== undefined && { profileExists }),
          notes: [...new Set(notes)],
        },
      ];
    } finally {
      reader.close();
    }
  });
  return new Map(await Promise.all(facts));
}

/**
 * Whether the ID is one of AWS's own profiles. A profile that the operator created cannot be found by a model's name.
 */
function isProfile(modelId: string): boolean {
  return bareId(modelId) !== modelId && !modelId.includes(":application-inference-profile/");
}
