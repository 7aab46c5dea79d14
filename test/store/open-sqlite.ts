// A SQLite store in a folder of its own.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import type { OpenedStore } from "./conformance.ts";

export async function openSqlite(environments: Record<string, { database: string }>): Promise<OpenedStore> {
  const dataDir = await mkdtemp(join(tmpdir(), "sluice-store-"));
  let store = await openSqliteStore({ dataDir, environments });
  return {
    store,
    async reopen(change = (same) => same) {
      await store.close();
      store = await openSqliteStore({ dataDir, environments: change(environments) });
      return store;
    },
    async cleanup() {
      await store.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
