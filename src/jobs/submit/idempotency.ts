// Doing once what is asked for twice. A client that lost the answer to a submit sends it again under the same
// Idempotency-Key and gets the same job.
//
// The key is bound to an id by an insert under a hash of tenant and key, after everything was checked and before anything
// is stored under that id. So of two requests at the same time, in whichever processes, one decides the id; and after a
// crash in between, the next request finds the id and stores under it.
//
// An id whose job was deleted (deleted.ts) is not stored under again. It is followed by another one, bound by an insert
// under a hash of key and deleted id, so here too the first one decides. The key's own record then moves on to the new id:
// that only shortens the way there and keeps the key remembered, so the last word is as good as any.
import { createHash } from "node:crypto";
import { SluiceError } from "../../domain/errors.ts";
import { printJson } from "../../domain/json-text.ts";
import type { Caller } from "../caller.ts";
import type { JobsContext } from "../jobs-context.ts";
import { deletedAmong, orderOf, idempotencyPlace as place } from "../tombstones.ts";
import { checkDepth } from "./json-values.ts";

/** How long a key is remembered at least. */
const keptMs = 24 * 3_600_000;
const sweptAtOnce = 1000;

/** A request that is to be done once. */
export interface Once {
  /** The client's own text. */
  key: string;
  /** Of the operation and everything that was asked: see `digestOf`. */
  digest: string;
}

export interface Steps<Prepared, Result> {
  newId: () => string;
  /** What was stored under the id, if it was; then nothing is done again. */
  find: (id: string) => Promise<Result | undefined>;
  /** Whether what is stored under the id does not count, so that another id follows it, as for a deleted one. */
  isVoid?: (id: string) => Promise<boolean>;
  /** Checks what is asked. What it throws binds the key to nothing: the client may correct the request. */
  prepare: () => Promise<Prepared>;
  /** Stores under the id, the first one wins. May be called at the same time by another process, with the same id. */
  commit: (id: string, prepared: Prepared) => Promise<Result>;
}

/**
 * @param once absent: there is no key, and every request is a new one
 * @throws SluiceError `idempotency_conflict` if the tenant used the key for something else; what the steps and the store
 *   throw, and then the request may be repeated
 */
export async function withIdempotency<Prepared, Result>(
  { store, clock }: Pick<JobsContext, "store" | "clock">,
  caller: Caller,
  once: Once | undefined,
  { newId, find, isVoid, prepare, commit }: Steps<Prepared, Result>,
): Promise<Result> {
  if (once === undefined) {
    const prepared = await prepare();
    return commit(newId(), prepared);
  }
  const boundId = async (recordId: string): Promise<string | undefined> => {
    const bound = (await store.records.get(place, [recordId])).get(recordId)?.value as Bound | undefined;
    if (bound && bound.digest !== once.digest) throw conflict();
    return bound?.id;
  };
  const record = (recordId: string, id: string) => {
    const value: Bound = { id, digest: once.digest };
    return { id: recordId, order: orderOf(clock.wall()), value };
  };
  const isUsedUp = async (id: string) => (await deletedAmong(store, [id])).has(id) || ((await isVoid?.(id)) ?? false);

  const first = hashOf([caller.tenant, once.key]);
  let recordId = first;
  let prepared: Prepared | undefined;
  for (;;) {
    let id = await boundId(recordId);
    if (id !== undefined) {
      const found = await find(id);
      if (found !== undefined) return found;
      if (await isUsedUp(id)) {
        recordId = hashOf([first, id]);
        continue;
      }
    }
    prepared ??= await prepare();
    let isNew = false;
    if (id === undefined) {
      id = newId();
      const [answer] = await store.records.insert(place, [record(recordId, id)]);
      isNew = answer === "inserted";
      if (!isNew) id = (await boundId(recordId)) ?? id;
    }
    // While the request was checked, another process may have made the job, and somebody deleted it.
    if (!isNew && (await isUsedUp(id))) continue;
    if (recordId !== first) await store.records.put(place, record(first, id));
    return commit(id, prepared);
  }
}

interface Bound {
  id: string;
  digest: string;
}

/**
 * Of what is asked: the same for the same operation with an equal body, in whatever order its keys stand.
 * @param body as it came out of JSON
 * @throws SluiceError `invalid_request` if it is nested too deep to be read
 */
export function digestOf(operation: string, body: unknown): string {
  checkDepth(body);
  return hashOf([operation, body]);
}

/** Forgets keys, and marks of deleted jobs, that nobody needs any more. */
export async function sweepIdempotencyKeys({ store, clock }: Pick<JobsContext, "store" | "clock">): Promise<void> {
  const to = orderOf(clock.wall() - keptMs);
  for (;;) {
    const { items, next } = await store.records.list(place, { to, limit: sweptAtOnce });
    await store.records.remove(
      place,
      items.map((item) => item.id),
    );
    if (next === undefined) return;
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
    "The Idempotency-Key was used before for a request with another body.",
    {
      field: "Idempotency-Key",
    },
  );
}
