import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import { type OpenedStore, storeConformance } from "./conformance.ts";

async function open(environments: Record<string, { database: string }>): Promise<OpenedStore> {
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

storeConformance("SQLite", () => open({ UAT: { database: "SSP-dev" }, PROD: { database: "SSP-prod" } }), true);
storeConformance(
  "SQLite, two environments in one database",
  () => open({ UAT: { database: "both" }, PROD: { database: "both" } }),
  true,
);
