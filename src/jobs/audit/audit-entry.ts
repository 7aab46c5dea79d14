// Defines the entries of the audit log: who changed what, when, and with which result.
import type { ErrorCode } from "../../domain/errors.ts";
import { serviceCollection, timeKey } from "../../store/collection.ts";
import type { Caller } from "../caller.ts";

/** Every action that leaves an entry. Submits of jobs, batches and files leave none, because their records name the key. */
export const auditActions = [
  ...(["job.cancel", "job.retry", "job.change", "job.delete", "response.delete"] as const),
  ...(["batch.cancel", "batch.retry", "batch.delete", "file.delete"] as const),
  ...(["key.create", "key.revoke", "webhook_secret.rotate", "webhook.redeliver"] as const),
  ...(["calls.pause", "calls.resume", "quota.reset", "deployment.reinstate"] as const),
  ...(["config.reload", "queue.import", "data.restore"] as const),
] as const;
export type AuditAction = (typeof auditActions)[number];

/**
 * Who acted. `key`: an HTTP caller with an API key. `no_key`: an HTTP caller of a service without keys. `command`: a
 * command that opened the store. `service`: the service, at its start or by a signal.
 */
export const actorKinds = ["key", "no_key", "command", "service"] as const;

export interface Actor {
  kind: (typeof actorKinds)[number];
  keyId?: string;
  /** The name of the key. */
  keyName?: string;
  tenant?: string;
  admin?: boolean;
  /** IP address of the client or of the last proxy. */
  address?: string;
}

/** What the action was about. */
export interface AuditTarget {
  type: "job" | "batch" | "file" | "key" | "delivery" | "model" | "deployment" | "tenant" | "quota" | "environment";
  id: string;
}

/**
 * What the action was given: a filter, new values, the reason of a pause, the properties of a new key. Never prompts,
 * answers, values of labels or secrets.
 */
export type AuditDetails = Readonly<Record<string, string | number | boolean | null | readonly string[]>>;

export interface AuditEntry {
  /** Sorts by time. */
  id: string;
  /** Milliseconds since the epoch. */
  at: number;
  actor: Actor;
  action: AuditAction;
  /** Absent if the action was about everything that matches `details`. */
  target?: AuditTarget;
  details?: AuditDetails;
  /** Number of changed jobs, for an action on many. */
  count?: number;
  /** `ok`, or the code of the error: then the action may have had an effect. */
  result: "ok" | ErrorCode;
}

/** The entries, by their ids. */
export const auditEntries = serviceCollection<AuditEntry>({ stored: "audit" });

/**
 * Returns the id of an entry.
 * @param unique an id that sorts by time, for entries of one millisecond
 */
export function auditIdOf(at: number, unique: string): string {
  return `${timeKey(at)}-${unique}`;
}

/** Returns whether the text is the id of an entry. */
export function isAuditId(text: string): boolean {
  return /^\d{16}-[0-9a-f-]{36}$/.test(text);
}

/** Returns the actor of an entry. */
export function actorOf({ keyId, keyName, tenant, admin, address, origin }: Caller): Actor {
  if (origin !== undefined) return { kind: origin };
  const from = address !== undefined && { address };
  if (keyId === undefined) return { kind: "no_key", ...from };
  return { kind: "key", keyId, ...(keyName !== undefined && { keyName }), tenant, admin, ...from };
}
