// Checks a backup, and replaces the content of a data folder by it.
import { lstatSync, mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Clock } from "../../../domain/clock.ts";
import { StoreOpenError } from "../../environments.ts";
import { openImmutable, schemaOf } from "../driver.ts";
import { lockDataFolder } from "../lock.ts";
import { sync } from "../sync.ts";
import type { CopyProgress } from "./back-up.ts";
import { BackupError, backupErrorOf } from "./backup-errors.ts";
import { type BackupManifest, readManifest } from "./backup-manifest.ts";
import { type Content, contentOf, copyFile } from "./copy-file.ts";
import { commitRestore, createStaging, finishRestore } from "./finish-restore.ts";

export interface CheckOptions {
  folder: string;
  /** The version of Sluice that runs. */
  version: string;
  onProgress?: (progress: CopyProgress) => void;
}

/**
 * Checks that a backup is complete and undamaged, and that this version can restore it. Writes nothing.
 * @returns its manifest
 * @throws BackupError
 */
export async function checkBackup({ folder, version, onProgress }: CheckOptions): Promise<BackupManifest> {
  const manifest = readManifest(folder, version);
  const onBytes = countBytes("checking", manifest, onProgress);
  try {
    for (const entry of contentsOf(manifest)) {
      const path = join(folder, entry.file);
      if (!lstatSync(path, { throwIfNoEntry: false })?.isFile()) throw damaged(path, "is missing");
      compare(path, entry, await contentOf(path, { onBytes }));
    }
    for (const { file, schema } of manifest.databases) checkIntegrity(join(folder, file), schema);
  } catch (error) {
    throw backupErrorOf(error, folder, folder);
  }
  return manifest;
}

function checkIntegrity(path: string, schema: number): void {
  const db = openImmutable(path);
  try {
    const { integrity_check: result } = db.prepare("PRAGMA integrity_check(1)").get() as { integrity_check: string };
    if (result !== "ok") throw damaged(path, `is not a sound database (${result})`);
    const found = schemaOf(db);
    if (found !== schema) throw damaged(path, `has schema ${found}, not ${schema} as the manifest says`);
  } finally {
    db.close();
  }
}

export interface RestoreOptions {
  folder: string;
  /** The manifest that `checkBackup` returned. */
  manifest: BackupManifest;
  /** The data folder. It is created if it is missing. */
  dataDir: string;
  clock: Pick<Clock, "wall">;
  onProgress?: (progress: CopyProgress) => void;
  signal?: AbortSignal;
}

/**
 * Replaces the data in a folder. If this fails or the process dies, either the old or the new data is whole: the old one
 * until all of the new data is on disk, then the new one. The next start completes what was interrupted.
 * @returns the folder with the data that was replaced, or undefined if there was none
 * @throws BackupError, also if a service uses the data folder
 */
export async function restoreBackup(options: RestoreOptions): Promise<string | undefined> {
  const { folder, dataDir } = options;
  let unlock: (() => void) | undefined;
  try {
    unlock = lockDataFolder(dataDir);
    finishRestore(dataDir);
    await stage(options);
    commitRestore(dataDir);
    return finishRestore(dataDir);
  } catch (error) {
    if (error instanceof StoreOpenError) throw new BackupError(error.message, { cause: error });
    throw backupErrorOf(error, folder, dataDir);
  } finally {
    unlock?.();
  }
}

/** Copies the backup into the data folder, next to the old data. */
async function stage({ folder, manifest, dataDir, clock, onProgress, signal }: RestoreOptions): Promise<void> {
  const staged = createStaging(dataDir, clock.wall());
  const onBytes = countBytes("copying", manifest, onProgress);
  try {
    mkdirSync(join(staged, "files"), { mode: 0o700 });
    for (const entry of contentsOf(manifest)) {
      const path = join(folder, entry.file);
      compare(path, entry, await copyFile(path, join(staged, entry.file), { onBytes, signal }));
    }
    await sync(join(staged, "files"));
    await sync(staged);
  } catch (error) {
    rmSync(dirname(staged), { recursive: true, force: true });
    throw error;
  }
}

function contentsOf({ databases, files }: BackupManifest): (Content & { file: string })[] {
  return [...databases, ...files];
}

function compare(path: string, expected: Content, found: Content): void {
  if (found.bytes !== expected.bytes) throw damaged(path, `has ${found.bytes} bytes in place of ${expected.bytes}`);
  if (found.sha256 !== expected.sha256) throw damaged(path, "has another SHA-256 than the manifest says");
}

function damaged(path: string, how: string): BackupError {
  return new BackupError(`The backup is damaged: ${path} ${how}. Nothing was replaced. Restore another backup.`);
}

function countBytes(step: CopyProgress["step"], manifest: BackupManifest, onProgress?: CheckOptions["onProgress"]) {
  const totalBytes = contentsOf(manifest).reduce((sum, { bytes }) => sum + bytes, 0);
  let bytes = 0;
  return (more: number) => {
    bytes += more;
    onProgress?.({ step, bytes, totalBytes });
  };
}
