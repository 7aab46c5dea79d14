// Defines who makes a request: the tenant of submitted jobs, and the jobs that the caller may see and change.
import type { Settings } from "../config/settings.ts";
import type { JobHead, JobRecord, Priority } from "../domain/job.ts";

export interface Caller {
  /** The tenant of submitted jobs, which is the unit of fairness. */
  tenant: string;
  /** The API key. Absent in a service without keys. */
  keyId?: string;
  /** The name of the API key. */
  keyName?: string;
  /** Whether the caller sees and changes the jobs of all tenants. */
  admin: boolean;
  /** Whether the caller may only read, and no secrets. Default: false. */
  readOnly?: boolean;
  /** Environments in which the caller may submit and see jobs. Absent: all. */
  environments?: readonly string[];
  /** Highest priority of the caller's jobs. Absent: any. */
  priorityMax?: Priority;
  /** Regions that may serve the caller's jobs. Absent: any. */
  regions?: readonly string[];
  /** Maximum time to hold a call of an AWS SDK that is not streamed, in seconds. Absent: 55. */
  maxWaitS?: number;
  /** Limits of the key. Absent: none. */
  limits?: KeyLimits;
  /** IP address of an HTTP client or of the last proxy. */
  address?: string;
  /** Set if no HTTP client makes the request: a command that opened the store, or the service itself. */
  origin?: "command" | "service";
}

/** Limits of one API key over all processes. */
export interface KeyLimits {
  /** Maximum number of jobs waiting or running at a time. */
  maxWaiting?: number;
  /** Maximum input and output tokens per UTC day. */
  dailyTokens?: number;
  /** Maximum US dollars per calendar month in UTC, at the catalogue's prices. */
  budgetUsd?: number;
}

/** The caller of a service without keys. */
export const keylessCaller: Caller = { tenant: "default", admin: true };

/** A command that opened the store. */
export const commandCaller: Caller = { ...keylessCaller, origin: "command" };

/** The service itself, at its start or by a signal. */
export const serviceCaller: Caller = { ...keylessCaller, origin: "service" };

/**
 * Returns the tenant whose resources the caller may list: `undefined` for all tenants, `null` for none. A caller that
 * names a tenant it may not see gets `null`, not its own resources.
 */
export function tenantFor(caller: Caller, requested: string | undefined): string | undefined | null {
  if (caller.admin) return requested;
  return requested === undefined || requested === caller.tenant ? caller.tenant : null;
}

/** Returns whether the caller may see the job. To other callers it does not exist. */
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
