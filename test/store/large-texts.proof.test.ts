// The port's conformance suite with every text in a blob, however short.
import { describe, vi } from "vitest";
import { openTestMongo } from "../support/mongo-store.ts";
import { withoutMongo } from "../support/servers.ts";
import { type OpenedStore, storeConformance, storeOperations } from "./conformance.ts";
import { allLarge } from "./large-text-support.ts";
import { openSqlite } from "./open-sqlite.ts";

vi.setConfig({ testTimeout: 60_000 });

function withAllLarge({ store, reopen, cleanup }: OpenedStore): OpenedStore {
  return {
    store: allLarge(store),
    ...(reopen && { reopen: async (change) => allLarge(await reopen(change)) }),
    cleanup,
  };
}

storeConformance("large texts on SQLite", async () =>
  withAllLarge(await openSqlite({ UAT: { database: "SSP-dev" }, PROD: { database: "SSP-prod" } })),
);

describe.skipIf(withoutMongo())("MongoDB", () => {
  storeOperations("large texts on MongoDB, one case per operation", async () => withAllLarge(await openTestMongo()));
});
