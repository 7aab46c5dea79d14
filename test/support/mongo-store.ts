// A store in databases of its own on the shared server.
import { randomUUID } from "node:crypto";
import { MongoClient } from "mongodb";
import type { JobStore } from "../../src/store/job-store.ts";
import { openMongoStore } from "../../src/store/mongo/mongo-store.ts";
import { sharedMongoUrl } from "./servers.ts";

type Environments = Record<string, { database: string }>;

export interface TestMongo {
  store: JobStore;
  /** What another process would open. */
  openAnother(): Promise<JobStore>;
  /** @param change gives the environments that it is opened with from the ones that it had at first */
  reopen(change?: (environments: Environments) => Environments): Promise<JobStore>;
  /** For looking at, and breaking, what is stored. */
  client: MongoClient;
  databases: { UAT: string; PROD: string; service: string };
  cleanup(): Promise<void>;
}

/** @param url of a server of the test's own, instead of the shared one */
export async function openTestMongo(url: string = sharedMongoUrl()): Promise<TestMongo> {
  const suffix = randomUUID().slice(0, 8);
  const databases = { UAT: `SSP-dev-${suffix}`, PROD: `SSP-prod-${suffix}`, service: `sluice-${suffix}` };
  const opened: JobStore[] = [];
  const own = { UAT: { database: databases.UAT }, PROD: { database: databases.PROD } };
  const used = new Set(Object.values(databases));
  const open = async (environments: Environments = own) => {
    for (const { database } of Object.values(environments)) used.add(database);
    const store = await openMongoStore({ url, environments, serviceDatabase: databases.service });
    opened.push(store);
    return store;
  };
  const client = new MongoClient(url);
  const store = await open();
  return {
    store,
    openAnother: () => open(),
    async reopen(change = (same) => same) {
      await Promise.all(opened.splice(0).map((store) => store.close()));
      return open(change(own));
    },
    client,
    databases,
    async cleanup() {
      await Promise.all(opened.map((store) => store.close()));
      for (const database of used) await client.db(database).dropDatabase();
      await client.close();
    },
  };
}
