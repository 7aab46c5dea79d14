// Checks what a caller's key allows of a job. Pure.
import type { Settings } from "../../config/settings.ts";
import { quote, SluiceError } from "../../domain/errors.ts";
import { type JobHead, type Priority, priorities } from "../../domain/job.ts";
import type { Caller } from "../caller.ts";
import { servedBy } from "../served-by.ts";

/**
 * Returns the requested environment, or the only one of the key.
 * @throws SluiceError `invalid_request`, `unknown_environment`, `forbidden`
 */
export function environmentFor(settings: Settings, caller: Caller, requested: string | undefined): string {
  const isKnown = requested !== undefined && Object.hasOwn(settings.environments, requested);
  if (isKnown && (!caller.environments || caller.environments.includes(requested))) return requested;
  const field = "environment";
  const known = Object.keys(settings.environments);
  const allowed = caller.environments ? known.filter((name) => caller.environments!.includes(name)) : known;
  if (requested === undefined) {
    if (caller.environments?.length === 1) return caller.environments[0]!;
    throw new SluiceError("invalid_request", "environment is required.", { field });
  }
  if (isKnown) {
    throw new SluiceError("forbidden", `The API key may not use the environment ${requested}; ${may(allowed)}.`, {
      field,
    });
  }
  throw unknownEnvironment(allowed, requested);
}

/**
 * Requires a configured environment.
 * @throws SluiceError `unknown_environment`
 */
export function requireEnvironment(settings: Pick<Settings, "environments">, name: string): void {
  if (Object.hasOwn(settings.environments, name)) return;
  throw unknownEnvironment(Object.keys(settings.environments), name);
}

function unknownEnvironment(allowed: readonly string[], requested: string): SluiceError {
  const message = `environment must be one of ${allowed.join(", ")}; got ${quote(requested)}.`;
  return new SluiceError("unknown_environment", message, { field: "environment" });
}

/**
 * Returns the requested priority. Default: `standard`, or the key's highest if that is lower.
 * @throws SluiceError `forbidden`
 */
export function priorityFor(caller: Caller, requested: Priority | undefined): Priority {
  if (requested === undefined) return atMost(caller, "standard");
  if (atMost(caller, requested) === requested) return requested;
  throw new SluiceError(
    "forbidden",
    `The API key allows at most the priority ${caller.priorityMax}; the job requests ${requested}.`,
    { field: "priority" },
  );
}

/** Returns the priority, or the highest of the caller if that is lower. It is for defaults. */
function atMost({ priorityMax }: Caller, wanted: Priority): Priority {
  if (priorityMax === undefined) return wanted;
  return priorities.indexOf(wanted) < priorities.indexOf(priorityMax) ? priorityMax : wanted;
}

/**
 * Returns the requested regions, limited to those that the tenant and the key allow. Returns undefined if none of the
 * three names regions.
 * @throws SluiceError `forbidden` if none is left
 */
export function regionsFor(
  { tenantRegions }: Settings,
  caller: Caller,
  requested: readonly string[] | undefined,
): string[] | undefined {
  const { tenant } = caller;
  const ofTenant = Object.hasOwn(tenantRegions, tenant) ? tenantRegions[tenant] : undefined;
  const regions = among(requested, ofTenant, () => `The tenant ${quote(tenant)}`);
  return among(regions, caller.regions, () => "The API key");
}

function among(requested: readonly string[] | undefined, allowed: readonly string[] | undefined, who: () => string) {
  if (!allowed) return requested && [...requested];
  if (!requested) return [...allowed];
  const both = requested.filter((region) => allowed.includes(region));
  if (both.length > 0) return both;
  throw new SluiceError("forbidden", `${who()} may not use ${requested.join(" or ")}; ${may(allowed)}.`, {
    field: "regions",
  });
}

/**
 * Requires a deployment in the key's regions.
 * @param wanted the model, and the foundation model if only that may answer
 * @throws SluiceError `forbidden` if no deployment of the model is in one
 */
export function requireServedModel(
  settings: Settings,
  { regions }: Caller,
  wanted: Pick<JobHead, "model" | "baseModel">,
): void {
  const { model } = wanted;
  const deployments = servedBy(settings, wanted);
  if (!regions || deployments.length === 0 || deployments.some((d) => regions.includes(d.region))) return;
  throw new SluiceError(
    "forbidden",
    `The API key allows the regions ${regions.join(", ")}; ${model} is served in ${[...new Set(deployments.map((d) => d.region))].join(", ")}.`,
    { field: "model" },
  );
}

/**
 * Requires an admin key.
 * @throws SluiceError `forbidden`
 */
export function requireAdmin(caller: Caller): void {
  if (!caller.admin) throw new SluiceError("forbidden", "This call requires an admin key.");
}

function may(allowed: readonly string[]): string {
  return `it may use ${allowed.join(", ") || "no other"}`;
}
