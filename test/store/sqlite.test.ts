import { storeConformance } from "./conformance.ts";
import { openSqlite } from "./open-sqlite.ts";

storeConformance("SQLite", () => openSqlite({ UAT: { database: "SSP-dev" }, PROD: { database: "SSP-prod" } }));
