// Creates, lists and revokes API keys. A key is never changed otherwise and never removed, so a service that had keys
// stays closed to callers without one.
import type { Settings } from "../../config/settings.ts";
import { type ApiKey, newApiKey } from "../../domain/api-key.ts";
import type { Clock } from "../../domain/clock.ts";
import { quote, SluiceError } from "../../domain/errors.ts";
import { newToken } from "../../domain/ids.ts";
import type { Priority } from "../../domain/job.ts";
import { serviceCollection, timeKey } from "../../store/collection.ts";
import type { Page } from "../../store/cursor.ts";
import { type AuditContext, type AuditNote, audited } from "../audit/audited.ts";
import { type Caller, type KeyLimits, serviceCaller } from "../caller.ts";

const apiKeys = serviceCollection<KeyRecord>({ stored: "api_keys" });
/** A text that every change of the keys replaces. A process that finds the same text need not read the keys again. */
const changes = serviceCollection<string>({ stored: "controls" });
const changeId = "keys/changed";

/** The properties of a new key. */
export interface KeyInput extends KeyLimits {
  /** A name for people, 1 to 100 characters. Also the tenant, unless one is set. */
  name: string;
  /** The tenant that owns the key's jobs. Several keys may share a tenant, which then outlives each of them. */
  tenant?: string;
  /** Absent: all. */
  environments?: string[];
  /** Weight relative to other tenants. Absent: the configured one. */
  weight?: number;
  priorityMax?: Priority;
  regions?: string[];
  /** Maximum time to hold a call of an AWS SDK that is not streamed, in seconds. Absent: 55. */
  maxWaitS?: number;
  /** Whether the key sees the jobs of all tenants, and creates and revokes keys. Default: false. */
  admin?: boolean;
  /** Whether the key may only read, and no secrets. Default: false. */
  readOnly?: boolean;
}

export interface KeyRecord extends KeyInput {
  id: string;
  tenant: string;
  admin: boolean;
  /** SHA-256 of the secret, in hexadecimal. */
  hash: string;
  /** The last characters of the secret. */
  hint: string;
  /** Milliseconds since the epoch. */
  createdAt: number;
  revokedAt?: number;
}

export interface KeysContext extends AuditContext {
  settings: Pick<Settings, "environments" | "models">;
  clock: Clock;
}

/**
 * Creates a key. Only the result has its text.
 * @throws SluiceError `invalid_request` for values that the configuration lacks; what the store throws
 */
export async function createKey(
  context: KeysContext,
  input: KeyInput,
  caller: Caller,
): Promise<{ key: ApiKey; record: KeyRecord }> {
  checkNames(context.settings, input);
  const key = newApiKey();
  const record = recordOf(context, key, input);
  await audited(context, caller, "key.create", noteOf(record), () => insert(context, record));
  return { key, record };
}

/**
 * Creates the admin key of a service without any key. Returns undefined if a key exists, or another process was faster.
 * The key cannot be read later; an operator who loses it creates another one on the command line.
 */
export async function createFirstKey(context: KeysContext): Promise<ApiKey | undefined> {
  if ((await apiKeys(context.store).list(1)).length > 0) return undefined;
  const key = newApiKey("first");
  const record = recordOf(context, key, { name: "admin", tenant: "default", admin: true });
  if (!(await insert(context, record))) return undefined;
  await audited(context, serviceCaller, "key.create", noteOf(record), async () => {});
  return key;
}

/** Returns all keys in the order of their creation. */
export async function listKeys({ store }: Pick<KeysContext, "store">): Promise<KeyRecord[]> {
  const found: KeyRecord[] = [];
  for await (const { value } of apiKeys(store).all({}, 1000)) found.push(value);
  return found;
}

/**
 * Returns a page of the keys in the order of their creation.
 * @param query `limit`: 1 to 1,000
 * @throws SluiceError `invalid_request` for a cursor that no page returned
 */
export async function listKeysPage(
  { store }: Pick<KeysContext, "store">,
  query: { limit: number; cursor?: string },
): Promise<Page<KeyRecord>> {
  const { items, next } = await apiKeys(store).page({}, query);
  return { items: items.map(({ value }) => value), ...(next !== undefined && { next }) };
}

/** Returns the keys with these ids, by id. At most 1,000. */
export function findKeys(
  { store }: Pick<KeysContext, "store">,
  ids: readonly string[],
): Promise<Map<string, KeyRecord>> {
  return apiKeys(store).getMany(ids);
}

/** Returns a text that changes with every change of the keys, or undefined before the first one. */
export function keysChange({ store }: Pick<KeysContext, "store">): Promise<string | undefined> {
  return changes(store).get(changeId);
}

