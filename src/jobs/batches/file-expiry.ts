// Deletes files that are due: those with an expiry, and inputs that no batch has read.

import { timeKey } from "../../store/collection.ts";
import { type Expiry, expiriesIn } from "../files/expiry-records.ts";
import { deleteFile, fileIn } from "../files/files.ts";
import type { JobsContext } from "../jobs-context.ts";
import { isRead } from "./batch-records.ts";
import { batchUsing } from "./batches.ts";

/** Files in one round. The next round continues with the next ones. */
const sweptAtOnce = 500;
/** Milliseconds until a due file is checked again while an unfinished batch reads it. */
const againMs = 600_000;

/** Deletes a limited number of due files. */
export async function sweepExpiredFiles(context: JobsContext): Promise<void> {
  const { store, settings, clock } = context;
  for (const environment of Object.keys(settings.environments)) {
    const due = await expiriesIn(store, environment).list(sweptAtOnce, { before: timeKey(clock.wall()) });
    for (const { value } of due) await expire(context, value);
  }
}

async function expire(context: JobsContext, expiry: Expiry): Promise<void> {
  const { fileId, environment } = expiry;
  const expiries = expiriesIn(context.store, environment);
  const file = await fileIn(context, environment, fileId);
  const isKept = file !== undefined && file.expiresAt === undefined && (await isRead(context, file));
  if (!file || isKept) return expiries.remove(fileId);
  if ((await batchUsing(context, file)) === undefined) return deleteFile(context, file);
  await expiries.put({ id: fileId, order: timeKey(context.clock.wall() + againMs), value: expiry });
}
