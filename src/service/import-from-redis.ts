// Composes the import: opens the store, the old queue and the token counter, and closes them afterwards.
import type { Logger } from "pino";
import type { Settings } from "../config/settings.ts";
import { type Clock, systemClock } from "../domain/clock.ts";
import { type ImportCounts, type ImportOptions, importQueue } from "../import/import-queue.ts";
import { openRedisList } from "../import/redis-list.ts";
import { type AuditNote, audited } from "../jobs/audit/audited.ts";
import { commandCaller } from "../jobs/caller.ts";
import { createTokenCounter } from "../jobs/tokens/token-counter.ts";
import { openStore } from "./backends.ts";
import { createLog } from "./log.ts";

interface ImportSource extends ImportOptions {
  /** Address of the old queue, `redis://` or `rediss://`. */
  redisUrl: string;
  list: string;
  clock?: Clock;
  log?: Logger;
}

/**
 * Imports the old queue.
 * @throws what opening and `importQueue` throw, after closing everything
 */
export async function importFromRedis(
  settings: Settings,
  { redisUrl, list, clock = systemClock, log = createLog(settings.logLevel), ...options }: ImportSource,
): Promise<ImportCounts & { remaining: number }> {
  const queue = await openRedisList(redisUrl, list);
  try {
    const store = await openStore(settings, clock);
    const tokenCounter = createTokenCounter();
    try {
      const context = { settings, store, tokenCounter, clock, log };
      const target = { type: "environment", id: options.environment } as const;
      const run = async (note: AuditNote) => {
        const onProgress = (progress: ImportCounts) => {
          note.count = progress.imported;
          options.onProgress(progress);
        };
        return importQueue(context, queue, { ...options, onProgress });
      };
      const counts = options.dryRun
        ? await importQueue(context, queue, options)
        : await audited(context, commandCaller, "queue.import", { target }, run);
      return { ...counts, remaining: await queue.length() };
    } finally {
      await Promise.all([tokenCounter.close(), store.close()]);
    }
  } finally {
    queue.close();
  }
}
