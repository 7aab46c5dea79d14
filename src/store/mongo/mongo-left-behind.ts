// Finds unfinished jobs that no configured environment runs. Their database was renamed, or their environment was
// renamed or removed. The service's own database remembers every database that an environment ever had, because a
// server may hold hundreds that belong to others.
import type { MongoClient } from "mongodb";
import type { LeftBehind } from "../job-store.ts";
import { find } from "./reads.ts";

/** The name of the checkpoint that holds the names. */
const databasesCheckpoint = "databases";

/** Returns all databases that are or were in use. Calls `save` if there are new ones. */
export async function rememberDatabases(
  current: Readonly<Record<string, string>>,
  load: (name: string) => Promise<unknown>,
  save: (name: string, value: unknown) => Promise<void>,
): Promise<string[]> {
  const remembered = await load(databasesCheckpoint);
  const before = Array.isArray(remembered) ? remembered.filter((name) => typeof name === "string") : [];
  const all = [...new Set([...before, ...Object.values(current)])];
  if (all.length > before.length) await save(databasesCheckpoint, all);
  return all;
}

/**
 * Finds jobs that no configured environment runs.
 * @param current the database of each environment
 */
export async function findLeftBehind(
  client: MongoClient,
  names: readonly string[],
  current: Readonly<Record<string, string>>,
): Promise<LeftBehind[]> {
  const found: LeftBehind[] = [];
  for (const database of [...names].sort()) {
    const jobs = client.db(database).collection("jobs");
    // Sorts first, so that the server jumps from name to name in an index.
    const distinct = [{ $sort: { environment: 1 } }, { $group: { _id: "$environment" } }];
    const groups = await find((limited) => jobs.aggregate<{ _id: string }>(distinct, limited).toArray());
    for (const environment of groups.map(({ _id }) => String(_id)).sort()) {
      if (current[environment] === database) continue;
      const count = await find((limited) => jobs.countDocuments({ environment, ended: false }, limited));
      if (count > 0) found.push({ database, environment, jobs: count });
    }
  }
  return found;
}
