// Backups of a data folder: what they contain, what is refused, and what a restore replaces. The kills are in
// test/crash/backup-kill.proof.test.ts and restore-kill.proof.test.ts.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { cp, mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, expect, test } from "vitest";
import { backUp } from "../../src/store/sqlite/backup/back-up.ts";
import { BackupError } from "../../src/store/sqlite/backup/backup-errors.ts";
import type { BackupManifest } from "../../src/store/sqlite/backup/backup-manifest.ts";
import { BlobCopies } from "../../src/store/sqlite/backup/blob-copies.ts";
import { restoreIsUnfinished } from "../../src/store/sqlite/backup/finish-restore.ts";
import { checkBackup, restoreBackup } from "../../src/store/sqlite/backup/restore-backup.ts";
import { openForWriting } from "../../src/store/sqlite/driver.ts";
import { makeJob } from "./conformance/support.ts";
import { newDataDir, withStore } from "./sqlite-support.ts";

const version = "1.2.3";
const at = Date.UTC(2026, 11, 1, 4, 5, 6);
const clock = { wall: () => at };
const databases = ["SSP-dev", "SSP-prod"];
const names = ["SSP-dev.sqlite", "SSP-prod.sqlite", "sluice.sqlite"];

const jobIn = (dataDir: string, id: string) => withStore(dataDir, (store) => store.get(id));

async function* bytes(text: string) {
  yield Buffer.from(text);
}

const jobs = [makeJob(), makeJob({ environment: "PROD" })];
let template: string;

/** A data folder with a job in each environment and a blob, and a backup of it that was made while the store was open. */
beforeAll(async () => {
  template = await mkdtemp(join(tmpdir(), "sluice-backup-"));
  const [dataDir, folder] = [join(template, "data"), join(template, "backups", "one")];
  await withStore(dataDir, async (store) => {
    await store.insertMany(jobs);
    await store.blobs.put("UAT", "file-1", bytes("one line\n"));
    await backUp({ dataDir, folder, databases, version, clock });
  });
});

afterAll(() => rm(template, { recursive: true, force: true }));

test.runIf(process.platform === "linux")("a folder that cannot be created, below /proc, is refused", async () => {
  const options = { dataDir: join(template, "data"), databases, version, clock };
  await expect(backUp({ ...options, folder: "/proc/backup/one" })).rejects.toThrow(/\/proc\/backup/);
});

/** A copy of both folders. */
async function backedUp() {
  const root = await newDataDir();
  await cp(template, root, { recursive: true });
  return { root, dataDir: join(root, "data"), folder: join(root, "backups", "one") };
}

async function messageOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (reason) => reason,
  );
  expect(error).toBeInstanceOf(BackupError);
  return error.message;
}

function manifestIn(folder: string): BackupManifest {
  return JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8"));
}

function changeManifest(folder: string, change: (manifest: BackupManifest) => object): void {
  writeFileSync(join(folder, "manifest.json"), JSON.stringify(change(manifestIn(folder))));
}

const restore = async (folder: string, dataDir: string) =>
  restoreBackup({ folder, dataDir, clock, manifest: await checkBackup({ folder, version }) });

test("a backup of an open store is complete, private and restored elsewhere", async () => {
  const { root, folder } = await backedUp();
  expect(readdirSync(folder, { recursive: true }).sort()).toEqual(
    [...names, "files", join("files", "file-1"), "manifest.json"].sort(),
  );
  for (const path of [folder, join(folder, "files")]) expect(statSync(path).mode & 0o777).toBe(0o700);
  for (const name of [...names, "files/file-1", "manifest.json"]) {
    expect(statSync(join(folder, name)).mode & 0o777).toBe(0o600);
  }
  const manifest = manifestIn(folder);
  expect(manifest).toMatchObject({ format: 1, sluice: version, created_at: "2026-12-01T04:05:06.000Z" });
  expect(manifest.databases.map(({ file }) => file)).toEqual(names);
  const sha256 = createHash("sha256").update("one line\n").digest("hex");
  expect(manifest.files).toEqual([{ file: "files/file-1", bytes: 9, sha256 }]);

  const target = join(root, "new");
  expect(await restore(folder, target)).toBeUndefined();
  await withStore(target, async (store) => {
    for (const job of jobs) expect((await store.get(job.id))?.job).toEqual(job);
    expect(await text(Readable.from((await store.blobs.read("UAT", "file-1"))!))).toBe("one line\n");
  });
  expect(readdirSync(target).sort()).toEqual([...names, "files", "sluice.lock"].sort());
});

