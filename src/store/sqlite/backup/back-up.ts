// Copies a data folder into a new folder while the service runs. Works without the lock of the data folder: every
// database is read in a transaction, and blobs never change.
import { existsSync, readdirSync, realpathSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import type { Clock } from "../../../domain/clock.ts";
import { makeFolder } from "../../make-folder.ts";
import { copyDatabase, type Database, openImmutable, openPlain, schemaOf } from "../driver.ts";
import { createPrivately } from "../permissions.ts";
import { serviceDatabase } from "../protocol.ts";
import { isNotADatabase } from "../sqlite-errors.ts";
import { sync } from "../sync.ts";
import { BackupError, backupErrorOf } from "./backup-errors.ts";
import { type BackupManifest, beginManifest, newManifest, supportedSchema, writeManifest } from "./backup-manifest.ts";
import { BlobCopies } from "./blob-copies.ts";
import { takeCut } from "./consistent-cut.ts";
import { contentOf } from "./copy-file.ts";
import { restoreIsUnfinished } from "./finish-restore.ts";

/** How far a copy or a check is. */
export interface CopyProgress {
  step: "copying" | "checking";
  /** Bytes so far, and an estimate of all. */
  bytes: number;
  totalBytes: number;
}

export interface BackUpOptions {
  dataDir: string;
  /** The folder of the backup. It must be empty, or missing. */
  folder: string;
  /** The names of the configured databases. Another `.sqlite` file that is no database is left out. */
  databases: readonly string[];
  /** The version of Sluice that runs. */
  version: string;
  clock: Pick<Clock, "wall">;
  onProgress?: (progress: CopyProgress) => void;
  signal?: AbortSignal;
}

export interface BackUpReport {
  manifest: BackupManifest;
  /** Names of `.sqlite` files that were left out, because they are no databases. */
  leftOut: string[];
}

/**
 * Makes a backup. If it fails, the folder is as it was before.
 * @throws BackupError
 */
export async function backUp(options: BackUpOptions): Promise<BackUpReport> {
  const { dataDir } = options;
  const folder = resolve(options.folder);
  const found = findDatabases(options);
  const isNew = await claimFolder(folder, dataDir);
  try {
    return { manifest: await copyAll({ ...options, folder }, found.databases), leftOut: found.leftOut };
  } catch (error) {
    if (isNew) rmSync(folder, { recursive: true, force: true });
    else for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true, force: true });
    throw backupErrorOf(error, dataDir, folder);
  }
}

/** Returns the names of the database files. */
function findDatabases({ dataDir, databases }: BackUpOptions): { databases: string[]; leftOut: string[] } {
  if (!existsSync(join(dataDir, `${serviceDatabase}.sqlite`))) {
    throw new BackupError(
      `There is no data of Sluice in ${dataDir}. Name the data folder with --data-dir or SLUICE_DATA_DIR.`,
    );
  }
  const needed = new Set([...databases, serviceDatabase].map((name) => `${name}.sqlite`));
  const leftOut: string[] = [];
  const found = readdirSync(dataDir)
    .filter((name) => /^[A-Za-z0-9][A-Za-z0-9._-]*\.sqlite$/.test(name))
    .sort()
    .filter((name) => {
      if (isDatabase(join(dataDir, name))) return true;
      if (needed.has(name)) throw new BackupError(`${join(dataDir, name)} is not a database, or it is damaged.`);
      leftOut.push(name);
      return false;
    });
  return { databases: found, leftOut };
}

function isDatabase(path: string): boolean {
  let db: Database | undefined;
  try {
    db = openPlain(path);
    db.exec("SELECT count(*) FROM sqlite_schema");
    return true;
  } catch (error) {
    if (isNotADatabase(error)) return false;
    throw backupErrorOf(error, path, path);
  } finally {
    db?.close();
  }
}

/**
 * Creates the folder, or takes an empty one.
 * @returns whether the folder is new
 */
