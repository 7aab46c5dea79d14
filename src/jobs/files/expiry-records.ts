// When files are due to be deleted: a record for each, in the order of time, so that a sweep reads only those that are due.
import type { JobsContext } from "../jobs-context.ts";
import { orderOf } from "../tombstones.ts";

/** What is due. Files that were stored by older versions have no such record and are kept. */
export interface Expiry {
  fileId: string;
  environment: string;
}

/** What decides when a file is due. */
interface Expiring {
  id: string;
  environment: string;
  purpose: string;
  /** Milliseconds since the epoch. */
  createdAt: number;
  expiresAt?: number;
}

export const expiryId = (fileId: string) => `expiry/${fileId}`;
export const expiryOrder = (at: number) => `expiry/${orderOf(at)}`;

/** Writes when a file is looked at: at the time that its owner named, or when an input has been unused for long. */
export async function expectExpiry(
  { store, settings }: Pick<JobsContext, "store" | "settings">,
  { id, environment, purpose, createdAt, expiresAt }: Expiring,
): Promise<void> {
  const unusedMs = settings.limits.unusedFileExpiresInS * 1000;
  const at = expiresAt ?? (purpose === "batch" ? createdAt + unusedMs : undefined);
  if (at === undefined) return;
  const value: Expiry = { fileId: id, environment };
  const place = { collection: "files", environment } as const;
  await store.records.insert(place, [{ id: expiryId(id), order: expiryOrder(at), value }]);
}
