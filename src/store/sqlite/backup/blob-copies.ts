// Copies the blobs of a data folder while they are created and removed. Blobs never change, so most are copied before
// the cut. At the cut, the others are opened: a file that is open can be read even after it was removed.
import { closeSync, openSync, readdirSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { sync } from "../sync.ts";
import { type Content, type CopyOptions, copyFile } from "./copy-file.ts";

/** The blobs that exist at the moment of the cut. */
export interface BlobsAtCut {
  names: readonly string[];
  /** Open files of the blobs that were not copied before the cut. */
  open: ReadonlyMap<string, number>;
}

/** More copies are made before the cut until a pass finds fewer new blobs than this. */
const fewBlobs = 100;
const maxPasses = 10;

export class BlobCopies {
  readonly #from: string;
  readonly #to: string;
  readonly #options: CopyOptions;
  readonly #copied = new Map<string, Content>();

  constructor(dataDir: string, folder: string, options: CopyOptions) {
    this.#from = join(dataDir, "files");
    this.#to = join(folder, "files");
    this.#options = options;
  }

  /** Copies what exists, so that little is left at the cut. */
  async copyBeforeCut(): Promise<void> {
    await mkdir(this.#to, { mode: 0o700 });
    for (let pass = 1; pass <= maxPasses; pass++) {
      const fresh = blobsIn(this.#from).filter((name) => !this.#copied.has(name));
      for (const name of fresh) await this.#copy(name, openIfExists(join(this.#from, name)));
      if (fresh.length < fewBlobs) return;
    }
  }

  /** Finds the blobs at the moment of the cut. Call it while no record can change. */
  openAtCut(): BlobsAtCut {
    const open = new Map<string, number>();
    const names = blobsIn(this.#from).filter((name) => {
      if (this.#copied.has(name)) return true;
      // A blob without a record may be removed even now.
      const file = openIfExists(join(this.#from, name));
      if (file !== undefined) open.set(name, file);
      return file !== undefined;
    });
    return { names, open };
  }

  /** Completes the copies: exactly the blobs at the cut. Returns them in the order of their names. */
  async finish({ names, open }: BlobsAtCut): Promise<(Content & { name: string })[]> {
    const rest = new Map(open);
    try {
      for (const [name, file] of open) {
        rest.delete(name);
        await this.#copy(name, file);
      }
    } finally {
      for (const file of rest.values()) closeSync(file);
    }
    const atCut = new Set(names);
    for (const name of this.#copied.keys()) {
      if (!atCut.has(name)) await rm(join(this.#to, name));
    }
    await sync(this.#to);
    return [...names].sort().map((name) => ({ name, ...this.#copied.get(name)! }));
  }

  async #copy(name: string, file: number | undefined): Promise<void> {
    if (file !== undefined) this.#copied.set(name, await copyFile(file, join(this.#to, name), this.#options));
  }
}

/** Returns the names of complete blobs. */
function blobsIn(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => /^[A-Za-z0-9_-]{1,100}$/.test(name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

function openIfExists(path: string): number | undefined {
  try {
    return openSync(path, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
