// The manifest of a backup: what the backup contains, and which version wrote it. It is written last, so a folder without
// a manifest is not a complete backup.
import { readFileSync } from "node:fs";
import { open, rename } from "node:fs/promises";
import { join } from "node:path";
import Type, { type Static } from "typebox";
import Value from "typebox/value";
import { serviceDatabase } from "../protocol.ts";
import { environmentMigrations, serviceMigrations } from "../sqlite-schema.ts";
import { sync } from "../sync.ts";
import { BackupError } from "./backup-errors.ts";

/** The layout of a backup's folder and manifest. A version reads its own format and earlier ones. */
const manifestFormat = 1;
const manifestFile = "manifest.json";
/** The manifest while the backup is incomplete. The process that creates it owns the folder. */
const partialManifest = `${manifestFile}.part`;

const headSchema = Type.Object({ format: Type.Integer({ minimum: 1 }), sluice: Type.String() });
const content = {
  bytes: Type.Integer({ minimum: 0 }),
  sha256: Type.String({ pattern: "^[0-9a-f]{64}$" }),
};
const manifestSchema = Type.Object({
  ...headSchema.properties,
  created_at: Type.String(),
  // The patterns keep every file inside the folder.
  databases: Type.Array(
    Type.Object({
      file: Type.String({ pattern: "^[A-Za-z0-9][A-Za-z0-9._-]*\\.sqlite$" }),
      schema: Type.Integer({ minimum: 0 }),
      ...content,
    }),
  ),
  files: Type.Array(Type.Object({ file: Type.String({ pattern: "^files/[A-Za-z0-9_-]{1,100}$" }), ...content })),
});

/** The content of `manifest.json`. */
export type BackupManifest = Static<typeof manifestSchema>;

/** Returns a manifest of this version's format. */
export function newManifest(parts: Omit<BackupManifest, "format">): BackupManifest {
  return { format: manifestFormat, ...parts };
}

/**
 * Creates the file that becomes the manifest.
 * @throws an `EEXIST` error if another process writes a backup to the folder
 */
export async function beginManifest(folder: string): Promise<void> {
  await (await open(join(folder, partialManifest), "wx", 0o600)).close();
}

/** Writes the manifest and waits until it is on disk. The backup is complete when this resolves. */
export async function writeManifest(folder: string, manifest: BackupManifest): Promise<void> {
  const path = join(folder, partialManifest);
  const file = await open(path, "w", 0o600);
  try {
    await file.writeFile(`${JSON.stringify(manifest, undefined, 1)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(path, join(folder, manifestFile));
  await sync(folder);
}

/**
 * Reads the manifest of a backup that this version can restore.
 * @param version the version of Sluice that runs
 * @throws BackupError if there is none, if it is not valid, or if a newer version wrote the backup
 */
export function readManifest(folder: string, version: string): BackupManifest {
  let text: string;
  try {
    text = readFileSync(join(folder, manifestFile), "utf8");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") {
      throw new BackupError(
        `${folder} is not a complete backup: it has no ${manifestFile}, which \`sluice backup\` writes last. Name another backup.`,
      );
    }
    throw new BackupError(`${join(folder, manifestFile)} cannot be read: ${message}.`, { cause: error });
  }
  const manifest = parsed(text);
  if (!Value.Check(headSchema, manifest)) throw invalid(folder);
  if (manifest.format > manifestFormat) {
    throw newer(folder, manifest.sluice, version, `backup format ${manifest.format}`, `format ${manifestFormat}`);
  }
  if (!Value.Check(manifestSchema, manifest)) throw invalid(folder);
  for (const { file, schema } of manifest.databases) {
    const supported = supportedSchema(file);
    if (schema > supported) {
      throw newer(folder, manifest.sluice, version, `schema ${schema} of ${file}`, `schema ${supported}`);
    }
  }
  return manifest;
}

/** Returns the newest schema of a database file, such as `SSP-dev.sqlite`, that this version supports. */
export function supportedSchema(file: string): number {
  return file.toLowerCase() === `${serviceDatabase}.sqlite` ? serviceMigrations.length : environmentMigrations.length;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function invalid(folder: string): BackupError {
  return new BackupError(`${join(folder, manifestFile)} is not a manifest of a backup, or is damaged.`);
}

function newer(folder: string, theirs: string, ours: string, found: string, supported: string): BackupError {
  return new BackupError(
    `A newer version wrote the backup ${folder}: Sluice ${theirs}, with ${found}. This is Sluice ${ours}, which supports ${supported}. Restore the backup with Sluice ${theirs} or later.`,
  );
}
