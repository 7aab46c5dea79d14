// Stores when files are due for deletion. Each file has a record in the order of time, so that a sweep reads only due
// ones.
import { environmentCollection, timeKey } from "../../store/collection.ts";
import type { JobsContext } from "../jobs-context.ts";

/** A due date. Files of older versions have no such record and are kept. */
export interface Expiry {
  fileId: string;
  environment: string;
}

/** By the id of the file. */
export const expiriesIn = environmentCollection<Expiry>({ stored: "files", id: "expiry/*", order: "expiry/" });

/** The properties that decide when a file is due. */
interface Expiring {
  id: string;
  environment: string;
  purpose: string;
  /** Milliseconds since the epoch. */
  createdAt: number;
  expiresAt?: number;
}

/** Records when a file is checked: at its expiry, or for an input, after it has been unused for long. */
export async function expectExpiry(
  { store, settings }: Pick<JobsContext, "store" | "settings">,
  { id, environment, purpose, createdAt, expiresAt }: Expiring,
): Promise<void> {
  const unusedMs = settings.limits.unusedFileExpiresInS * 1000;
  const at = expiresAt ?? (purpose === "batch" ? createdAt + unusedMs : undefined);
  if (at === undefined) return;
  await expiriesIn(store, environment).insert({ id, order: timeKey(at), value: { fileId: id, environment } });
}