test("what is written after the cut is not in the backup", async () => {
  const { root, dataDir } = await backedUp();
  const folder = join(root, "two");
  const late = makeJob({ environment: "PROD" });
  await withStore(dataDir, async (store) => {
    let writing: Promise<unknown> | undefined;
    // The time is read at the cut, while the databases are locked. The write waits in the store's thread.
    const atCut = {
      wall: () => {
        writing = store.insertMany([late]);
        return at;
      },
    };
    await backUp({ dataDir, folder, databases, version, clock: atCut });
    expect(await writing).toEqual(["inserted"]);
  });
  await restore(folder, join(root, "new"));
  await withStore(join(root, "new"), async (store) => {
    expect(await store.get(late.id)).toBeUndefined();
    expect(await store.get(jobs[1]!.id)).toBeDefined();
  });
});

test("blobs at the cut are copied, also those that are removed after it; others are not", async () => {
  const root = await newDataDir();
  const files = join(root, "files");
  await mkdir(files);
  await mkdir(join(root, "to"));
  for (const name of ["stays", "removed-before-cut", "incomplete.part"]) await writeFile(join(files, name), name);
  const copies = new BlobCopies(root, join(root, "to"), {});
  await copies.copyBeforeCut();
  await rm(join(files, "removed-before-cut"));
  await writeFile(join(files, "created-before-cut"), "created");
  const cut = copies.openAtCut();
  await rm(join(files, "created-before-cut"));
  await rm(join(files, "stays"));
  await writeFile(join(files, "created-after-cut"), "late");
  expect((await copies.finish(cut)).map(({ name, bytes }) => [name, bytes])).toEqual([
    ["created-before-cut", 7],
    ["stays", 5],
  ]);
  expect(readdirSync(join(root, "to", "files")).sort()).toEqual(["created-before-cut", "stays"]);
});

test("a folder that cannot be used is refused, and left as it was", async () => {
  const { root, dataDir, folder } = await backedUp();
  const make = (to: string, from = dataDir) =>
    messageOf(backUp({ dataDir: from, folder: to, databases, version, clock }));
  const before = readdirSync(folder);
  expect(await make(folder)).toBe(`${folder} is not empty. Name a new folder for each backup.`);
  expect(readdirSync(folder)).toEqual(before);
  const killed = join(root, "killed");
  await mkdir(killed);
  await writeFile(join(killed, "manifest.json.part"), "");
  expect(await make(killed)).toContain("It has an incomplete backup. Remove it, or name a new folder");
  expect(await make(join(dataDir, "inside"))).toContain("is in the data folder");
  expect(await make(join(dataDir, "sluice.sqlite"))).toContain("is not a folder");
  expect(await make(join(root, "three"), join(root, "nothing"))).toContain("There is no data of Sluice in");
  expect(readdirSync(root).sort()).toEqual(["backups", "data", "killed"]);
  expect(readdirSync(dataDir)).not.toContain("inside");
});

test("a copy that fails or is stopped leaves nothing behind", async () => {
  const { root, dataDir } = await backedUp();
  const stop = new AbortController();
  const options = { dataDir, databases, version, clock };
  const stopped = backUp({
    ...options,
    folder: join(root, "two"),
    onProgress: () => stop.abort(),
    signal: stop.signal,
  });
  expect(await messageOf(stopped)).toBe("Stopped. What was copied is removed.");
  expect(readdirSync(root).sort()).toEqual(["backups", "data"]);

  // An empty folder of the user stays.
  await mkdir(join(root, "empty"));
  await writeFile(join(dataDir, "SSP-prod.sqlite"), "no database ".repeat(1_000));
  const failed = messageOf(backUp({ ...options, folder: join(root, "empty") }));
  expect(await failed).toBe(`${join(dataDir, "SSP-prod.sqlite")} is not a database, or it is damaged.`);
  expect(readdirSync(join(root, "empty"))).toEqual([]);
});

