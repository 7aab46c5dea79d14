// What a backup and a restore promise while other processes write, and when they are killed.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, expect, test } from "vitest";
import { backUp } from "../../src/store/sqlite/backup/back-up.ts";
import { takeCut } from "../../src/store/sqlite/backup/consistent-cut.ts";
import { finishRestore, restoreIsUnfinished } from "../../src/store/sqlite/backup/finish-restore.ts";
import { type Database, openForWriting, openPlain } from "../../src/store/sqlite/driver.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import { sluiceMain } from "../support/sluice-process.ts";
import { makeJob } from "./conformance/support.ts";
import { canMount, environments, newDataDir, startProcess } from "./sqlite-support.ts";

const cuts = 30;
/** Databases between the first and the others, so that snapshots without locks would be some milliseconds apart. */
const idleDatabases = 60;

test(`${cuts} cuts through all databases show one moment each, while another process writes`, async () => {
  const dataDir = await newDataDir();
  const writer = startProcess("pairs", dataDir);
  expect(await writer.nextLine()).toBe("open");
  expect(await writer.nextLine()).toBe("first");
  const idle = Array.from({ length: idleDatabases }, (_, i) => `idle-${i}`);
  const paths = ["SSP-prod", ...idle, "SSP-dev", "sluice"].map((name) => join(dataDir, `${name}.sqlite`));
  for (const path of paths.slice(1, -2)) openForWriting(path).close();
  const number = (db: Database, sql: string) => Number((db.prepare(sql).get() as { n: number | string }).n);
  const seen = new Set<number>();
  for (let i = 0; i < cuts; i++) {
    const cut = takeCut(paths, () => {});
    const jobs = "SELECT count(*) AS n FROM jobs";
    const first = number(cut.readers.at(-2)!, jobs);
    const second = number(cut.readers.at(-1)!, "SELECT value AS n FROM checkpoints WHERE name = 'pairs'");
    const third = number(cut.readers[0]!, jobs);
    cut.close();
    // At any moment, the writer has made the first n steps of a fixed order.
    expect([first - second, second - third, first - third].every((behind) => behind === 0 || behind === 1)).toBe(true);
    seen.add(first);
    await new Promise((done) => setImmediate(done));
  }
  // The writer has continued meanwhile.
  expect(seen.size).toBeGreaterThan(cuts / 3);
});

const oldJob = makeJob();
const newJob = makeJob();
let root: string;

/** A data folder with the old job, and a backup with the new one. */
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "sluice-restore-"));
  for (const [name, job] of Object.entries({ old: oldJob, new: newJob })) {
    const store = await openSqliteStore({ dataDir: join(root, name), environments });
    await store.insertMany([job]);
    await store.blobs.put("UAT", name, bytes(name));
    await store.close();
  }
  const options = { databases: ["SSP-dev", "SSP-prod"], version: "1.2.3", clock: { wall: Date.now } };
  await backUp({ dataDir: join(root, "new"), folder: join(root, "backup"), ...options });
});

afterAll(() => rm(root, { recursive: true, force: true }));

async function* bytes(text: string) {
  yield Buffer.from(text);
}

/** Returns the ids of the jobs, after a check of both databases. */
function jobsIn(dataDir: string): string[] {
  for (const name of ["SSP-prod", "SSP-dev"]) {
    const db = openPlain(join(dataDir, `${name}.sqlite`));
    try {
      expect(db.prepare("PRAGMA integrity_check").all()).toEqual([{ integrity_check: "ok" }]);
      if (name === "SSP-dev")
        return db
          .prepare("SELECT job_id FROM jobs")
          .all()
          .map(({ job_id }) => String(job_id));
    } finally {
      db.close();
    }
  }
  return [];
}

/** Runs restore-process.mjs, and returns whether it came to its end. */
async function runs(task: string, dataDir: string, killAt: number): Promise<boolean> {
  const args = [resolve(import.meta.dirname, "restore-process.mjs"), task, dataDir, join(root, "backup")];
  const child = spawn(process.execPath, [...args, String(killAt)], { stdio: ["ignore", "ignore", "inherit"] });
  const [code, signal] = await once(child, "exit");
  if (signal === null) expect(code).toBe(0);
  return signal === null;
}

test.skipIf(!canMount).each([
  ["a file", "300k"],
  ["a database", "150k"],
])("a disk that is full while %s is copied ends a backup with a sentence, and nothing is left", async (_what, size) => {
  const script = `mount -t tmpfs -o size=${size} tmpfs /mnt && "$0" "$1" backup /mnt/backup --data-dir "$2"; echo $? $(ls /mnt)`;
  const dataDir = join(root, `full-${size}`);
  await cp(join(root, "old"), dataDir, { recursive: true });
  if (size === "300k") await writeFile(join(dataDir, "files", "large"), Buffer.alloc(400_000));
  const child = spawn("unshare", ["-rm", "sh", "-c", script, process.execPath, sluiceMain, dataDir], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  expect(stderr).toBe("The disk of /mnt/backup is full. Free some space, then repeat the command.\n");
  expect(stdout).toBe("1\n");
});

test("a restore that is killed before any change of the file system leaves the old or the new data whole", {
  timeout: 120_000,
}, async () => {
  const found: { which: "old" | "new"; done: boolean }[] = [];
  while (!found.some(({ done }) => done)) {
    const next = Array.from({ length: 4 }, (_, i) => found.length + 1 + i);
    found.push(...(await Promise.all(next.map(restoreKilledAt))));
  }
  // First always the old data, then always the new.
  const all = found.map(({ which }) => which);
  const firstNew = all.indexOf("new");
  expect(firstNew).toBeGreaterThan(5);
  expect(all.length - firstNew).toBeGreaterThan(5);
  expect(all.slice(firstNew)).not.toContain("old");
});

/** Kills a restore before its nth change of the file system, completes it, and returns which data is there. */
async function restoreKilledAt(n: number): Promise<{ which: "old" | "new"; done: boolean }> {
  const dataDir = join(root, `killed-${n}`);
  await cp(join(root, "old"), dataDir, { recursive: true });
  const done = await runs("restore", dataDir, n);
  const committed = restoreIsUnfinished(dataDir);
  // The start that completes it is killed as well, each time at another point.
  if (committed) await runs("open", dataDir, 1 + (n % 9));
  finishRestore(dataDir);
  const jobs = jobsIn(dataDir);
  expect([[oldJob.id], [newJob.id]]).toContainEqual(jobs);
  const which = jobs[0] === newJob.id ? "new" : "old";
  if (done || committed) expect(which).toBe("new");
  expect(readdirSync(join(dataDir, "files"))).toEqual([which]);
  expect(readFileSync(join(dataDir, "files", which), "utf8")).toBe(which);
  expect(readdirSync(dataDir).filter((name) => name.startsWith("restore."))).toEqual([]);
  const aside = readdirSync(dataDir).filter((name) => name.startsWith("before-restore-"));
  expect(aside).toHaveLength(which === "new" ? 1 : 0);
  for (const name of aside) {
    expect(jobsIn(join(dataDir, name))).toEqual([oldJob.id]);
    expect(readFileSync(join(dataDir, name, "files", "old"), "utf8")).toBe("old");
  }
  await rm(dataDir, { recursive: true });
  return { which, done };
}