/**
 * Revokes a key. Revoking it twice is not an error, and the first time stays.
 * @throws SluiceError `not_found`
 */
export async function revokeKey(context: KeysContext, id: string, caller: Caller): Promise<KeyRecord> {
  const record = /^[a-z0-9]{1,20}$/.test(id) ? await apiKeys(context.store).get(id) : undefined;
  if (!record) throw new SluiceError("not_found", `There is no API key with the id ${quote(shortened(id))}.`);
  if (record.revokedAt !== undefined) return record;
  const revoked = { ...record, revokedAt: context.clock.wall() };
  return audited(context, caller, "key.revoke", noteOf(record), async () => {
    await apiKeys(context.store).put({ id, order: orderOf(record), value: revoked });
    await noteChange(context);
    return revoked;
  });
}

/** Returns what an audit entry says about a key. */
function noteOf({ id, name, tenant, admin, readOnly = false }: KeyRecord): AuditNote {
  return { target: { type: "key", id }, details: { name, tenant, admin, read_only: readOnly } };
}

export function callerOf(record: KeyRecord): Caller {
  const { tenant, id, name, admin, readOnly, environments, priorityMax, regions, maxWaitS } = record;
  const { maxWaiting, dailyTokens, budgetUsd } = record;
  const limits: KeyLimits = {
    ...(maxWaiting !== undefined && { maxWaiting }),
    ...(dailyTokens !== undefined && { dailyTokens }),
    ...(budgetUsd !== undefined && { budgetUsd }),
  };
  return {
    tenant,
    keyId: id,
    keyName: name,
    admin,
    ...(readOnly && { readOnly }),
    ...(environments && { environments }),
    ...(priorityMax && { priorityMax }),
    ...(regions && { regions }),
    ...(maxWaitS !== undefined && { maxWaitS }),
    ...(Object.keys(limits).length > 0 && { limits }),
  };
}

/** Returns the weights of tenants whose keys set one: the largest weight of their valid keys. */
export function weightsOf(keys: readonly KeyRecord[]): Record<string, number> {
  const weights = new Map<string, number>();
  for (const { tenant, weight, revokedAt } of keys) {
    if (weight !== undefined && revokedAt === undefined)
      weights.set(tenant, Math.max(weight, weights.get(tenant) ?? 0));
  }
  return Object.fromEntries(weights);
}

async function insert(context: KeysContext, record: KeyRecord): Promise<boolean> {
  const isNew = await apiKeys(context.store).insert({ id: record.id, order: orderOf(record), value: record });
  await noteChange(context);
  return isNew;
}

/** Records a change of the keys. A failure undoes nothing: the key is stored, and other processes notice it later. */
async function noteChange({ store }: Pick<KeysContext, "store">): Promise<void> {
  await changes(store)
    .put({ id: changeId, value: newToken() })
    .catch(() => {});
}

function recordOf({ clock }: Pick<KeysContext, "clock">, { id, hash, hint }: ApiKey, input: KeyInput): KeyRecord {
  const { tenant = input.name, admin = false } = input;
  return { ...input, id, tenant, admin, hash, hint, createdAt: clock.wall() };
}

function orderOf({ createdAt, id }: KeyRecord): string {
  return `${timeKey(createdAt)}/${id}`;
}

/** Shortens an id, because a user may paste a whole key here, whose secret must not be logged. */
function shortened(id: string): string {
  return id.replace(/^(sk-sluice-[a-z0-9]{1,20}-).*/s, "$1...");
}

function checkNames({ environments, models }: KeysContext["settings"], input: KeyInput): void {
  const regions = Object.values(models).flatMap((model) => model.deployments.map((d) => d.region));
  requireName("name", input.name);
  if (input.tenant !== undefined) requireName("tenant", input.tenant);
  requireKnown("environments", input.environments, Object.keys(environments));
  requireKnown("regions", input.regions, [...new Set(regions)]);
}

function requireName(field: string, name: string): void {
  if (/^[^\s\p{C}][^\p{C}]{0,99}$/u.test(name)) return;
  throw new SluiceError(
    "invalid_request",
    `${field} must be 1 to 100 printable characters and must not start with a space; got ${quote(name)}.`,
    { field },
  );
}

function requireKnown(field: string, names: readonly string[] | undefined, known: readonly string[]): void {
  const unknown = names?.find((name) => !known.includes(name));
  if (unknown === undefined) return;
  throw new SluiceError("invalid_request", `${field} must name only ${known.join(", ")}; got ${quote(unknown)}.`, {
    field,
  });
}
