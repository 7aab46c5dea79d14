// Brings a file up to the schema that this version knows. Forward only: each migration and its number are committed
// together, so a crash in between leaves a file that the next start takes further.
import { StoreOpenError } from "../environments.ts";
import type { Database } from "./driver.ts";

/**
 * @param path for the message only
 * @throws StoreOpenError if the file was written by a newer version
 */
export function migrate(db: Database, path: string, migrations: readonly string[]): void {
  const version = (db.prepare("PRAGMA user_version").get() as { user_version: number }).user_version;
  if (version > migrations.length) {
    throw new StoreOpenError(
      `${path} was written by a newer version of Sluice (schema ${version}; this version supports ${migrations.length}). Start the newer version, or restore the copy made before the upgrade.`,
    );
  }
  migrations.slice(version).forEach((sql, i) => {
    db.exec("BEGIN IMMEDIATE");
    try {
      db.exec(sql);
      db.exec(`PRAGMA user_version = ${version + i + 1}`);
      db.exec("COMMIT");
    } catch (error) {
      if (db.isTransaction) db.exec("ROLLBACK");
      throw error;
    }
  });
}
