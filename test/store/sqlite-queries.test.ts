// How the tables are read: every statement by an index, and what people find who open the file themselves.
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { type Database, openForReading, openForWriting } from "../../src/store/sqlite/driver.ts";
import { JobWriter } from "../../src/store/sqlite/job-writer.ts";
import { migrate } from "../../src/store/sqlite/migrate.ts";
import type { JobKey, Rows } from "../../src/store/sqlite/protocol.ts";
import { prepareQueries } from "../../src/store/sqlite/queries.ts";
import { Reader } from "../../src/store/sqlite/reader.ts";
import { RecordReader, RecordWriter } from "../../src/store/sqlite/records.ts";
import type { JobRow } from "../../src/store/sqlite/rows.ts";
import { environmentMigrations } from "../../src/store/sqlite/schema.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import { Stages } from "../../src/store/sqlite/stages.ts";
import { begun, makeJob, newestFirst } from "./conformance/support.ts";
import { environments, newDataDir } from "./sqlite-support.ts";

function planOf(db: Database, sql: string): string[] {
  return db
    .prepare(`EXPLAIN QUERY PLAN ${sql}`)
    .all()
    .map((row) => row.detail);
}

test("no statement walks a whole table or sorts what it found, except the deadlines that have passed and sums", async () => {
  const db = openForWriting(join(await newDataDir(), "jobs.sqlite"));
  onTestFinished(() => db.close());
  migrate(db, "jobs", environmentMigrations);
  const statements: string[] = [];
  const recording = new Proxy(db, {
    get(target, key) {
      if (key !== "prepare") return Reflect.get(target, key, target);
      return (sql: string) => {
        statements.push(sql);
        return target.prepare(sql);
      };
    },
  });
  prepareQueries(recording);
  new JobWriter(recording, new Stages(recording, join(await newDataDir(), "jobs.staged")));
  new RecordWriter(recording);
  new RecordReader(recording);
  expect(statements.length).toBeGreaterThan(20);
  for (const sql of statements) {
    const plan = planOf(db, sql).join("; ");
    // Six rows for each environment; `due` is a page at most; and the rows of an INSERT are no table.
    if (!sql.includes("job_counts")) expect(plan, sql).not.toMatch(/\bSCAN (?!due\b|\d+[- ](CONSTANT ROW|ROW VALUES))/);
    // Sums over an hour or a day, of which no row is more than some numbers.
    const sorts = sql.includes("jobs_by_deadline") || sql.includes("GROUP BY tenant");
    if (!sorts) expect(plan, sql).not.toMatch(/TEMP B-TREE/);
    if (sql.includes("ORDER BY submitted_at")) expect(plan, sql).toMatch(/SEARCH jobs USING/);
  }
});

test("a list with several filters gives out what it has found in time, and goes on from there", async () => {
  const dataDir = await newDataDir();
  const store = await openSqliteStore({ dataDir, environments });
  onTestFinished(() => store.close());
  const jobs = Array.from({ length: 60 }, (_, i) =>
    makeJob({
      environment: i % 3 === 0 ? "PROD" : "UAT",
      submittedAt: 1_000 + Math.floor(i / 2),
      tenant: "a",
      priority: i % 20 < 3 ? "interactive" : "batch",
    }),
  );
  await store.insertMany(jobs);
  const reader = new Reader(dataDir, { UAT: "SSP-dev", PROD: "SSP-prod" }, 7);
  onTestFinished(() => reader.close());
  const found: string[] = [];
  const pages: number[] = [];
  let before: JobKey | undefined = [Number.MAX_SAFE_INTEGER, ""];
  while (before) {
    const { rows, more, resumeAt } = reader.answer({
      kind: "list",
      environments: ["UAT", "PROD"],
      tenant: "a",
      priority: "interactive",
      from: [0, ""],
      before,
      limit: 2,
    }) as Rows<JobRow>;
    found.push(...rows.map((row) => row.job_id));
    pages.push(rows.length);
    before = more ? [rows.at(-1)!.submitted_at, rows.at(-1)!.job_id] : resumeAt;
  }
  const wanted = jobs.filter((job) => job.priority === "interactive").sort(newestFirst);
  expect(found).toEqual(wanted.map((job) => job.id));
  expect(pages).toContain(0);
  expect(Math.max(...pages)).toBe(2);
});

test("generated_texts has the answers of completed jobs, found by job", async () => {
  const dataDir = await newDataDir();
  const store = await openSqliteStore({ dataDir, environments });
  onTestFinished(() => store.close());
  const [completed, failed] = [await begun(store), await begun(store)];
  await begun(store);
  await store.finish("UAT", {
    jobId: completed.job.id,
    status: "completed",
    at: Date.UTC(2026, 10, 22, 12, 30, 0, 5),
    text: "An answer.",
    finishReason: "length",
    deployment: "bedrock/us-east-1/some-model",
    model: "llama",
  });
  const error = { code: "provider_rejected", message: "No." };
  await store.finish("UAT", { jobId: failed.job.id, status: "failed", at: 1, error });

  const db = openForReading(join(dataDir, "SSP-dev.sqlite"));
  onTestFinished(() => db.close());
  expect(
    db
      .prepare("SELECT * FROM generated_texts")
      .all()
      .map((row) => ({ ...row })),
  ).toEqual([
    {
      job_id: completed.job.id,
      text: "An answer.",
      environment: "UAT",
      model: "llama",
      deployment: "bedrock/us-east-1/some-model",
      finish_reason: "length",
      completed_at: "2026-11-22T12:30:00.005Z",
    },
  ]);
  const plan = planOf(db, "SELECT text FROM generated_texts WHERE job_id = 'x'");
  expect(plan.join("; ")).toMatch(/SEARCH outcomes USING INDEX/);
});

test("the tables explain themselves to whoever opens the file", async () => {
  const db = openForWriting(join(await newDataDir(), "jobs.sqlite"));
  onTestFinished(() => db.close());
  migrate(db, "jobs", environmentMigrations);
  const tables = db.prepare("SELECT name, sql FROM sqlite_schema WHERE type IN ('table', 'view')").all();
  expect(tables.map((t) => t.name).sort()).toEqual([
    "attempts",
    "generated_texts",
    "job_counts",
    "jobs",
    "outcomes",
    "records",
    "requests",
  ]);
  for (const { name, sql } of tables) expect(sql, name).toMatch(/\n {2}-- \w/);
});
