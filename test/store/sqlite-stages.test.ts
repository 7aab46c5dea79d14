// The file of the jobs that are laid ready: there as long as it is needed, and worth nothing after a crash.
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { Job } from "../../src/domain/job.ts";
import { openForWriting } from "../../src/store/sqlite/driver.ts";
import { commitGroup } from "../../src/store/sqlite/group-commit.ts";
import type { Write } from "../../src/store/sqlite/protocol.ts";
import { newJobColumns, newJobRows, pushStagedJob } from "../../src/store/sqlite/rows.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import { openJobs } from "../../src/store/sqlite/writer.ts";
import { makeJob } from "./conformance/support.ts";
import { environments, newDataDir } from "./sqlite-support.ts";

async function openDatabase() {
  const path = join(await newDataDir(), "jobs.sqlite");
  const db = openForWriting(path);
  onTestFinished(() => db.close());
  const database = openJobs(db, path);
  const commit = (...writes: Write[]) => {
    const replies = commitGroup(database, writes);
    database.afterEnd?.();
    return replies;
  };
  const ids = () =>
    db
      .prepare("SELECT job_id FROM jobs JOIN requests USING (job_id)")
      .all()
      .map((row) => row.job_id);
  return { db, commit, ids, file: path.replace(".sqlite", ".staged") };
}

function staging(stage: number, ...jobs: Job[]): Write {
  const values: (string | number | null)[] = [];
  for (const job of jobs) pushStagedJob(values, job);
  return { kind: "stage", database: "jobs", stage, values };
}

function makingReal(stage: number, from: number, to: number): Write {
  return { kind: "insertStaged", database: "jobs", environment: "UAT", stage, from, to };
}

const dropping = (stage: number): Write => ({ kind: "dropStage", database: "jobs", stage });

test("the file is there while a stage is, whatever else is written", async () => {
  const { commit, ids, file } = await openDatabase();
  const [a, b] = [makeJob(), makeJob()];
  expect(existsSync(file)).toBe(false);
  commit(staging(1, a), staging(2, b));
  expect(existsSync(file)).toBe(true);
  commit(dropping(1));
  expect(existsSync(file)).toBe(true);
  commit(makingReal(2, 1, 2), dropping(2));
  expect(existsSync(file)).toBe(false);
  expect(ids()).toEqual([b.id]);
  commit(staging(3, a), makingReal(3, 1, 2), dropping(3));
  expect(ids().sort()).toEqual([a.id, b.id].sort());
});

test("a file that a dead process left behind is removed at the next start, and one that is open when the store closes", async () => {
  const dataDir = await newDataDir();
  const file = join(dataDir, "SSP-dev.staged");
  writeFileSync(file, "what the dead process had");
  const store = await openSqliteStore({ dataDir, environments });
  expect(existsSync(file)).toBe(false);
  const staged = store.stage!("UAT");
  staged.add(makeJob());
  await staged.ready();
  expect(existsSync(file)).toBe(true);
  await store.close();
  expect(existsSync(file)).toBe(false);
});

test("many rows are many rows", async () => {
  const { commit, ids } = await openDatabase();
  const jobs = Array.from({ length: 257 }, () => makeJob());
  commit(staging(1, ...jobs));
  const [reply] = commit(makingReal(1, 1, 258));
  expect(reply).toEqual({ answer: [] });
  expect(ids().sort()).toEqual(jobs.map(({ id }) => id).sort());
});

test("a stage that was begun in a group that failed is begun again", async () => {
  const { commit, ids } = await openDatabase();
  const broken: Write = { kind: "insert", database: "jobs", jobs: newJobRows([makeJob()]) };
  broken.jobs.values[newJobColumns.indexOf("tenant")] = null;
  const job = makeJob();
  expect(commit(staging(1, job), broken)).toMatchObject([{}, { failure: { code: "internal" } }]);
  commit(makingReal(1, 1, 2));
  expect(ids()).toEqual([job.id]);
});

test("a full disk fails what is laid ready, and nothing beside it", async () => {
  const { db, commit, ids } = await openDatabase();
  const [small, other] = [makeJob(), makeJob()];
  commit(staging(1, small));
  db.exec("PRAGMA staged.max_page_count = 10");
  const large = makeJob();
  large.request.messages[0]!.content = [{ type: "text", text: "x".repeat(200_000) }];
  const replies = commit(staging(1, large), { kind: "insert", database: "jobs", jobs: newJobRows([other]) });
  expect(replies).toMatchObject([{ failure: { code: "storage_full" } }, { answer: ["inserted"] }]);
  commit(makingReal(1, 1, 2));
  expect(ids().sort()).toEqual([small.id, other.id].sort());
});
