// The data folder: one process at a time, what is left after a kill, and files of other versions.

import { readdirSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { JobStore } from "../../src/store/job-store.ts";
import { openForWriting } from "../../src/store/sqlite/driver.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import { StoreOpenError } from "../../src/store/store-open-error.ts";
import { makeJob } from "./conformance/support.ts";
import { environments, newDataDir, startProcess } from "./sqlite-support.ts";

/** Opens the store, and closes it again whatever happens. */
async function withStore<T>(dataDir: string, use: (store: JobStore) => Promise<T>): Promise<T> {
  const store = await openSqliteStore({ dataDir, environments });
  try {
    return await use(store);
  } finally {
    await store.close();
  }
}

async function whyNotOpened(dataDir: string, databases = environments): Promise<string> {
  const error = await openSqliteStore({ dataDir, environments: databases }).then(
    (store) => store.close(),
    (error) => error,
  );
  expect(error).toBeInstanceOf(StoreOpenError);
  return error.message;
}

test("a second process is refused and told who has the folder; a kill frees it at once", async () => {
  const dataDir = await newDataDir();
  const holder = startProcess("hold", dataDir);
  expect(await holder.nextLine()).toBe("open");
  const message = await whyNotOpened(dataDir);
  expect(message).toContain(dataDir);
  expect(message).toContain(`PID ${holder.process.pid}`);
  expect(message).toContain("Stop that one first");
  await holder.kill();
  await withStore(dataDir, (store) => store.ping());
});

test("a second store in the same process is refused too, and takes nothing from the first", async () => {
  const dataDir = await newDataDir();
  await withStore(dataDir, async (store) => {
    expect(await whyNotOpened(dataDir)).toContain("in use");
    await store.ping();
    // Another process must still find it locked: the failed try has not dropped the first one's lock.
    const other = startProcess("hold", dataDir);
    expect(await other.nextLine()).toContain("in use");
  });
});

test("closing frees the folder and leaves only the databases and the lock file", async () => {
  const dataDir = join(await newDataDir(), "made", "on", "the", "way");
  await withStore(dataDir, async (store) => {
    await store.insertMany([makeJob()]);
    await store.counts();
  });
  expect(readdirSync(dataDir).sort()).toEqual(["SSP-dev.sqlite", "SSP-prod.sqlite", "sluice.lock", "sluice.sqlite"]);
  await withStore(dataDir, (store) => store.ping());
});

test("whatever was acknowledged before a kill is there afterwards", { timeout: 120_000 }, async () => {
  const dataDir = await newDataDir();
  const acknowledged = { inserted: new Set<string>(), begun: new Set<string>(), finished: new Set<string>() };
  for (let round = 0; round < 4; round++) {
    const writer = startProcess("write", dataDir);
    expect(await writer.nextLine()).toBe("open");
    // At a random moment, with writes under way.
    const linesBeforeKill = 1 + Math.floor(Math.random() * 1_500);
    let killed: Promise<void> | undefined;
    for (let lines = 0; ; lines++) {
      if (lines === linesBeforeKill) killed = writer.kill();
      const line = await writer.nextLine();
      if (line === undefined) break;
      const [what, id] = line.split(" ");
      acknowledged[what as keyof typeof acknowledged].add(id!);
    }
    await killed;
  }
  const { inserted, begun, finished } = acknowledged;
  await withStore(dataDir, async (store) => {
    for (const id of inserted) {
      const record = await store.get(id);
      expect(record, id).toBeDefined();
      if (begun.has(id)) expect(record!.attempts, id).toHaveLength(1);
      if (finished.has(id)) expect(record!.outcome?.text, id).toBe(`An answer for ${id}.`);
    }
    expect(inserted.size).toBeGreaterThan(0);
    const counts = await store.counts();
    for (const environment of ["UAT", "PROD"]) {
      const total = Object.values(counts[environment]!).reduce((a, b) => a + b);
      expect(total).toBe(await countListed(store, environment));
    }
  });
});

async function countListed(store: JobStore, environment: string): Promise<number> {
  let count = 0;
  let cursor: string | undefined;
  do {
    const page = await store.list({ environment, limit: 1_000, cursor });
    count += page.items.length;
    cursor = page.next;
  } while (cursor !== undefined);
  return count;
}

test("a file of a newer version is refused and not touched; a downgrade is never tried", async () => {
  const dataDir = await newDataDir();
  await withStore(dataDir, (store) => store.insertMany([makeJob()]));
  const setVersion = (change: number) => {
    const db = openForWriting(join(dataDir, "SSP-prod.sqlite"));
    const { user_version: version } = db.prepare("PRAGMA user_version").get() as { user_version: number };
    db.exec(`PRAGMA user_version = ${version + change}`);
    db.close();
  };
  setVersion(1);
  expect(await whyNotOpened(dataDir)).toMatch(/SSP-prod\.sqlite was written by a newer version of Sluice/);
  // The lock was given back, and the other files are as they were.
  setVersion(-1);
  await withStore(dataDir, async (store) => expect((await store.list({ limit: 10 })).items).toHaveLength(1));
});

test("a folder that cannot be used is refused with its path", async () => {
  const folder = await newDataDir();
  const file = join(folder, "file");
  await writeFile(file, "");
  expect(await whyNotOpened(file)).toContain(file);
  await writeFile(
    join(folder, "SSP-dev.sqlite"),
    "this is no database, but it is long enough to be looked at ".repeat(50),
  );
  expect(await whyNotOpened(folder)).toContain(join(folder, "SSP-dev.sqlite"));
});

test.each(["", "..", "../out", "a/b", "a\\b", "sluice", "Sluice", "a\u0000b"])(
  "%j is refused as the name of a database",
  async (database) => {
    expect(await whyNotOpened(await newDataDir(), { ...environments, UAT: { database } })).toContain("name of a");
  },
);
