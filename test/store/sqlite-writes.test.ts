// Group commit, and writes when the disk is full, fails, or the file is locked by another program.

import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Job } from "../../src/domain/job.ts";
import { canonicalPart } from "../../src/domain/request.ts";
import { type Database, openForReading, openForWriting, openPlain } from "../../src/store/sqlite/driver.ts";
import { commitGroup, type WritableDatabase } from "../../src/store/sqlite/group-commit.ts";
import type { Write } from "../../src/store/sqlite/protocol.ts";
import { newJobColumns, newJobRows } from "../../src/store/sqlite/rows.ts";
import { commitFailureOf, failureOf } from "../../src/store/sqlite/sqlite-errors.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import { openJobs } from "../../src/store/sqlite/writer.ts";
import { makeJob } from "./conformance/support.ts";
import { environments, newDataDir, startProcess } from "./sqlite-support.ts";

/** One database, without threads around it. */
async function openDatabase(): Promise<{ database: WritableDatabase; db: Database; path: string }> {
  const path = join(await newDataDir(), "jobs.sqlite");
  const db = openForWriting(path);
  onTestFinished(() => db.close());
  return { database: openJobs(db, path), db, path };
}

function inserting(...jobs: Job[]): Write {
  return { kind: "insert", database: "jobs", jobs: newJobRows(jobs) };
}

function jobWith(text: string): Job {
  const job = makeJob();
  canonicalPart(job.request).messages[0]!.content = [{ type: "text", text }];
  return job;
}

function idsIn(db: Database, table = "jobs"): string[] {
  return db
    .prepare(`SELECT job_id FROM ${table}`)
    .all()
    .map((row) => row.job_id);
}

test("a commit waits for the disk, on macOS for the platters too", async () => {
  const { db } = await openDatabase();
  const pragma = (name: string) => Object.values(db.prepare(`PRAGMA ${name}`).get())[0];
  expect([pragma("journal_mode"), pragma("synchronous"), pragma("fullfsync")]).toEqual(["wal", 2, 1]);
});

test("a group is one transaction: no reader sees a part of it", async () => {
  const { database, path } = await openDatabase();
  const outside = openForReading(path);
  onTestFinished(() => outside.close());
  const seen: number[] = [];
  const watched: WritableDatabase = {
    ...database,
    apply(write) {
      seen.push(idsIn(outside).length);
      return database.apply(write);
    },
  };
  const replies = commitGroup(watched, [inserting(makeJob()), inserting(makeJob(), makeJob()), inserting(makeJob())]);
  expect(replies).toEqual([{ answer: ["inserted"] }, { answer: ["inserted", "inserted"] }, { answer: ["inserted"] }]);
  expect(seen).toEqual([0, 0, 0]);
  expect(idsIn(outside)).toHaveLength(4);
});

test("a write that fails takes nothing with it, neither its own half nor its neighbours", async () => {
  const { database, db } = await openDatabase();
  const [before, half, after] = [makeJob(), makeJob(), makeJob()];
  const broken = inserting(half!, makeJob());
  // The second row of the call violates NOT NULL, after the first one was written.
  const { values } = (broken as Extract<Write, { kind: "insert" }>).jobs;
  values[newJobColumns.length + newJobColumns.indexOf("tenant")] = null;
  const replies = commitGroup(database, [inserting(before!), broken, inserting(after!)]);
  expect(replies).toEqual([
    { answer: ["inserted"] },
    { failure: { code: "internal", message: expect.stringContaining("NOT NULL") } },
    { answer: ["inserted"] },
  ]);
  expect(idsIn(db).sort()).toEqual([before!.id, after!.id].sort());
  expect(idsIn(db, "requests").sort()).toEqual([before!.id, after!.id].sort());
  expect(db.prepare("SELECT status, jobs FROM job_counts").all()).toMatchObject([{ status: "queued", jobs: 2 }]);
});

test("many rows of which some are there already, or come twice: each is told for itself, and is there once", async () => {
  const { database, db } = await openDatabase();
  const jobs = Array.from({ length: 230 }, (_, i) => jobWith(`text ${i}`));
  // Of the first fifty two are there, of the second all, of the third none.
  const before = [jobs[3]!, jobs[49]!, ...jobs.slice(50, 100)];
  commitGroup(database, [inserting(...before)]);
  const twice = jobs[160]!;
  const asked = [...jobs.slice(0, 170), { ...twice, tenant: "another" }, ...jobs.slice(170)];
  const [reply] = commitGroup(database, [inserting(...asked)]);
  const exists = (job: Job, i: number) => before.includes(job) || i === 170;
  expect(reply).toEqual({ answer: asked.map((job, i) => (exists(job, i) ? "exists" : "inserted")) });
  const stored = db
    .prepare("SELECT job_id, tenant, request FROM jobs JOIN requests USING (job_id) ORDER BY job_id")
    .all()
    .map((row) => ({ ...row }));
  expect(stored).toEqual(
    jobs
      .map(({ id, tenant, request }) => ({ job_id: id, tenant, request: JSON.stringify(request) }))
      .sort((a, b) => (a.job_id < b.job_id ? -1 : 1)),
  );
  expect(idsIn(db, "requests")).toHaveLength(230);
  expect(db.prepare("SELECT status, jobs FROM job_counts").all()).toMatchObject([{ status: "queued", jobs: 230 }]);
});

