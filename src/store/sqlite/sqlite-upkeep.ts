// The callers' side of retention in SQLite.
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { JobHead } from "../../domain/job.ts";
import { checkLimit, decodeCursor, encodeCursor, type Page } from "../cursor.ts";
import { databaseOf } from "../environments.ts";
import type {
  EndedJob,
  EndedQuery,
  OldAttemptsQuery,
  OldUsageQuery,
  RemovedAttempts,
  StoreSize,
  UpkeepStore,
} from "../upkeep-store.ts";
import { cursorKey, firstKey, startOf } from "./job-keys.ts";
import {
  type ChargeKey,
  type DatabaseName,
  type Place,
  type ReadOperations,
  serviceDatabase,
  type WriteOperations,
} from "./protocol.ts";
import type { StoreThread } from "./sqlite-thread.ts";

const firstCharge: ChargeKey = [Number.MIN_SAFE_INTEGER, "", 0];

export class SqliteUpkeep implements UpkeepStore {
  readonly #dataDir: string;
  readonly #databases: Record<string, DatabaseName>;
  readonly #writer: StoreThread<WriteOperations>;
  readonly #reader: StoreThread<ReadOperations>;

  constructor(
    dataDir: string,
    databases: Record<string, DatabaseName>,
    writer: StoreThread<WriteOperations>,
    reader: StoreThread<ReadOperations>,
  ) {
    this.#dataDir = dataDir;
    this.#databases = databases;
    this.#writer = writer;
    this.#reader = reader;
  }

  async ended({ environment, finishedFrom, finishedTo, limit, cursor }: EndedQuery): Promise<Page<EndedJob>> {
    checkLimit(limit, 1_000);
    const after = cursorKey(cursor) ?? startOf(finishedFrom) ?? firstKey;
    const range = { after, before: finishedTo, limit };
    const { rows, more } = await this.#reader.ask("ended", { ...this.#place(environment), ...range });
    const page: Page<EndedJob> = {
      items: rows.map((row) => ({ job: JSON.parse(row.head) as JobHead, finishedAt: row.finished_at! })),
    };
    const last = page.items.at(-1);
    if (more && last) page.next = encodeCursor([last.finishedAt, last.job.id]);
    return page;
  }

  async removeAttempts({ environment, tenants, chargedTo, limit, cursor }: OldAttemptsQuery): Promise<RemovedAttempts> {
    checkLimit(limit, 1_000);
    const after = cursor === undefined ? firstCharge : decodeCursor(cursor, firstCharge);
    const range = { tenants, after, before: chargedTo, limit };
    const { removed, last } = await this.#writer.ask("removeAttempts", { ...this.#place(environment), ...range });
    return { removed, ...(last && { next: encodeCursor(last) }) };
  }

  removeUsage({ environment, tenants, toDay }: OldUsageQuery): Promise<number> {
    return this.#writer.ask("removeUsage", { ...this.#place(environment), tenants, toDay });
  }

  async size(): Promise<StoreSize> {
    const space = await this.#reader.ask("space", {});
    const names = space.flatMap(({ database }) => ["", "-wal"].map((end) => `${database}.sqlite${end}`));
    const sizes = await Promise.all([
      ...names.map((name) => bytesOf(join(this.#dataDir, name))),
      bytesIn(join(this.#dataDir, "files")),
    ]);
    return {
      bytes: sum(sizes),
      freeBytes: sum(space.map(({ freeBytes }) => freeBytes)),
      fixed: space.filter(({ shrinks }) => !shrinks).map(({ database }) => database),
    };
  }

  async reclaim(): Promise<number> {
    const databases = new Set([...Object.values(this.#databases), serviceDatabase]);
    return sum(await Promise.all(Array.from(databases, (database) => this.#writer.ask("reclaim", { database }))));
  }

  /** @throws SluiceError `unknown_environment` */
  #place(environment: string): Place {
    return { database: databaseOf(this.#databases, environment), environment };
  }
}

async function bytesIn(folder: string): Promise<number> {
  const names = await readdir(folder).catch(() => []);
  return sum(await Promise.all(names.map((name) => bytesOf(join(folder, name)))));
}

/** Returns 0 for a file that does not exist, or was removed meanwhile. */
async function bytesOf(path: string): Promise<number> {
  return (await stat(path).catch(() => undefined))?.size ?? 0;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0);
}
