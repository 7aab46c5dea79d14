// Pauses and resumes models, deployments and tenants. Each pause is a record, so that it survives restarts and applies
// to every process. Each process compares the records with its scheduler's pauses every few seconds. A rebuilt queue
// gets them before it opens.
import type { Settings } from "../../config/settings.ts";
import { quote, SluiceError } from "../../domain/errors.ts";
import { pauseKey } from "../../scheduler/pause-scopes.ts";
import type { PauseTarget } from "../../scheduler/scheduler.ts";
import { serviceCollection } from "../../store/collection.ts";
import type { AuditTarget } from "../audit/audit-entry.ts";
import { type AuditNote, audited } from "../audit/audited.ts";
import type { Caller } from "../caller.ts";
import type { JobsContext } from "../jobs-context.ts";
import type { Pause } from "../pause.ts";
import { requireAdmin, requireEnvironment } from "../submit/policy.ts";

type Context = Pick<JobsContext, "settings" | "store" | "scheduler" | "clock" | "log">;

const pauses = serviceCollection<Pause>({ stored: "controls", id: "pause/*", order: "pause/" });
/** An admin key's pause of a tenant is stored apart from the tenant's own, so that each ends only its own pause. */
const adminPrefix = "admin/";

/**
 * Pauses a target. Pausing twice is not an error; the first time and its reason stay.
 * @param reason the operator's reason
 * @throws SluiceError `forbidden`, `not_found`, or what store and scheduler throw
 */
export async function pause(context: Context, target: PauseTarget, caller: Caller, reason?: string): Promise<Pause> {
  checkAllowed(target, caller);
  checkKnown(context.settings, target);
  const { store, scheduler, clock } = context;
  const fresh: Pause = {
    target,
    at: clock.wall(),
    ...(reason !== undefined && { reason }),
    ...(caller.keyId !== undefined && { keyId: caller.keyId }),
  };
  return audited(context, caller, "calls.pause", noteOf(target, reason), async () => {
    const found = await pauses(store).insertOrGet({ id: recordIdOf(target, caller), value: fresh });
    await scheduler.pause(target);
    return found;
  });
}

/**
 * Resumes a target. Resuming what is not paused is not an error.
 * @throws SluiceError `forbidden`, also if an admin key has paused the tenant, or what store and scheduler throw
 */
export async function resume(context: Context, target: PauseTarget, caller: Caller): Promise<void> {
  checkAllowed(target, caller);
  const { store, scheduler } = context;
  const ofAdmin = adminPrefix + keyOf(target);
  const staysPaused = await audited(context, caller, "calls.resume", noteOf(target), async () => {
    await pauses(store).remove(keyOf(target), ...(caller.admin ? [ofAdmin] : []));
    if (!caller.admin && (await pauses(store).get(ofAdmin))) return true;
    await scheduler.resume(target);
    return false;
  });
  // The tenant's own pause has ended, so the call is in the audit log.
  if (!staysPaused) return;
  throw new SluiceError("forbidden", "An admin key paused the tenant, so only an admin key may resume it.", {
    field: "tenant",
  });
}

/** Returns what an audit entry says about a pause. */
function noteOf(target: PauseTarget, reason?: string): AuditNote {
  const environment = "tenant" in target ? target.environment : undefined;
  const details = { ...(environment !== undefined && { environment }), ...(reason !== undefined && { reason }) };
  return { target: auditTargetOf(target), ...(Object.keys(details).length > 0 && { details }) };
}

function auditTargetOf(target: PauseTarget): AuditTarget {
  if ("model" in target) return { type: "model", id: target.model };
  if ("deployment" in target) return { type: "deployment", id: target.deployment };
  return { type: "tenant", id: target.tenant };
}

/** Returns the pauses that concern the caller, without those of other tenants. */
export async function listPauses(context: Pick<Context, "store">, caller: Caller): Promise<Pause[]> {
  const all = new Map<string, Pause>();
  for (const pause of await readPauses(context)) {
    const key = keyOf(pause.target);
    const other = all.get(key);
    if (!other || pause.at < other.at) all.set(key, pause);
  }
  return [...all.values()].filter(
    ({ target }) => caller.admin || !("tenant" in target) || target.tenant === caller.tenant,
  );
}

/** Returns all stored pauses. A tenant may have two: its own and an admin's. */
export async function readPauses({ store }: Pick<Context, "store">): Promise<Pause[]> {
  const found: Pause[] = [];
  for await (const { value } of pauses(store).all()) found.push(value);
  return found;
}

/** Makes the scheduler's pauses equal to the stored ones. */
export async function followPauses({ store, scheduler }: Pick<Context, "store" | "scheduler">): Promise<void> {
  // In this order, because a pause writes the record first, and a resume removes it first.
  const { open, paused } = await scheduler.snapshot();
  const wanted = new Map((await readPauses({ store })).map(({ target }) => [keyOf(target), target]));
  if (!open) return;
  const known = new Set(paused.map(keyOf));
  for (const [id, target] of wanted) if (!known.has(id)) await scheduler.pause(target);
  for (const target of paused) if (!wanted.has(keyOf(target))) await scheduler.resume(target);
}

/**
 * Checks the caller's rights.
 * @throws SluiceError `forbidden`
 */
function checkAllowed(target: PauseTarget, caller: Caller): void {
  if (!("tenant" in target) || target.tenant !== caller.tenant) requireAdmin(caller);
  if (caller.admin || !("tenant" in target)) return;
  const { environment } = target;
  if (caller.environments === undefined) return;
  if (environment !== undefined && caller.environments.includes(environment)) return;
  const own = caller.environments.join(", ");
  throw new SluiceError(
    "forbidden",
    `The API key may pause only in the environments ${own}. Set environment to one of them.`,
    {
      field: "environment",
    },
  );
}

/**
 * Checks that the target exists.
 * @throws SluiceError `not_found`, `unknown_environment`
 */
function checkKnown(settings: Settings, target: PauseTarget): void {
  const { models } = settings;
  if ("tenant" in target) {
    if (target.environment !== undefined) requireEnvironment(settings, target.environment);
  } else if ("model" in target) {
    if (!Object.hasOwn(models, target.model)) throw unknown("model", target.model);
  } else if (!Object.values(models).some(({ deployments }) => deployments.some(({ id }) => id === target.deployment))) {
    throw unknown("deployment", target.deployment);
  }
}

function unknown(kind: string, name: string): SluiceError {
  return new SluiceError("not_found", `There is no ${kind} ${quote(name)}.`);
}

function recordIdOf(target: PauseTarget, caller: Caller): string {
  return ("tenant" in target && caller.admin ? adminPrefix : "") + keyOf(target);
}

function keyOf(target: PauseTarget): string {
  return pauseKey(target).split("\n").map(encodeURIComponent).join("/");
}
