// Stores files, which are inputs or outputs of batches. A record describes a file, and a blob has its bytes. Both
// cannot be written at once, so a blob without a file record is first recorded as loose. What a dead process leaves
// behind is found there and removed.
import { SluiceError } from "../../domain/errors.ts";
import { newJobId } from "../../domain/ids.ts";
import { environmentCollection, timeKey } from "../../store/collection.ts";
import { type Caller, maySee, visibleEnvironments } from "../caller.ts";
import type { ArrivingFile } from "../file-space.ts";
import type { JobsContext } from "../jobs-context.ts";
import { insertTombstone } from "../tombstones.ts";
import { expectExpiry, expiriesIn } from "./expiry-records.ts";

export const filePurposes = ["batch", "batch_output"] as const;
export type FilePurpose = (typeof filePurposes)[number];

export interface StoredFile {
  /** `file-` and 32 hexadecimal digits. Ids sort by time of creation. */
  id: string;
  environment: string;
  tenant: string;
  filename: string;
  purpose: FilePurpose;
  bytes: number;
  /** Milliseconds since the epoch. */
  createdAt: number;
  /** Key of the blob with the bytes. */
  blob: string;
  /** SHA-256 of the bytes in hexadecimal. Present only for uploads with an Idempotency-Key. */
  sha256?: string;
  /** When the file is deleted, in milliseconds since the epoch. Absent without an expiry. */
  expiresAt?: number;
}

export type FilesContext = Pick<JobsContext, "store" | "clock" | "settings" | "fileSpace">;

/** A blob that belongs to no file unless the file's record names it. */
interface LooseBlob {
  blob: string;
  fileId: string;
  environment: string;
}

const filesIn = environmentCollection<StoredFile>({ stored: "files", order: "file/" });
/** In the order of the time since when they are loose. */
const looseBlobsIn = environmentCollection<LooseBlob>({ stored: "files", id: "loose/*", order: "loose/" });

/** Age after which a loose blob is removed, in milliseconds. No upload and no output takes so long. */
const looseMs = 24 * 3_600_000;
const sweptAtOnce = 500;

export function newFileId(): string {
  return fileIdOf(newJobId());
}

export function fileIdOf(uuid: string): string {
  return `file-${uuid.replaceAll("-", "")}`;
}

function isFileId(text: string): boolean {
  return /^file-[0-9a-f]{32}$/.test(text);
}

/** What is known of a file only after all of its bytes have arrived. */
interface Described extends Pick<StoredFile, "tenant" | "filename" | "purpose" | "sha256"> {
  /** Milliseconds until the file is deleted. Absent: see file-expiry.ts. */
  expiresInMs?: number | undefined;
}

/**
 * Writes a file, which is durable when it resolves. Of several writers of one id, the first wins.
 * @param arriving counts the bytes of an upload; files that a batch writes are counted and never refused
 * @param describe called when the bytes are durable; if it throws, there is no file
 * @returns the stored file
 * @throws SluiceError what the store, the stream or `describe` throws
 */
export async function writeFile(
  context: FilesContext,
  { id, environment }: Pick<StoredFile, "id" | "environment">,
  bytes: AsyncIterable<Uint8Array>,
  describe: () => Described | Promise<Described>,
  arriving?: ArrivingFile,
): Promise<StoredFile> {
  const { store, clock } = context;
  const createdAt = clock.wall();
  const loose: LooseBlob = { blob: newFileId(), fileId: id, environment };
  await insertLoose(context, loose);
  try {
    const size = await store.blobs.put(environment, loose.blob, bytes);
    const { expiresInMs, ...described } = await describe();
    const expires = expiresInMs === undefined ? {} : { expiresAt: createdAt + expiresInMs };
    const file: StoredFile = { id, environment, ...described, bytes: size, createdAt, blob: loose.blob, ...expires };
    await expectExpiry(context, file);
    const isNew = await filesIn(store, environment).insert({ id, value: file });
    if (!isNew) return (await fileIn(context, environment, id)) ?? file;
    if (arriving) arriving.stored(file);
    else context.fileSpace?.stored(file);
    return file;
  } finally {
    // Best effort: a sweep removes the rest later.
    await tidy(context, loose).catch(() => {});
  }
}

/**
 * Returns a file.
 * @throws SluiceError `file_not_found`, also for a file that the caller may not see
 */