test("a file that is no database is left out, and a database that no environment names is copied", async () => {
  const { root, dataDir } = await backedUp();
  await writeFile(join(dataDir, "notes.sqlite"), "no database ".repeat(1_000));
  const folder = join(root, "two");
  const { leftOut } = await backUp({ dataDir, folder, databases: ["SSP-dev"], version, clock });
  expect(leftOut).toEqual(["notes.sqlite"]);
  expect(readdirSync(folder)).toContain("SSP-prod.sqlite");
});

test("data of a newer version is not backed up", async () => {
  const { root, dataDir } = await backedUp();
  const db = openForWriting(join(dataDir, "SSP-dev.sqlite"));
  db.exec("PRAGMA user_version = 99");
  db.close();
  const folder = join(root, "two");
  expect(await messageOf(backUp({ dataDir, folder, databases, version, clock }))).toMatch(
    /SSP-dev\.sqlite was written by a newer version of Sluice \(schema 99\); this is Sluice 1\.2\.3, which supports schema \d+\./,
  );
  expect(readdirSync(root)).not.toContain("two");
});

test("a backup of a newer version is refused with both versions", async () => {
  const { folder, root } = await backedUp();
  const check = () => messageOf(checkBackup({ folder, version }));
  const manifest = manifestIn(folder);
  changeManifest(folder, () => ({
    ...manifest,
    sluice: "2.0.0",
    databases: [{ ...manifest.databases[0], schema: 99 }],
  }));
  expect(await check()).toMatch(
    /A newer version wrote the backup .*: Sluice 2\.0\.0, with schema 99 of SSP-dev\.sqlite\. This is Sluice 1\.2\.3, which supports schema \d+\. Restore the backup with Sluice 2\.0\.0 or later\./,
  );
  // Its manifest may have any form.
  changeManifest(folder, () => ({ format: 2, sluice: "3.0.0", parts: [] }));
  expect(await check()).toContain("Sluice 3.0.0, with backup format 2. This is Sluice 1.2.3, which supports format 1.");
  expect(readdirSync(root).sort()).toEqual(["backups", "data"]);
});

test.each<[string, (folder: string) => unknown, RegExp]>([
  ["no manifest", (f) => rm(join(f, "manifest.json")), /is not a complete backup: it has no manifest\.json/],
  ["a manifest that is no JSON", (f) => writeFile(join(f, "manifest.json"), '{"format": 1'), /is not a manifest/],
  [
    "a path out of the folder",
    (f) => changeManifest(f, (m) => ({ ...m, files: [{ ...m.files[0], file: "files/../../../etc/passwd" }] })),
    /is not a manifest/,
  ],
  ["a missing file", (f) => rm(join(f, "files", "file-1")), /file-1 is missing/],
  [
    "a link",
    async (f) => {
      await rm(join(f, "files", "file-1"));
      symlinkSync("/etc/hostname", join(f, "files", "file-1"));
    },
    /file-1 is missing/,
  ],
  ["a longer file", (f) => writeFile(join(f, "files", "file-1"), "one line\n\n"), /has 10 bytes in place of 9/],
  ["a changed file", (f) => writeFile(join(f, "files", "file-1"), "One line\n"), /has another SHA-256/],
  [
    "a database that was damaged before it was copied",
    (f) => {
      const path = join(f, "SSP-dev.sqlite");
      const content = readFileSync(path);
      content.fill(0xff, 4_096, 8_192);
      writeFileSync(path, content);
      const sha256 = createHash("sha256").update(content).digest("hex");
      changeManifest(f, (m) => ({ ...m, databases: m.databases.map((d, i) => (i === 0 ? { ...d, sha256 } : d)) }));
    },
    /SSP-dev\.sqlite is not a sound database|is damaged/,
  ],
  [
    "another schema than the manifest says",
    (f) => changeManifest(f, (m) => ({ ...m, databases: m.databases.map((d) => ({ ...d, schema: 0 })) })),
    /has schema \d+, not 0 as the manifest says/,
  ],
])("a backup with %s is refused, and nothing is written", async (_what, damage, says) => {
  const { root, dataDir, folder } = await backedUp();
  await damage(folder);
  const before = readdirSync(root, { recursive: true });
  expect(await messageOf(restore(folder, dataDir))).toMatch(says);
  expect(readdirSync(root, { recursive: true })).toEqual(before);
});

