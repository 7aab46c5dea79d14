// Says how long data of an environment and a tenant is kept. Pure. The most specific age wins: the tenant's, then the
// environment's, then the general one. Ages then limit each other, because some data contains other data:
//
// - A job's record contains its texts, and files contain the texts of batches: no texts outlive the record of their job,
//   and no files the age of texts.
// - `texts: none` limits everything that people wrote or models answered to less than a day.
import type { RetentionAges, RetentionKind, RetentionSettings } from "../../config/settings.ts";
import { groupBy } from "../../domain/group-by.ts";
import type { TenantFilter } from "../../store/upkeep-store.ts";

/**
 * Longest time that anything readable is kept with `texts: none`, in milliseconds: 23 hours, so that all of it is gone
 * within a day.
 */
export const zeroRetentionMs = 23 * 3_600_000;

/** Returns whether the texts of a tenant are erased at their first complete read. */
export function hasZeroRetention(settings: RetentionSettings, environment: string, tenant: string): boolean {
  return configured(settings, environment, tenant, "texts") === "none";
}

/** Returns the age in milliseconds at which something is removed. Infinity: never. */
export function ageOf(settings: RetentionSettings, environment: string, tenant: string, kind: RetentionKind): number {
  const get = (of: RetentionKind) => msOf(configured(settings, environment, tenant, of));
  const most = hasZeroRetention(settings, environment, tenant) ? zeroRetentionMs : Number.POSITIVE_INFINITY;
  switch (kind) {
    case "texts":
      return Math.min(get("texts"), get("jobs"), most);
    case "files":
      return Math.min(get("files"), get("texts"), get("jobs"), most);
    case "jobs":
    case "deliveries":
      return Math.min(get(kind), most);
    default:
      return get(kind);
  }
}

/** Tenants whose data of one kind is removed at the same age. */
export interface AgeGroup {
  ageMs: number;
  tenants: TenantFilter;
  /** Whether the tenants have zero retention. Nothing of theirs goes to the archive. */
  zero: boolean;
}

/**
 * Returns the groups of tenants whose data of a kind is ever removed by itself. Every tenant is in one group at most.
 */
export function ageGroups(settings: RetentionSettings, environment: string, kind: RetentionKind): AgeGroup[] {
  const named = Object.keys(settings.tenants);
  const ageFor = (tenant: string) => {
    const age = ageOf(settings, environment, tenant, kind);
    // The texts of a record that is removed at the same age need not be erased first.
    const isCovered = kind === "texts" && age >= ageOf(settings, environment, tenant, "jobs");
    return isCovered ? Number.POSITIVE_INFINITY : age;
  };
  const of = (tenant: string) => ({ ageMs: ageFor(tenant), zero: hasZeroRetention(settings, environment, tenant) });
  const general = of(unnamed(named));
  const different = named
    .map((tenant) => ({ tenant, ...of(tenant) }))
    .filter(({ ageMs, zero }) => ageMs !== general.ageMs || zero !== general.zero);
  const others = [...groupBy(different, ({ ageMs, zero }) => `${ageMs} ${zero}`).values()].map(
    (alike): AgeGroup => ({
      ageMs: alike[0]!.ageMs,
      zero: alike[0]!.zero,
      tenants: { only: alike.map(({ tenant }) => tenant) },
    }),
  );
  const groups = [{ ...general, tenants: { except: different.map(({ tenant }) => tenant) } }, ...others];
  return groups.filter(({ ageMs }) => ageMs !== Number.POSITIVE_INFINITY);
}

/** Returns whether nothing is ever removed, except deliveries. */
export function keepsAll(settings: RetentionSettings, environments: readonly string[]): boolean {
  const kinds: RetentionKind[] = ["texts", "jobs", "attempts", "files", "usage"];
  return environments.every((name) => kinds.every((kind) => ageGroups(settings, name, kind).length === 0));
}

function configured<K extends RetentionKind>(
  { ages, environments, tenants }: RetentionSettings,
  environment: string,
  tenant: string,
  kind: K,
): RetentionAges[K] {
  return tenants[tenant]?.[kind] ?? environments[environment]?.[kind] ?? ages[kind];
}

function msOf(age: RetentionAges["texts"]): number {
  if (age === "none") return zeroRetentionMs;
  return age === "keep" ? Number.POSITIVE_INFINITY : age;
}

/** Returns a tenant that has no ages of its own. */
function unnamed(named: readonly string[]): string {
  let name = "other";
  while (named.includes(name)) name += "-";
  return name;
}
