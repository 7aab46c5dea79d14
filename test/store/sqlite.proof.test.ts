import { storeConformance } from "./conformance.ts";
import { openSqlite } from "./open-sqlite.ts";

storeConformance("SQLite, two environments in one database", () =>
  openSqlite({ UAT: { database: "both" }, PROD: { database: "both" } }),
);
