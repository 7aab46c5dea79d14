// Finds unfinished jobs that no environment of the configuration runs: in a database that was renamed, or of an
// environment that was renamed or taken away.
import { readdirSync } from "node:fs";
import { basename, join } from "node:path";
import type { LeftBehind } from "../job-store.ts";
import { openPlain } from "./driver.ts";
import { makeDatabasePrivate } from "./permissions.ts";
import { type DatabaseName, serviceDatabase } from "./protocol.ts";

/**
 * Looks into every database of the folder, which must be locked. What is no database of an environment is passed over.
 * @param databases by environment
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
    // Some other file.
    return [];
  }
}
