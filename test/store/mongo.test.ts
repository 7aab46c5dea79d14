import { describe } from "vitest";
import { openTestMongo } from "../support/mongo-store.ts";
import { withoutMongo } from "../support/servers.ts";
import { storeConformance } from "./conformance.ts";

describe.skipIf(withoutMongo())("MongoDB", () => {
  storeConformance("store: mongo", openTestMongo);
});
