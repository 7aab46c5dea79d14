import { describe, vi } from "vitest";
import { openTestMongo } from "../support/mongo-store.ts";
import { withoutMongo } from "../support/servers.ts";
import { storeConformance } from "./conformance.ts";

// FerretDB reads a whole collection for most queries; on two busy cores a case can take half a minute.
vi.setConfig({ testTimeout: 120_000 });

describe.skipIf(withoutMongo())("MongoDB", () => {
  storeConformance("store: mongo", () => openTestMongo());
});
