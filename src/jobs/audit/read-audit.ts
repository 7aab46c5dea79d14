// Lists the audit log and removes its old entries.
import { timeKey } from "../../store/collection.ts";
import type { Page } from "../../store/cursor.ts";
import { type AuditAction, type AuditEntry, auditEntries } from "./audit-entry.ts";
import type { AuditContext } from "./audited.ts";

/** An absent field matches every entry. */
export interface AuditQuery {
  action?: AuditAction;
  /** Id of the API key that acted. */
  keyId?: string;
  /** Id of the target. */
  target?: string;
  /** Milliseconds since the epoch. `from` is inclusive, `to` exclusive. */
  from?: number;
  to?: number;
  /** 1 to 1,000. */
  limit: number;
  /** Id of the entry where the previous page ended. */
  before?: string;
}

/** Entries that one page examines. A rare key is found over several pages. */
const examined = 2_000;
/** Time for which entries are kept, in milliseconds: 400 days, so that a year can be compared with the one before. */
export const auditKeptMs = 400 * 24 * 3_600_000;
const removedAtOnce = 500;

/**
 * Returns a page of the entries, newest first. A page may be short or empty although more follow: only `next` decides.
 * @throws what the store throws
 */
export async function listAudit(
  { store }: Pick<AuditContext, "store">,
  { action, keyId, target, from, to, limit, before }: AuditQuery,
): Promise<Page<AuditEntry>> {
  const matches = (entry: AuditEntry) =>
    (action === undefined || entry.action === action) &&
    (keyId === undefined || entry.actor.keyId === keyId) &&
    (target === undefined || entry.target?.id === target);
  const ends = [before, to === undefined ? undefined : timeKey(to)].filter((end) => end !== undefined).sort();
  const range = { after: from === undefined ? undefined : timeKey(from), before: ends[0], descending: true };
  const items: AuditEntry[] = [];
  let seen = 0;
  let last = "";
  for await (const { id, value } of auditEntries(store).all(range, Math.min(limit + 1, 500))) {
    // One more exists, so that the page is not the last.
    if (items.length === limit || seen === examined) return { items, next: last };
    seen++;
    last = id;
    if (matches(value)) items.push(value);
  }
  return { items };
}

/** Removes entries that are older than 400 days, a bounded number at a time. Call it every hour. */
export async function removeOldAudit({ store, clock }: Pick<AuditContext, "store" | "clock">): Promise<void> {
  const entries = auditEntries(store);
  const old = await entries.list(removedAtOnce, { before: timeKey(clock.wall() - auditKeptMs) });
  await entries.remove(...old.map(({ id }) => id));
}
