// A client that lost the answer to a request sends it again under the same Idempotency-Key and gets the same result.
//
// The key is bound to an id by an insert under a hash of tenant and key. A request first looks up what is stored under
// its key (`findOnce`) and checks its input. Then it binds the key (`bindOnce`) and stores under the bound id. So of
// two requests at once, in any processes, one decides the id, and a request that is refused binds nothing. After a
// crash between binding and storing, the next request gets the same id and stores under it.
//
// An id that was deleted (tombstones.ts) is never stored under again. A record under a hash of key and deleted id binds
// its successor, so here too the first insert decides. The key's own record is then overwritten with the new id. That
// only shortens the way there and keeps the key for another day, so it does not matter which of two writes comes last.
import { createHash } from "node:crypto";
import { SluiceError } from "../../domain/errors.ts";
import { printJson } from "../../domain/json-text.ts";
import { serviceCollection, timeKey } from "../../store/collection.ts";
import type { Caller } from "../caller.ts";
import type { JobsContext } from "../jobs-context.ts";
import { deletedAmong } from "../tombstones.ts";
import { checkDepth } from "./json-values.ts";

/** Minimum time that a key is kept, in milliseconds. */
const keptMs = 24 * 3_600_000;
const sweptAtOnce = 1000;

/** By a hash of tenant and key. */
const bindings = serviceCollection<Binding>({ stored: "idempotency_keys" });

/** Identifies a request that must run only once. */
export interface Once {
  /** The client's Idempotency-Key. */
  key: string;
  /** Hash of the operation and the whole request; see `digestOf`. */
  digest: string;
}

/** Returns what is stored under an id: undefined if nothing is, null if it counts as deleted. */
export type FindStored<T> = (id: string) => Promise<T | null | undefined>;

export interface Bound<T> {
  /** The id to store under. */
  id: string;
  /** What another request with the same key has stored under the id. */
  existing?: T;
}

type IdempotencyContext = Pick<JobsContext, "store" | "clock">;

/**
 * Returns what an earlier request with the key has stored, or undefined if there is none or no key.
 * @throws SluiceError `idempotency_conflict` if the tenant used the key for something else; what the store throws
 */
export async function findOnce<T>(
  { store }: IdempotencyContext,
  caller: Caller,
  once: Once | undefined,
  find: FindStored<T>,
): Promise<T | undefined> {
  if (once === undefined) return undefined;
  const first = firstRecordId(caller, once);
  for (let recordId = first; ; ) {
    const id = await boundId(store, recordId, once);
    if (id === undefined) return undefined;
    const stored = await findKept(store, id, find);
    if (stored !== null) return stored;
    recordId = nextRecordId(first, id);
  }
}

/**
 * Binds the key to an id, after the whole request was checked. The first request decides the id. Without a key, every
 * request gets its own id.
 * @param newId returns an id that is not in use
 * @throws SluiceError as `findOnce`; then the request may be repeated
 */
export async function bindOnce<T>(
  { store, clock }: IdempotencyContext,
  caller: Caller,
  once: Once | undefined,
  newId: () => string,
  find: FindStored<T>,
): Promise<Bound<T>> {
  if (once === undefined) return { id: newId() };
  const record = (recordId: string, id: string) => {
    return { id: recordId, order: timeKey(clock.wall()), value: { id, digest: once.digest } };
  };
  const first = firstRecordId(caller, once);
  for (let recordId = first; ; ) {
    const offered = newId();
    const isNew = await bindings(store).insert(record(recordId, offered));
    const id = isNew ? offered : await boundId(store, recordId, once);
    // The record was swept meanwhile.
    if (id === undefined) continue;
    const existing = id === offered ? undefined : await findKept(store, id, find);
    if (existing === null) {
      recordId = nextRecordId(first, id);
      continue;
    }
    if (recordId !== first) await bindings(store).put(record(first, id));
    return existing === undefined ? { id } : { id, existing };
  }
}

interface Binding {
  id: string;
  digest: string;
}

/**
 * Returns the id that a record binds, or undefined.
 * @throws SluiceError `idempotency_conflict`
 */
async function boundId(store: JobsContext["store"], recordId: string, { digest }: Once): Promise<string | undefined> {
  const binding = await bindings(store).get(recordId);
  if (binding && binding.digest !== digest) throw conflict();
  return binding?.id;
}

async function findKept<T>(
  store: JobsContext["store"],
  id: string,
  find: FindStored<T>,
): Promise<T | null | undefined> {
  const stored = await find(id);
  if (stored !== undefined) return stored;
  return (await deletedAmong(store, [id])).has(id) ? null : undefined;
}

function firstRecordId({ tenant }: Caller, { key }: Once): string {
  return hashOf([tenant, key]);
}

/** Returns the id of the record that binds the successor of a deleted id. */
function nextRecordId(first: string, deletedId: string): string {
  return hashOf([first, deletedId]);
}

/**
 * Returns a hash of an operation and its body. The order of keys in the body makes no difference.
 * @param body the parsed JSON
 * @throws SluiceError `invalid_request` if it is nested too deeply to be read
 */
export function digestOf(operation: string, body: unknown): string {
  checkDepth(body);
  return hashOf([operation, body]);
}

/** Removes keys and tombstones that have expired. */
export async function sweepIdempotencyKeys({ store, clock }: Pick<JobsContext, "store" | "clock">): Promise<void> {
  // Tombstones and caller records share the stored collection and its order by time.
  const before = timeKey(clock.wall() - keptMs);
  for await (const page of bindings(store).pages({ before }, sweptAtOnce)) {
    await bindings(store).remove(...page.map(({ id }) => id));
  }
}

function hashOf(value: unknown): string {
  return createHash("sha256").update(printJson(value, withSortedKeys)).digest("hex");
}

function withSortedKeys(_key: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function conflict(): SluiceError {
  return new SluiceError(
    "idempotency_conflict",
    "The Idempotency-Key, or the amz-sdk-invocation-id of an AWS SDK, was already used for another request.",
    { field: "Idempotency-Key" },
  );
}
