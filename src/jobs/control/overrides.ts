// Overrides what the scheduler has learned: resets the limit of a quota, and reinstates a deployment.
import { quote, SluiceError } from "../../domain/errors.ts";
import type { DeploymentSnapshot, QuotaSnapshot } from "../../scheduler/scheduler.ts";
import { audited } from "../audit/audited.ts";
import type { Caller } from "../caller.ts";
import type { JobsContext } from "../jobs-context.ts";
import { requireAdmin } from "../submit/policy.ts";

type Context = Pick<JobsContext, "store" | "scheduler" | "clock" | "log">;

const listed = (what: string) => `GET /v1/deployments lists the ${what}.`;

/**
 * Restores the configured limit of a quota and opens it at once.
 * @throws SluiceError `forbidden`, `not_found`, or what the scheduler throws
 */
export async function resetQuota(context: Context, name: string, caller: Caller): Promise<QuotaSnapshot> {
  requireAdmin(caller);
  const { scheduler } = context;
  const find = async () => (await scheduler.snapshot()).quotas.find((quota) => quota.name === name);
  if (!(await find())) throw new SluiceError("not_found", `There is no quota ${quote(name)}. ${listed("quotas")}`);
  return audited(context, caller, "quota.reset", { target: { type: "quota", id: name } }, async () => {
    await scheduler.resetLearnedLimits(name);
    return (await find())!;
  });
}

/**
 * Returns a deployment to service at once.
 * @throws SluiceError `forbidden`, `not_found`, or what the scheduler throws
 */
export async function reinstateDeployment(context: Context, id: string, caller: Caller): Promise<DeploymentSnapshot> {
  requireAdmin(caller);
  const { scheduler } = context;
  const find = async () => (await scheduler.snapshot()).deployments.find((deployment) => deployment.id === id);
  if (!(await find())) {
    throw new SluiceError("not_found", `There is no deployment ${quote(id)}. ${listed("deployments")}`);
  }
  return audited(context, caller, "deployment.reinstate", { target: { type: "deployment", id } }, async () => {
    await scheduler.reinstate(id);
    return (await find())!;
  });
}
