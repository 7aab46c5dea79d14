// Chooses the server of MongoDB's protocol for benchmarks of the distributed form. SLUICE_BENCH_MONGO_URL names a
// running server, whose Sluice databases are dropped. SLUICE_BENCH_MONGO_NAME is its name in the output, and
// SLUICE_BENCH_MONGO_PID its process, whose CPU time is measured. Without them, the server is the one that the tests
// find. FerretDB reads whole collections, so figures with it say little about Sluice. The output always names the
// server.
import { MongoClient } from "mongodb";
import { findMongo } from "../../test/support/find-servers.ts";
import { launchMongo } from "../../test/support/servers.ts";

export interface MongoServer {
  name: string;
  url: string;
  /** Process id, undefined if it is not known. */
  pid: number | undefined;
  /** Whether each operation reads whole collections, so that a benchmark can only use few jobs. */
  scans: boolean;
  close(): Promise<void>;
}

export async function openMongo(): Promise<MongoServer> {
  const server = (await named()) ?? (await started());
  console.log(`  *** measured with ${server.name} ***`);
  return server;
}

async function named(): Promise<MongoServer | undefined> {
  const { SLUICE_BENCH_MONGO_URL: url, SLUICE_BENCH_MONGO_NAME: name, SLUICE_BENCH_MONGO_PID: pid } = process.env;
  if (!url) return undefined;
  const client = await new MongoClient(url).connect();
  for (const database of ["SSP-dev", "SSP-prod", "sluice"]) await client.db(database).dropDatabase();
  await client.close();
  return {
    name: name || `the server at ${url}`,
    url,
    pid: Number(pid) || undefined,
    scans: false,
    close: async () => {},
  };
}

async function started(): Promise<MongoServer> {
  const launch = await findMongo();
  const { url, pid, close } = await launchMongo(launch);
  const name = `${launch.name}, because SLUICE_BENCH_MONGO_URL is not set`;
  return { name, url, pid, scans: launch.name.startsWith("FerretDB"), close };
}
