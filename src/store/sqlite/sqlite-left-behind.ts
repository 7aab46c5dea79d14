// Finds unfinished jobs that no configured environment runs. Their database was renamed, or their environment was
// renamed or removed.
import { readdirSync } from "node:fs";
import { basename, join } from "node:path";
import type { LeftBehind } from "../job-store.ts";
import { openPlain } from "./driver.ts";
import { makeDatabasePrivate } from "./permissions.ts";
import { type DatabaseName, serviceDatabase } from "./protocol.ts";

/**
 * Checks every database of the folder, which must be locked. Skips files that are no database of an environment.
 * @param databases database names by environment
 */
export function findLeftBehind(dataDir: string, databases: Readonly<Record<string, DatabaseName>>): LeftBehind[] {
  const files = readdirSync(dataDir).filter((name) => name.endsWith(".sqlite") && name !== `${serviceDatabase}.sqlite`);
  return files.sort().flatMap((file) => {
    const database = basename(file, ".sqlite");
    return unfinishedIn(join(dataDir, file))
      .filter(({ environment }) => databases[environment] !== database)
      .map(({ environment, jobs }) => ({ database, environment, jobs }));
  });
}

function unfinishedIn(path: string): { environment: string; jobs: number }[] {
  try {
    const db = openPlain(path);
    try {
      const rows = db
        .prepare(
          `SELECT environment, sum(jobs) AS jobs FROM job_counts WHERE status IN ('queued', 'in_progress')
           GROUP BY environment HAVING sum(jobs) > 0 ORDER BY environment`,
        )
        .all();
      makeDatabasePrivate(path);
      return rows as unknown as { environment: string; jobs: number }[];
    } finally {
      db.close();
    }
  } catch {
    // Not a database of an environment.
    return [];
  }
}