async function claimFolder(folder: string, dataDir: string): Promise<boolean> {
  try {
    const isNew = !existsSync(folder);
    if (isNew) makeFolder(folder);
    if (!statSync(folder).isDirectory()) throw new BackupError(`${folder} is not a folder. Name a new folder.`);
    if (!relative(realpathSync(dataDir), realpathSync(folder)).startsWith("..")) {
      if (isNew) rmSync(folder, { recursive: true });
      throw new BackupError(
        `${folder} is in the data folder ${dataDir}. Name a folder elsewhere, best on another disk.`,
      );
    }
    const names = readdirSync(folder);
    if (names.length > 0) {
      const incomplete = names.includes("manifest.json.part")
        ? "It has an incomplete backup. Remove it, or name"
        : "Name";
      throw new BackupError(`${folder} is not empty. ${incomplete} a new folder for each backup.`);
    }
    await beginManifest(folder);
    return isNew;
  } catch (error) {
    throw backupErrorOf(error, dataDir, folder);
  }
}

async function copyAll(options: BackUpOptions, files: readonly string[]): Promise<BackupManifest> {
  const { dataDir, folder, version, clock, onProgress, signal } = options;
  const totalBytes = sizeOf(dataDir, files);
  let bytes = 0;
  const onBytes = (more: number) => {
    bytes += more;
    onProgress?.({ step: "copying", bytes, totalBytes: Math.max(bytes, totalBytes) });
  };
  const blobs = new BlobCopies(dataDir, folder, { onBytes, signal });
  await blobs.copyBeforeCut();

  const cut = takeCut(
    files.map((file) => join(dataDir, file)),
    () => {
      if (restoreIsUnfinished(dataDir)) {
        throw new BackupError(`A restore of ${dataDir} has not finished. Start the service, then repeat the command.`);
      }
      return { blobs: blobs.openAtCut(), at: clock.wall() };
    },
  );
  try {
    const blobsAtCut = await blobs.finish(cut.found.blobs);
    const databases: BackupManifest["databases"] = [];
    for (const [i, file] of files.entries()) {
      const path = join(folder, file);
      createPrivately(path);
      const size = statSync(join(dataDir, file)).size;
      let reported = 0;
      await copyDatabase(cut.readers[i]!, path, (copied, total) => {
        signal?.throwIfAborted();
        const sofar = Math.floor((size * copied) / total);
        onBytes(sofar - reported);
        reported = sofar;
      });
      await sync(path);
      const schema = checkedSchema(path, join(dataDir, file), version);
      databases.push({ file, schema, ...(await contentOf(path, { signal })) });
    }
    const manifest = newManifest({
      sluice: version,
      created_at: new Date(cut.found.at).toISOString(),
      databases,
      files: blobsAtCut.map(({ name, ...content }) => ({ file: `files/${name}`, ...content })),
    });
    await sync(folder);
    await sync(dirname(folder));
    await writeManifest(folder, manifest);
    return manifest;
  } finally {
    cut.close();
  }
}

/** @throws BackupError if a newer version wrote the database that was copied */
function checkedSchema(copy: string, original: string, version: string): number {
  const db = openImmutable(copy);
  try {
    const schema = schemaOf(db);
    const supported = supportedSchema(basename(copy));
    if (schema <= supported) return schema;
    throw new BackupError(
      `${original} was written by a newer version of Sluice (schema ${schema}); this is Sluice ${version}, which supports schema ${supported}. Use the command of the newer version.`,
    );
  } finally {
    db.close();
  }
}

function sizeOf(dataDir: string, files: readonly string[]): number {
  const blobs = existsSync(join(dataDir, "files")) ? readdirSync(join(dataDir, "files")) : [];
  const paths = [...files, ...blobs.map((name) => join("files", name))];
  return paths.reduce((sum, path) => sum + (statSync(join(dataDir, path), { throwIfNoEntry: false })?.size ?? 0), 0);
}