test("when the disk is full, what still fits is written, and the rest is refused whole", async () => {
  const { database, db } = await openDatabase();
  const { page_count: pages } = db.prepare("PRAGMA page_count").get() as { page_count: number };
  db.exec(`PRAGMA max_page_count = ${pages + 20}`);
  const [small, large, other] = [makeJob(), jobWith("x".repeat(200_000)), makeJob()];
  const replies = commitGroup(database, [inserting(small!), inserting(makeJob(), large!), inserting(other!)]);
  expect(replies).toEqual([
    { answer: ["inserted"] },
    { failure: { code: "storage_full", message: expect.stringContaining("no space left") } },
    { answer: ["inserted"] },
  ]);
  expect(idsIn(db).sort()).toEqual([small!.id, other!.id].sort());
  expect(db.prepare("SELECT sum(jobs) AS jobs FROM job_counts").get()).toMatchObject({ jobs: 2 });
  db.exec(`PRAGMA max_page_count = ${pages + 1_000}`);
  expect(commitGroup(database, [inserting(large!)])).toEqual([{ answer: ["inserted"] }]);
});

test("a database that turned read-only refuses writes", async () => {
  const { database, db } = await openDatabase();
  db.exec("PRAGMA query_only = 1");
  const replies = commitGroup(database, [inserting(makeJob()), inserting(makeJob())]);
  expect(replies).toMatchObject([{ failure: { code: "unavailable" } }, { failure: { code: "unavailable" } }]);
  db.exec("PRAGMA query_only = 0");
  expect(idsIn(db)).toEqual([]);
});

test("while another program keeps the write lock, writes fail instead of waiting, and nothing is written", async () => {
  const { database, db, path } = await openDatabase();
  db.exec("PRAGMA busy_timeout = 1");
  const outside = openPlain(path);
  onTestFinished(() => outside.close());
  outside.exec("BEGIN IMMEDIATE");
  const replies = commitGroup(database, [inserting(makeJob()), inserting(makeJob())]);
  expect(replies).toMatchObject([{ failure: { code: "unavailable" } }, { failure: { code: "unavailable" } }]);
  outside.exec("ROLLBACK");
  expect(idsIn(db)).toEqual([]);
  expect(commitGroup(database, [inserting(makeJob())])).toEqual([{ answer: ["inserted"] }]);
});

test("a long read, such as in the sqlite3 shell, stops no write", async () => {
  const dataDir = await newDataDir();
  const store = await openSqliteStore({ dataDir, environments });
  onTestFinished(() => store.close());
  const outside = openPlain(join(dataDir, "SSP-dev.sqlite"));
  outside.exec("BEGIN");
  expect(idsIn(outside)).toEqual([]);
  const jobs = Array.from({ length: 3_000 }, () => jobWith("x".repeat(10_000)));
  // More than the log holds before it is moved into the file, which a reader prevents.
  await Promise.all(jobs.map((job) => store.insertMany([job])));
  expect(idsIn(outside)).toEqual([]);
  outside.exec("COMMIT");
  expect(idsIn(outside)).toHaveLength(3_000);
  outside.close();
});

test.skipIf(process.platform === "win32")(
  "when the disk fails under the whole store, an error says so, and what was acknowledged is there",
  { timeout: 60_000 },
  async () => {
    const dataDir = await newDataDir();
    // Files may grow to 4 MB, as if the disk ended there.
    const filler = startProcess("fill", dataDir, 4_096);
    expect(await filler.nextLine()).toBe("open");
    const acknowledged: string[] = [];
    let line = await filler.nextLine();
    for (; line?.includes("-"); line = await filler.nextLine()) acknowledged.push(line);
    expect(line).toMatch(/^(unavailable|storage_full)$/);
    const refused = (await filler.nextLine())!;
    await filler.kill();
    expect(acknowledged.length).toBeGreaterThan(0);
    const store = await openSqliteStore({ dataDir, environments });
    onTestFinished(() => store.close());
    for (const id of acknowledged) expect(await store.get(id)).toBeDefined();
    expect(await store.get(refused)).toBeUndefined();
  },
);

describe("error codes", () => {
  const sqliteError = (errcode: number) => Object.assign(new Error("says SQLite"), { errcode });

  test.each([
    [13, "storage_full", "storage_full"],
    [5, "unavailable", "unavailable"],
    [8, "unavailable", "unavailable"],
    [778, "unavailable", "unavailable"],
    [1034, "unavailable", "fate_unknown"],
    [11, "unavailable", "fate_unknown"],
    [1, "internal", "fate_unknown"],
  ])("SQLite's %i means %s in a statement and %s in COMMIT", (errcode, inStatement, inCommit) => {
    const failure = failureOf(sqliteError(errcode), "file.sqlite");
    expect(failure.code).toBe(inStatement);
    expect(failure.message).toContain("file.sqlite");
    expect(commitFailureOf(sqliteError(errcode), "file.sqlite").code).toBe(inCommit);
  });
});
