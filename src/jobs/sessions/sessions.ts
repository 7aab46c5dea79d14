// Sessions of the dashboard: a browser exchanges an API key once for a random session id. The store holds only the id's
// hash, so neither a copy of the store nor the browser's cookie contains a key. Any process accepts a session, and it
// ends with its key.
import { createHash, randomBytes } from "node:crypto";
import type { Clock } from "../../domain/clock.ts";
import { SluiceError } from "../../domain/errors.ts";
import { type HasRecords, serviceCollection, timeKey } from "../../store/collection.ts";
import type { Caller } from "../caller.ts";
import type { KeyRegistry } from "../keys/key-registry.ts";

/** Time without a call after which a session ends, in milliseconds. */
const idleMs = 12 * 3_600_000;
/** Time after which a session ends in any case, in milliseconds. */
export const longestMs = 7 * 86_400_000;
/** Interval at which a session in use is extended, in milliseconds, so that most calls only read. */
const extendMs = 600_000;
/** Number of sessions that one sweep removes at a time. */
const sweepPage = 200;

interface SessionRecord {
  keyId: string;
  /** Milliseconds since the epoch, like `expiresAt`. */
  createdAt: number;
  /** End of the session unless it is used before. */
  expiresAt: number;
}

const sessions = serviceCollection<SessionRecord>({ stored: "sessions" });

export interface SessionsContext {
  store: HasRecords;
  keys: Pick<KeyRegistry, "required" | "authenticate" | "callerOf">;
  clock: Clock;
}

/**
 * Starts a session for an API key. Returns the session id, which is stored nowhere. Spaces and line breaks in the key,
 * which come from copying, do not count.
 * @throws SluiceError `unauthenticated` for a wrong or revoked key; what the store throws
 */
export async function startSession(context: SessionsContext, key: string): Promise<{ id: string; caller: Caller }> {
  const caller = await context.keys.authenticate(`Bearer ${key.replace(/\s/g, "") || "-"}`);
  if (caller.keyId === undefined) {
    throw new SluiceError("conflict", "The service has no API keys, so the dashboard needs no sign-in.");
  }
  const id = randomBytes(32).toString("base64url");
  const now = context.clock.wall();
  await write(context, id, { keyId: caller.keyId, createdAt: now, expiresAt: now + idleMs });
  return { id, caller };
}

/**
 * Returns the caller of a session and extends the session. Returns undefined if the session has ended or its key was
 * revoked.
 * @throws what the store throws
 */
export async function sessionCaller(context: SessionsContext, id: string): Promise<Caller | undefined> {
  const record = await sessions(context.store).get(hashOf(id));
  const now = context.clock.wall();
  const caller = record && record.expiresAt > now ? await context.keys.callerOf(record.keyId) : undefined;
  if (!record || !caller) return undefined;
  const expiresAt = Math.min(now + idleMs, record.createdAt + longestMs);
  if (expiresAt - record.expiresAt >= extendMs) await write(context, id, { ...record, expiresAt });
  return caller;
}

/** Ends a session. A session that does not exist is no error. */
export async function endSession({ store }: Pick<SessionsContext, "store">, id: string): Promise<void> {
  await sessions(store).remove(hashOf(id));
}

/** Removes sessions that have ended. */
export async function sweepSessions({ store, clock }: Pick<SessionsContext, "store" | "clock">): Promise<void> {
  const before = timeKey(clock.wall() - longestMs);
  for (;;) {
    const old = await sessions(store).list(sweepPage, { before });
    if (old.length === 0) return;
    await sessions(store).remove(...old.map(({ id }) => id));
  }
}

async function write({ store }: SessionsContext, id: string, record: SessionRecord): Promise<void> {
  await sessions(store).put({ id: hashOf(id), order: timeKey(record.createdAt), value: record });
}

function hashOf(id: string): string {
  return createHash("sha256").update(id).digest("hex");
}
