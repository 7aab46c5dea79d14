// Migrates a file to the schema of this version. Forward only: each migration and its number are committed together, so
// after a crash the next start continues.
import { StoreOpenError } from "../environments.ts";
import { type Database, schemaOf } from "./driver.ts";

/**
 * Applies the migrations that the file lacks.
 * @param path used only in the message
 * @throws StoreOpenError if a newer version wrote the file
 */
export function migrate(db: Database, path: string, migrations: readonly string[]): void {
  const version = schemaOf(db);
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
