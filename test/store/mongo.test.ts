import { describe, vi } from "vitest";
import { openTestMongo } from "../support/mongo-store.ts";
import { withoutMongo } from "../support/servers.ts";
import { storeOperations } from "./conformance.ts";

// FerretDB reads a whole collection for most queries.
vi.setConfig({ testTimeout: 60_000 });

describe.skipIf(withoutMongo())("MongoDB", () => {
  storeOperations("store: mongo, one case per operation", () => openTestMongo());
});
