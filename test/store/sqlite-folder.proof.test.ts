// The data folder: one process at a time, what is left after a kill, and files of other versions.
import { readdirSync, statSync } from "node:fs";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pino } from "pino";
import { describe, expect, test } from "vitest";
import { randomNumbers } from "../../src/simulator/random.ts";
import { StoreOpenError } from "../../src/store/environments.ts";
import type { JobStore } from "../../src/store/job-store.ts";
import { openForWriting } from "../../src/store/sqlite/driver.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import { testSeed } from "../support/seed.ts";
import { makeJob } from "./conformance/support.ts";
import { canMount, environments, newDataDir, openWithMounts, startProcess, withStore } from "./sqlite-support.ts";

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
  expect(message).toContain("Stop that process");
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
  const random = randomNumbers(String(testSeed));
  const dataDir = await newDataDir();
  const acknowledged = { inserted: new Set<string>(), begun: new Set<string>(), finished: new Set<string>() };
  for (let round = 0; round < 4; round++) {
    const writer = startProcess("write", dataDir);
    expect(await writer.nextLine()).toBe("open");
    // At a random moment, with writes under way.
    const linesBeforeKill = 1 + Math.floor(random() * 1_500);
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
    expect(await whyNotOpened(await newDataDir(), { ...environments, UAT: { database } })).toContain(
      "is not a valid database name",
    );
  },
);

/** The mode of each file below the folder, such as `600`. */
function modesIn(folder: string): Record<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    files.map(({ parentPath, name }) => [name, (statSync(join(parentPath, name)).mode & 0o777).toString(8)]),
  );
}

test("E2: every file is private, whatever the mode of the folder and of files that were there", async () => {
  const dataDir = join(await newDataDir(), "open");
  await mkdir(join(dataDir, "files"), { recursive: true });
  await chmod(dataDir, 0o755);
  await withStore(dataDir, (store) => store.ping());
  for (const name of ["SSP-dev.sqlite", "sluice.sqlite", "sluice.lock"]) await chmod(join(dataDir, name), 0o644);
  await writeFile(join(dataDir, "SSP-dev.sqlite-wal"), "", { mode: 0o644 });
  await writeFile(join(dataDir, "SSP-old.sqlite"), "not ours", { mode: 0o644 });
  const logged: object[] = [];
  const log = pino({ base: null }, { write: (line: string) => void logged.push(JSON.parse(line)) });
  const store = await openSqliteStore({ dataDir, environments, log });
  try {
    await store.insertMany([makeJob(), makeJob({ environment: "PROD" })]);
    async function* bytes() {
      yield Buffer.from("{}");
    }
    await store.blobs.put("UAT", "file-1", bytes());
    const { "SSP-old.sqlite": foreign, ...modes } = modesIn(dataDir);
    expect(Object.keys(modes)).toEqual(
      expect.arrayContaining(["SSP-dev.sqlite", "SSP-dev.sqlite-wal", "SSP-dev.sqlite-shm", "file-1"]),
    );
    expect(Object.entries(modes).filter(([, mode]) => mode !== "600")).toEqual([]);
    expect(foreign).toBe("644");
    expect(statSync(join(dataDir, "files")).mode & 0o777).toBe(0o700);
    expect(statSync(dataDir).mode & 0o777).toBe(0o755);
  } finally {
    await store.close();
  }
  expect(logged).toEqual([
    expect.objectContaining({ level: 40, dataDir, mode: "755", advice: `chmod 700 ${dataDir}` }),
  ]);
});

test("E2: a folder that is private is not warned of", async () => {
  const dataDir = join(await newDataDir(), "private");
  const logged: string[] = [];
  const log = pino({}, { write: (line: string) => void logged.push(line) });
  const store = await openSqliteStore({ dataDir, environments, log });
  await store.close();
  expect(logged).toEqual([]);
});

describe.skipIf(!canMount)("with file systems of its own", () => {
  const tmpfs = (size: string) => `mount -t tmpfs -o size=${size},mode=700 tmpfs "$1"`;

  test.each([
    // Not one page more, then some that are too few for what SQLite needs to open a file.
    ["to the last byte", 'cat /dev/zero > "$1/fill" || true'],
    ["all but 40 KB", 'cat /dev/zero > "$1/fill" || true; truncate -s -40960 "$1/fill"'],
  ])("F4: a start on a disk that is full %s says so", async (_what, fill) => {
    const dataDir = await newDataDir();
    await withStore(dataDir, (store) => store.insertMany([makeJob()]));
    const copy = `cp -a "$1" /mnt/copy; ${tmpfs("800k")}; cp -a /mnt/copy/. "$1"`;
    const says = await openWithMounts(dataDir, `${tmpfs("2m").replace('"$1"', "/mnt")}; ${copy}; ${fill}`);
    expect(says).toMatch(/^The disk of .* is full\. Free some space, then start again\.$/);
  });

  test.each(["SSP-prod.sqlite", "files"])(
    "F5: %s that cannot be written to ends the start with a sentence",
    async (name) => {
      const dataDir = await newDataDir();
      await withStore(dataDir, (store) => store.ping());
      await mkdir(join(dataDir, "files"), { recursive: true });
      const readOnly = `mount --bind "$1/${name}" "$1/${name}"; mount -o remount,ro,bind "$1/${name}"`;
      const says = await openWithMounts(dataDir, readOnly);
      expect(says).toMatch(new RegExp(`^${join(dataDir, name)} cannot be written to: .* Check who owns it`));
    },
  );
});
