// Blobs as files in a folder next to the databases. A file is written under a temporary name and renamed once all of it
// is on disk. So a name exists with all of its bytes or not at all, whenever the process dies.
import { accessSync, constants, createReadStream } from "node:fs";
import { type FileHandle, mkdir, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { SluiceError } from "../../domain/errors.ts";
import { type BlobStore, checkBlobKey } from "../blob-store.ts";
import { unknownEnvironment } from "../environments.ts";
import { openErrorOf } from "./open-errors.ts";
import { sync } from "./sync.ts";

/** Small pieces are collected up to this size, because a call for each costs more than copying it. */
const writeBytes = 256 * 1024;

export class FolderBlobs implements BlobStore {
  readonly #folder: string;
  readonly #environments: ReadonlySet<string>;

  constructor(dataDir: string, environments: Iterable<string>) {
    this.#folder = join(dataDir, "files");
    this.#environments = new Set(environments);
  }

  /**
   * Checks that files can be created in the folder, if it exists.
   * @throws StoreOpenError if they cannot
   */
  checkWritable(): void {
    try {
      accessSync(this.#folder, constants.W_OK | constants.X_OK);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw openErrorOf(error, this.#folder);
    }
  }

  async put(environment: string, key: string, bytes: AsyncIterable<Uint8Array>): Promise<number> {
    const path = this.#path(environment, key);
    const unfinished = `${path}.part`;
    let size = 0;
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      const file = await open(unfinished, "w", 0o600);
      try {
        for await (const part of gathered(bytes)) {
          await writeAll(file, part);
          for (const piece of part) size += piece.length;
        }
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(unfinished, path);
      // The new name is durable only once its folder is.
      await sync(this.#folder);
      return size;
    } catch (error) {
      await rm(unfinished, { force: true });
      throw blobError(error);
    }
  }

  async read(environment: string, key: string): Promise<AsyncIterable<Uint8Array> | undefined> {
    const path = this.#path(environment, key);
    let file: FileHandle;
    try {
      file = await open(path, "r");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw blobError(error);
    }
    return createReadStream("", { fd: file, highWaterMark: writeBytes });
  }

  async remove(environment: string, key: string): Promise<void> {
    const path = this.#path(environment, key);
    try {
      await rm(`${path}.part`, { force: true });
      await rm(path, { force: true });
    } catch (error) {
      throw blobError(error);
    }
  }

  /**
   * Returns the path of a blob.
   * @throws SluiceError `unknown_environment`
   */
  #path(environment: string, key: string): string {
    checkBlobKey(key);
    if (this.#environments.has(environment)) return join(this.#folder, key);
    throw unknownEnvironment(environment);
  }
}

async function* gathered(bytes: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array[]> {
  let pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of bytes) {
    if (piece.length === 0) continue;
    pieces.push(piece);
    size += piece.length;
    if (size < writeBytes) continue;
    yield pieces;
    pieces = [];
    size = 0;
  }
  if (size > 0) yield pieces;
}

async function writeAll(file: FileHandle, pieces: Uint8Array[]): Promise<void> {
  const all = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
  for (let written = 0; written < all.length; ) {
    const { bytesWritten } = await file.write(all, written);
    written += bytesWritten;
  }
}

/**
 * Converts errors of the file system to those of the store. Returns other errors, which are the stream's own,
 * unchanged.
 */
function blobError(error: unknown): unknown {
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (error instanceof SluiceError || syscall === undefined) return error;
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new SluiceError("storage_full", "There is no space left to write the file.", {}, { cause: error });
  }
  return new SluiceError("unavailable", `The file cannot be read or written (${code}).`, {}, { cause: error });
}
