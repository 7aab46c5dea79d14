// Records changes in the audit log. An action is recorded when it has ended: a refused one (4xx) changes nothing and
// leaves no entry, and one that failed otherwise may have had an effect and leaves its error code.
import type { Logger } from "pino";
import type { Clock } from "../../domain/clock.ts";
import { SluiceError } from "../../domain/errors.ts";
import { newJobId } from "../../domain/ids.ts";
import type { HasRecords } from "../../store/collection.ts";
import type { Caller } from "../caller.ts";
import {
  type AuditAction,
  type AuditDetails,
  type AuditEntry,
  actorOf,
  auditEntries,
  auditIdOf,
} from "./audit-entry.ts";

export interface AuditContext {
  store: HasRecords;
  clock: Pick<Clock, "wall">;
  log: Pick<Logger, "error">;
}

/** What an entry says about its action. The action completes it while it runs. */
export type AuditNote = Partial<Pick<AuditEntry, "target" | "details" | "count">>;

/** Maximum length of a text in an entry, in characters. Filters may hold any text. */
const maxTextLength = 200;

/**
 * Runs an action and records it. The action stands even if its entry cannot be stored; then the log has the entry.
 * @param note what is known before the action
 * @throws what the action throws
 */
export async function audited<T>(
  context: AuditContext,
  caller: Caller,
  action: AuditAction,
  note: AuditNote,
  run: (note: AuditNote) => Promise<T>,
): Promise<T> {
  const about = { ...note };
  try {
    const result = await run(about);
    await record(context, caller, action, about, "ok");
    return result;
  } catch (error) {
    const code = error instanceof SluiceError ? error.code : "internal";
    const isRefused = error instanceof SluiceError && error.status < 500;
    if (!isRefused) await record(context, caller, action, about, code);
    throw error;
  }
}

async function record(
  { store, clock, log }: AuditContext,
  caller: Caller,
  action: AuditAction,
  { target, details, count }: AuditNote,
  result: AuditEntry["result"],
): Promise<void> {
  const at = clock.wall();
  const entry: AuditEntry = {
    id: auditIdOf(at, newJobId()),
    at,
    actor: actorOf(caller),
    action,
    ...(target && { target: { ...target, id: shortened(target.id) } }),
    ...(details && { details: shortenedAll(details) }),
    ...(count !== undefined && { count }),
    result,
  };
  try {
    await auditEntries(store).insert({ id: entry.id, value: entry });
  } catch (error) {
    log.error({ err: error, entry }, "failed to record an action in the audit log");
  }
}

function shortenedAll(details: AuditDetails): AuditDetails {
  const one = <V>(value: V) => (typeof value === "string" ? shortened(value) : value);
  return Object.fromEntries(
    Object.entries(details).map(([name, value]) => [name, Array.isArray(value) ? value.map(one) : one(value)]),
  );
}

function shortened(text: string): string {
  return text.length <= maxTextLength ? text : `${text.slice(0, maxTextLength)}...`;
}
