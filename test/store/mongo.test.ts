import { describe, vi } from "vitest";
import { openTestMongo } from "../support/mongo-store.ts";
import { withoutMongo } from "../support/servers.ts";
import { collectionConformance } from "./conformance/collections.ts";
import { storeOperations } from "./conformance.ts";

// FerretDB reads a whole collection for most queries.
vi.setConfig({ testTimeout: 60_000 });

describe.skipIf(withoutMongo())("MongoDB", () => {
  storeOperations("store: mongo, one case per operation", () => openTestMongo());

  describe("environments that share a database", () => {
    collectionConformance(async () => {
      const opened = await openTestMongo();
      const store = await opened.reopen(({ UAT }) => ({ UAT: UAT!, PROD: UAT! }));
      return { store, cleanup: opened.cleanup };
    }, 2);
  });
});
