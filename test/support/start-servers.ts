// Starts the servers that the test files of a project share. REDIS_URL and MONGODB_URL, if they are set, name the shared
// ones; tests that kill a server start their own even then.
import type { TestProject } from "vitest/node";
import { findMongo, findRedis } from "./find-servers.ts";
import type { Launch, TestServer } from "./server-process.ts";
import { launchMongo, launchRedis, type Provided } from "./servers.ts";

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const started: TestServer[] = [];
  const missing: string[] = [];
  const obtain = async (
    what: string,
    url: string | undefined,
    find: () => Promise<Launch>,
    start: (launch: Launch) => Promise<TestServer>,
  ): Promise<Provided | null> => {
    try {
      const launch = await find();
      if (url) return { url, launch };
      const server = await start(launch);
      started.push(server);
      return { url: server.url, launch };
    } catch (error) {
      missing.push(`${what}: ${(error as Error).message}`);
      return null;
    }
  };

  const { REDIS_URL, MONGODB_URL, SLUICE_REQUIRE_SERVERS } = process.env;
  const [redis, mongo] = await Promise.all([
    obtain("Redis", REDIS_URL, findRedis, launchRedis),
    obtain("MongoDB", MONGODB_URL, findMongo, launchMongo),
  ]);
  const stop = async () => {
    await Promise.all(started.map((server) => server.close()));
  };
  if (missing.length > 0 && SLUICE_REQUIRE_SERVERS === "1") {
    await stop();
    throw new Error(`SLUICE_REQUIRE_SERVERS=1, but a server cannot be had.\n${missing.join("\n")}`);
  }
  project.provide("redis", redis);
  project.provide("mongo", mongo);

  return async () => {
    await stop();
    for (const line of missing) {
      process.stderr.write(`\n*** SKIPPED every test that needs a real server of this kind. ${line}\n`);
    }
  };
}
