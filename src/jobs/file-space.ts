// Counts the bytes of each tenant's files, so that no tenant fills the disk for all others. The stored files are the
// truth. A single process reads them once and follows every change, including running uploads. Processes that share a
// store read them again every few seconds.
import { statfs } from "node:fs/promises";
import type { Settings } from "../config/settings.ts";
import type { Clock } from "../domain/clock.ts";
import { SluiceError } from "../domain/errors.ts";
import { Cached } from "./cached.ts";

type SpaceSettings = Pick<Settings, "limits" | "distributed" | "dataDir">;

/** The counted properties of a file. */
interface Counted {
  id: string;
  tenant: string;
  bytes: number;
}

/** Maximum age of the sums if other processes write too, in milliseconds. */
const freshMs = 2_000;
/** Bytes of one upload after which the free disk space is read again. */
const lookAgainBytes = 8 * 1024 * 1024;

/** The files of one tenant. */
interface Held {
  files: Map<string, number>;
  /** Sum of `files`. */
  stored: number;
  /** Bytes of running uploads. */
  arriving: number;
}

export class FileSpace {
  readonly #settings: SpaceSettings;
  readonly #readFiles: () => AsyncIterable<Counted>;
  readonly #freeBytes: (folder: string) => Promise<number>;
  readonly #reloaded: Cached<void> | undefined;
  readonly #tenants = new Map<string, Held>();

  /**
   * Creates the counter.
   * @param readFiles returns all stored files
   * @param freeBytes returns the free bytes on the disk of a folder
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

  /** Reads the stored files. Call it before the first upload. */
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

  /** Counts a stored file. May be repeated. */
  stored({ id, tenant, bytes }: Counted): void {
    const held = this.#of(tenant);
    if (held.files.has(id)) return;
    held.files.set(id, bytes);
    held.stored += bytes;
  }

  /** Subtracts a removed file. May be repeated. */
  removed({ id, tenant }: Counted): void {
    const held = this.#of(tenant);
    held.stored -= held.files.get(id) ?? 0;
    held.files.delete(id);
  }

  /** Begins an upload of the tenant. Call `end` afterwards. */
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
        // Nothing is awaited between the check and the reservation.
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
   * Returns the limit of a tenant by disk: half of the space for files beyond the free space that the disk keeps. The
   * next tenant may have half of the rest, so no tenant fills the disk.
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

/** Returns the free bytes. A disk that cannot be read does not count as full. */
async function freeBytesOn(folder: string): Promise<number> {
  const disk = await statfs(folder).catch(() => undefined);
  return disk ? disk.bavail * disk.bsize : Number.POSITIVE_INFINITY;
}

/** Counts the bytes of one upload as they arrive. */
export interface ArrivingFile {
  /**
   * Counts arriving bytes.
   * @throws SluiceError `limit_exceeded`; then nothing is counted
   */
  take(bytes: number): Promise<void>;
  /** Marks the upload as stored. */
  stored(file: Counted): void;
  /** Ends the upload. Call it in any case. */
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