test("a restore replaces the data and keeps the old one aside", async () => {
  const { dataDir, folder } = await backedUp();
  await rename(join(dataDir, "SSP-dev.sqlite"), join(dataDir, "SSP-old.sqlite"));
  // A log of the old database must not meet the new one.
  await writeFile(join(dataDir, "SSP-dev.sqlite-wal"), "old log");
  await writeFile(join(dataDir, "files", "file-2"), "late");
  await writeFile(join(dataDir, "README"), "the user's own file");
  const aside = join(dataDir, "before-restore-2026-12-01T04-05-06Z");
  expect(await restore(folder, dataDir)).toBe(aside);
  expect(readdirSync(dataDir).sort()).toEqual(
    [...names, "README", "before-restore-2026-12-01T04-05-06Z", "files", "sluice.lock"].sort(),
  );
  expect(readdirSync(join(dataDir, "files"))).toEqual(["file-1"]);
  expect(readdirSync(aside).sort()).toEqual(
    ["SSP-dev.sqlite-wal", "SSP-old.sqlite", "SSP-prod.sqlite", "files", "sluice.sqlite"].sort(),
  );
  expect(readdirSync(join(aside, "files")).sort()).toEqual(["file-1", "file-2"]);
  expect((await jobIn(dataDir, jobs[0]!.id))?.job).toEqual(jobs[0]);
  // A second one in the same second has a name of its own.
  expect(await restore(folder, dataDir)).toBe(join(dataDir, "before-restore-2026-12-01T04-05-07Z"));
});

test("a restore refuses a data folder in use, and a backup that changed after its check", async () => {
  const { dataDir, folder } = await backedUp();
  await withStore(dataDir, async () => {
    expect(await messageOf(restore(folder, dataDir))).toContain("is in use by another process");
  });
  const manifest = await checkBackup({ folder, version });
  await writeFile(join(folder, "files", "file-1"), "One line\n");
  expect(await messageOf(restoreBackup({ folder, dataDir, clock, manifest }))).toContain("has another SHA-256");
  expect(restoreIsUnfinished(dataDir)).toBe(false);
  expect(readdirSync(dataDir).filter((name) => name.startsWith("restore."))).toEqual([]);
  expect(await jobIn(dataDir, jobs[0]!.id)).toBeDefined();
});

test("a folder whose restore was committed is completed by the next start, and not backed up before", async () => {
  const { root, dataDir, folder } = await backedUp();
  const ready = join(dataDir, "restore.ready");
  await mkdir(join(ready, "before-restore-x"), { recursive: true });
  await cp(folder, join(ready, "new"), { recursive: true });
  await rm(join(ready, "new", "manifest.json"));
  await mkdir(join(dataDir, "restore.copying"));
  const again = backUp({ dataDir, folder: join(root, "two"), databases, version, clock });
  expect(await messageOf(again)).toContain("has not finished. Start the service");
  expect(await jobIn(dataDir, jobs[0]!.id)).toBeDefined();
  expect(readdirSync(join(dataDir, "before-restore-x")).sort()).toEqual([...names, "files"].sort());
  expect(readdirSync(dataDir).filter((name) => name.startsWith("restore."))).toEqual([]);
});