export async function requireFile(context: FilesContext, id: string, caller: Caller): Promise<StoredFile> {
  if (isFileId(id)) {
    const places = visibleEnvironments(context, caller);
    const found = await Promise.all(places.map((environment) => fileIn(context, environment, id)));
    const file = found.find((candidate) => candidate && maySee(caller, candidate));
    if (file) return file;
  }
  throw new SluiceError("file_not_found", `There is no file ${id.slice(0, 100)}.`);
}

/**
 * Returns the bytes of a file.
 * @throws SluiceError `file_not_found` if its bytes were removed
 */
export async function readFile({ store }: FilesContext, file: StoredFile): Promise<AsyncIterable<Uint8Array>> {
  const bytes = await store.blobs.read(file.environment, file.blob);
  if (bytes) return bytes;
  throw new SluiceError("file_not_found", `There is no file ${file.id}.`);
}

export interface FileQuery {
  purpose?: string;
  /** Id of the last file on the previous page. */
  after?: string;
  limit: number;
  ascending?: boolean;
}

/** Returns a page of files by time of creation. Default order: newest first. */
export async function listFiles(
  context: FilesContext,
  { purpose, after, limit, ascending = false }: FileQuery,
  caller: Caller,
): Promise<{ files: StoredFile[]; more: boolean }> {
  const fits = (file: StoredFile) => maySee(caller, file) && (purpose === undefined || file.purpose === purpose);
  const lists = visibleEnvironments(context, caller).map(async (environment) => {
    const files: StoredFile[] = [];
    const range = { ...(ascending ? { after } : { before: after }), descending: !ascending };
    for await (const { value: file } of filesIn(context.store, environment).all(range, Math.min(500, limit + 1))) {
      if (fits(file)) files.push(file);
      if (files.length > limit) break;
    }
    return files;
  });
  const files = (await Promise.all(lists)).flat().sort((a, b) => (a.id < b.id === ascending ? -1 : 1));
  return { files: files.slice(0, limit), more: files.length > limit };
}

/** Deletes a file. Deleting a file that was deleted meanwhile is not an error. */
export async function deleteFile(context: FilesContext, file: StoredFile): Promise<void> {
  const { id, blob, environment } = file;
  const loose: LooseBlob = { blob, fileId: id, environment };
  // An Idempotency-Key is bound to the file's id.
  if (file.sha256 !== undefined) await insertTombstone(context, file);
  await insertLoose(context, loose);
  await filesIn(context.store, environment).remove(id);
  await expiriesIn(context.store, environment).remove(id);
  context.fileSpace?.removed(file);
  await tidy(context, loose);
}

/** Reads all files of all environments. */
export async function* allFiles(context: Pick<FilesContext, "store" | "settings">): AsyncIterable<StoredFile> {
  for (const environment of Object.keys(context.settings.environments)) yield* filesOf(context, environment);
}

/** Reads all files of an environment, oldest first. */
export async function* filesOf({ store }: Pick<FilesContext, "store">, environment: string): AsyncIterable<StoredFile> {
  for await (const { value } of filesIn(store, environment).all()) yield value;
}

/**
 * Removes blobs that were loose for too long, because their writers have died.
 * @param olderThanMs minimum age in milliseconds; 0 if no other process can be writing
 */
export async function sweepLooseBlobs(context: FilesContext, olderThanMs: number = looseMs): Promise<void> {
  const before = timeKey(context.clock.wall() - olderThanMs);
  for (const environment of Object.keys(context.settings.environments)) {
    const loose = await looseBlobsIn(context.store, environment).list(sweptAtOnce, { before });
    for (const { value } of loose) await tidy(context, value);
  }
}

function insertLoose({ store, clock }: FilesContext, value: LooseBlob): Promise<boolean> {
  return looseBlobsIn(store, value.environment).insert({ id: value.blob, order: timeKey(clock.wall()), value });
}

/** Removes a blob that no file names, and the record that it is loose. */
async function tidy(context: FilesContext, { environment, fileId, blob }: LooseBlob): Promise<void> {
  const file = await fileIn(context, environment, fileId);
  if (file?.blob !== blob) await context.store.blobs.remove(environment, blob);
  await looseBlobsIn(context.store, environment).remove(blob);
}

/** Returns a file of the environment, or undefined if it does not exist. */
export function fileIn({ store }: FilesContext, environment: string, id: string): Promise<StoredFile | undefined> {
  return filesIn(store, environment).get(id);
}
