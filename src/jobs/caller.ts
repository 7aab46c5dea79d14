// Who asks: as whom jobs are submitted, and which jobs may be seen and changed.
import type { Settings } from "../config/settings.ts";
import type { JobHead, JobRecord, Priority } from "../domain/job.ts";

export interface Caller {
  /** Jobs are submitted as this tenant: the unit of fairness. */
  tenant: string;
  /** The API key; absent where there are none. */
  keyId?: string;
  /** Sees and changes the jobs of every tenant. */
  admin: boolean;
  /** Environments whose jobs it may submit and see; absent means all. */
  environments?: readonly string[];
  /** The highest priority that its jobs may have; absent means any. */
  priorityMax?: Priority;
  /** Regions that may serve its jobs; absent means any. */
  regions?: readonly string[];
  /** What may be used under the key; absent means as much as there is. */
  limits?: KeyLimits;
}

/** Limits of one API key, over all processes. */
export interface KeyLimits {
  /** Jobs that wait or run at a time. */
  maxWaiting?: number;
  /** Input and output tokens per UTC day. */
  dailyTokens?: number;
  /** US dollars per calendar month in UTC, by the catalogue's prices. */
  budgetUsd?: number;
}

/** The caller of a service without keys. */
export const keylessCaller: Caller = { tenant: "default", admin: true };

/**
 * Whose things a caller is shown who asks for those of a tenant, or of nobody in particular: undefined means everybody's.
 * Another tenant's are nobody's business, and are not to be taken for one's own: then it is null, and there is nothing.
 */
export function tenantFor(caller: Caller, asked: string | undefined): string | undefined | null {
  if (caller.admin) return asked;
  return asked === undefined || asked === caller.tenant ? caller.tenant : null;
}

/** A job that a caller may not see does not exist for it. */
export function maySee(caller: Caller, job: Pick<JobHead, "tenant" | "environment">): boolean {
  if (caller.environments && !caller.environments.includes(job.environment)) return false;
  return caller.admin || caller.tenant === job.tenant;
}

/** Returns the environments whose jobs, files and batches the caller may see, in the order of the configuration. */
export function visibleEnvironments(
  { settings }: { settings: Pick<Settings, "environments"> },
  caller: Caller,
): string[] {
  const all = Object.keys(settings.environments);
  return caller.environments ? all.filter((name) => caller.environments!.includes(name)) : all;
}

/** Returns whether a job ended because its caller disconnected and did not come back. */
export function wasAbandoned({ outcome }: Pick<JobRecord, "outcome">): boolean {
  return outcome?.status === "cancelled" && outcome.error?.code === "caller_disconnected";
}
