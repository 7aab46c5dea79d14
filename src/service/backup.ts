// Makes, checks and restores backups of the embedded form. With MongoDB, its own tools do that.
import type { Settings } from "../config/settings.ts";
import { version } from "../config/version.ts";
import { systemClock } from "../domain/clock.ts";
import { audited } from "../jobs/audit/audited.ts";
import { commandCaller } from "../jobs/caller.ts";
import { type BackUpReport, backUp, type CopyProgress } from "../store/sqlite/backup/back-up.ts";
import { BackupError } from "../store/sqlite/backup/backup-errors.ts";
import type { BackupManifest } from "../store/sqlite/backup/backup-manifest.ts";
import { checkBackup, restoreBackup } from "../store/sqlite/backup/restore-backup.ts";
import { openStore } from "./backends.ts";
import { createLog } from "./log.ts";

export type { BackUpReport, BackupManifest, CopyProgress };

interface Copying {
  onProgress?: (progress: CopyProgress) => void;
  signal?: AbortSignal;
}

/** @throws BackupError if the settings name MongoDB in place of a data folder */
export function requireDataFolder({ distributed }: Settings): void {
  if (!distributed) return;
  throw new BackupError(
    "MONGODB_URL is set, so the data is in MongoDB and not in a folder. Use MongoDB's own tools, as docs/backup.md shows.",
  );
}

/**
 * Copies the data folder of the settings into a new folder.
 * @throws BackupError
 */
export function makeBackup(settings: Settings, folder: string, options: Copying = {}): Promise<BackUpReport> {
  const databases = Object.values(settings.environments).map(({ database }) => database);
  return backUp({ dataDir: settings.dataDir, folder, databases, version, clock: systemClock, ...options });
}

/**
 * Checks a backup without writing anything.
 * @throws BackupError
 */
export function verifyBackup(folder: string, options: Pick<Copying, "onProgress"> = {}): Promise<BackupManifest> {
  return checkBackup({ folder, version, ...options });
}

/**
 * Replaces the data folder of the settings by a backup that `verifyBackup` checked, and records that in the audit log
 * of the restored data.
 * @returns the folder with the data that was replaced, or undefined if there was none
 * @throws BackupError, also if a service uses the data folder
 */
export async function restoreDataFolder(
  settings: Settings,
  backup: { folder: string; manifest: BackupManifest },
  options: Copying = {},
): Promise<string | undefined> {
  const replaced = await restoreBackup({ dataDir: settings.dataDir, ...backup, clock: systemClock, ...options });
  const log = createLog(settings.logLevel);
  try {
    const store = await openStore(settings, systemClock);
    const details = { backup_of: backup.manifest.created_at };
    await audited({ store, clock: systemClock, log }, commandCaller, "data.restore", { details }, async () => {});
    await store.close();
  } catch (error) {
    // The data is restored. A service that has already started, for example, has the folder open.
    log.error({ err: error }, "failed to record the restore in the audit log");
  }
  return replaced;
}
