// Deletes files that are due: those whose owner named a time, and inputs that no batch ever read.

import { type Expiry, expiryId, expiryOrder } from "../files/expiry-records.ts";
import { deleteFile, fileIn, filesIn } from "../files/files.ts";
import type { JobsContext } from "../jobs-context.ts";
import { isRead } from "./batch-records.ts";
import { batchUsing } from "./batches.ts";

/** Files in one round. The next round takes the next ones. */
const sweptAtOnce = 500;
/** A file that is due while an unfinished batch reads it is looked at again after this long. */
const againMs = 600_000;

/** Deletes the files that are due, a bounded number of them. */
export async function sweepExpiredFiles(context: JobsContext): Promise<void> {
  const { store, settings, clock } = context;
  for (const environment of Object.keys(settings.environments)) {
    const due = { from: expiryOrder(0), to: expiryOrder(clock.wall()), limit: sweptAtOnce };
    const { items } = await store.records.list(filesIn(environment), due);
    for (const { value } of items) {
      const expiry = value as Expiry;
      // Environments may share a database.
      if (expiry.environment === environment) await expire(context, expiry);
    }
  }
}

async function expire(context: JobsContext, expiry: Expiry): Promise<void> {
  const { fileId, environment } = expiry;
  const { records } = context.store;
  const file = await fileIn(context, environment, fileId);
  const isKept = file !== undefined && file.expiresAt === undefined && (await isRead(context, file));
  if (!file || isKept) return records.remove(filesIn(environment), [expiryId(fileId)]);
  if ((await batchUsing(context, file)) === undefined) return deleteFile(context, file);
  const order = expiryOrder(context.clock.wall() + againMs);
  await records.put(filesIn(environment), { id: expiryId(fileId), order, value: expiry });
}
