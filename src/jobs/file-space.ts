// How many bytes the files of each tenant have, so that no tenant fills the disk for all others. What is on record is the
// truth; in one process it is read once and followed exactly, uploads under way included. Processes that share a store read
// it again every few seconds.
import { statfs } from "node:fs/promises";
import type { Settings } from "../config/settings.ts";
import type { Clock } from "../domain/clock.ts";
import { SluiceError } from "../domain/errors.ts";
import { Cached } from "./cached.ts";

type SpaceSettings = Pick<Settings, "limits" | "distributed" | "dataDir">;

/** What is counted of a file. */
interface Counted {
  id: string;
  tenant: string;
  bytes: number;
}

/** How old the sums may be where other processes write as well. */
const freshMs = 2_000;
/** Bytes of one upload after which the disk is looked at again. */
const lookAgainBytes = 8 * 1024 * 1024;

/** Of one tenant. */
interface Held {
  files: Map<string, number>;
  /** Sum of `files`. */
  stored: number;
  /** Of uploads under way. */
  arriving: number;
}

export class FileSpace {
  readonly #settings: SpaceSettings;
  readonly #readFiles: () => AsyncIterable<Counted>;
  readonly #freeBytes: (folder: string) => Promise<number>;
  readonly #reloaded: Cached<void> | undefined;
  readonly #tenants = new Map<string, Held>();

  /**
   * @param readFiles all files on record
   * @param freeBytes bytes that are free on the disk of a folder
   */
  constructor(
    settings: SpaceSettings,
    clock: Pick<Clock, "now">,
    readFiles: () => AsyncIterable<Counted>,
    freeBytes = freeBytesOn,
  ) {
    this.#settings = settings;
    this.#readFiles = readFiles;
    this.#freeBytes = freeBytes;
    if (settings.distributed) this.#reloaded = new Cached(clock, freshMs, () => this.load());
  }

  /** Reads what is on record. To be called before the first upload. */
  async load(): Promise<void> {
    const read = new Map<string, Map<string, number>>();
    for await (const { id, tenant, bytes } of this.#readFiles()) {
      const files = read.get(tenant) ?? new Map<string, number>();
      read.set(tenant, files.set(id, bytes));
    }
    for (const tenant of new Set([...read.keys(), ...this.#tenants.keys()])) {
      const held = this.#of(tenant);
      held.files = read.get(tenant) ?? new Map();
      held.stored = [...held.files.values()].reduce((sum, bytes) => sum + bytes, 0);
    }
  }

  /** A file is on record. Repeating it changes nothing. */
  stored({ id, tenant, bytes }: Counted): void {
    const held = this.#of(tenant);
    if (held.files.has(id)) return;
    held.files.set(id, bytes);
    held.stored += bytes;
  }

  /** A file is no longer on record. Repeating it changes nothing. */
  removed({ id, tenant }: Counted): void {
    const held = this.#of(tenant);
    held.stored -= held.files.get(id) ?? 0;
    held.files.delete(id);
  }

  /** Begins an upload of the tenant. `end` has to follow. */
  async begin(tenant: string): Promise<ArrivingFile> {
    await this.#reloaded?.get();
    const held = this.#of(tenant);
    let taken = 0;
    let lookAt = 0;
    let most = 0;
    return {
      take: async (bytes) => {
        if (taken + bytes > lookAt) {
          lookAt = taken + bytes + lookAgainBytes;
          most = await this.#mostOf(held);
        }
        // Nothing is waited for between the check and the taking.
        const { maxTenantFileBytes } = this.#settings.limits;
        const all = held.stored + held.arriving + bytes;
        if (all > Math.min(maxTenantFileBytes, most)) throw tooMuch(tenant, maxTenantFileBytes, most);
        held.arriving += bytes;
        taken += bytes;
      },
      stored: (file) => {
        held.arriving -= taken;
        taken = 0;
        this.stored(file);
      },
      end: () => {
        held.arriving -= taken;
        taken = 0;
      },
    };
  }

  /**
   * A tenant may have half of what the disk has for files, besides what it keeps free: then the next tenant may have half of
   * the rest, and nobody fills it.
   */
  async #mostOf({ stored, arriving }: Held): Promise<number> {
    const { distributed, dataDir, limits } = this.#settings;
    if (distributed) return Number.POSITIVE_INFINITY;
    const free = Math.max(0, (await this.#freeBytes(dataDir)) - limits.minFreeDiskBytes);
    return Math.floor((free + stored + arriving) / 2);
  }

  #of(tenant: string): Held {
    const known = this.#tenants.get(tenant);
    if (known) return known;
    const held: Held = { files: new Map(), stored: 0, arriving: 0 };
    this.#tenants.set(tenant, held);
    return held;
  }
}

/** A disk that cannot be asked is not taken for a full one. */
async function freeBytesOn(folder: string): Promise<number> {
  const disk = await statfs(folder).catch(() => undefined);
  return disk ? disk.bavail * disk.bsize : Number.POSITIVE_INFINITY;
}

/** The bytes of one upload, counted as they come. */
export interface ArrivingFile {
  /** @throws SluiceError `limit_exceeded`; then nothing is taken */
  take(bytes: number): Promise<void>;
  /** The upload is a file on record now. */
  stored(file: Counted): void;
  /** To be called in any case, at the end. */
  end(): void;
}

function tooMuch(tenant: string, setting: number, byDisk: number): SluiceError {
  const why =
    setting <= byDisk
      ? `${setting} bytes in all (limits.maxTenantFileBytes)`
      : `${byDisk} bytes in all, half of the disk space for files`;
  return new SluiceError(
    "limit_exceeded",
    `The files of the tenant ${tenant} may have at most ${why}; this file would exceed that. Delete files or batches that you no longer need.`,
    { field: "file" },
  );
}
