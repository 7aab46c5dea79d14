// How the tables are read: every statement by an index, and what people find who open the file themselves.
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { AttemptEnd } from "../../src/domain/job.ts";
import { addUsage, noUsage, type UsageRow, usageDay, usageOfAttempt } from "../../src/domain/usage.ts";
import { type Database, openForReading, openForWriting } from "../../src/store/sqlite/driver.ts";
import { JobWriter } from "../../src/store/sqlite/job-writer.ts";
import { migrate } from "../../src/store/sqlite/migrate.ts";
import type { JobKey, Rows } from "../../src/store/sqlite/protocol.ts";
import { Reader } from "../../src/store/sqlite/reader.ts";
import { RecordReader, RecordWriter } from "../../src/store/sqlite/record-queries.ts";
import type { JobRow } from "../../src/store/sqlite/rows.ts";
import { prepareQueries } from "../../src/store/sqlite/sqlite-queries.ts";
import { environmentMigrations } from "../../src/store/sqlite/sqlite-schema.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import { usageSql } from "../../src/store/sqlite/sqlite-usage-sums.ts";
import { begun, makeJob, newestFirst } from "./conformance/support.ts";
import { environments, newDataDir } from "./sqlite-support.ts";

function planOf(db: Database, sql: string): string[] {
  return db
    .prepare(`EXPLAIN QUERY PLAN ${sql}`)
    .all()
    .map((row) => row.detail);
}

test("no statement walks a whole table or sorts what it found, except the deadlines that have passed", async () => {
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
  new JobWriter(recording);
  new RecordWriter(recording);
  new RecordReader(recording);
  expect(statements.length).toBeGreaterThan(20);
  for (const sql of statements) {
    const plan = planOf(db, sql).join("; ");
    // Six rows for each environment; `due` is a page at most; and the rows of an INSERT are no table.
    if (!sql.includes("job_counts")) expect(plan, sql).not.toMatch(/\bSCAN (?!due\b|\d+[- ](CONSTANT ROW|ROW VALUES))/);
    if (!sql.includes("jobs_by_deadline")) expect(plan, sql).not.toMatch(/TEMP B-TREE/);
    if (sql.includes("ORDER BY submitted_at")) expect(plan, sql).toMatch(/SEARCH jobs USING/);
  }
});

test("B6: sums of usage are read from their own table, by its key, a page at a time; no attempt is read", async () => {
  const db = openForWriting(join(await newDataDir(), "jobs.sqlite"));
  onTestFinished(() => db.close());
  migrate(db, "jobs", environmentMigrations);
  const plan = planOf(db, usageSql);
  expect(plan).toHaveLength(1);
  expect(plan[0]).toMatch(/^SEARCH usage_sums USING PRIMARY KEY \(environment=\? AND /);
});

test("B6: a file of an earlier version gets its sums when it is opened; wild usage in it breaks nothing", async () => {
  const dataDir = await newDataDir();
  const path = join(dataDir, `${environments.UAT.database}.sqlite`);
  const before = openForWriting(path);
  // What 72c34a0 wrote.
  migrate(before, path, environmentMigrations.slice(0, 3));
  const insert = before.prepare(
    `INSERT INTO attempts (job_id, n, grant_token, deployment, model, worker, charged_at, reserved_input, reserved_output,
       ended_at, result, ending, environment, tenant, key_id) VALUES (?, ?, 'g', 'd', 'm', 'w', ?, 20, 100, ?, ?, ?, ?, ?, ?)`,
  );
  const ends: [AttemptEnd | undefined, keyId: string | null][] = [
    [{ result: "completed", at: 1, usage: { input: 3, output: 4, cacheRead: 5, cacheWrite: 6 }, costNanoUsd: 7 }, null],
    [{ result: "completed", at: 1, usage: { input: 3, output: 4 } }, null],
    [{ result: "transient", at: 1 }, null],
    [{ result: "not_sent", at: 1 }, null],
    [{ result: "aborted", at: 1 }, null],
    [{ result: "aborted", at: 1, usage: { input: 1, output: 1 }, costNanoUsd: 2 }, "k"],
    [undefined, "k"],
    [{ result: "completed", at: 1, usage: { input: 5.5, output: 2 ** 60, cacheRead: -3 }, costNanoUsd: 1e30 }, "wild"],
  ];
  const attempts = ends.map(([end, keyId], i) => ({ end, keyId, n: 1 + (i % 2), chargedAt: i * 50_000_000 }));
  for (const [i, { end, keyId, n, chargedAt }] of attempts.entries()) {
    const ending = end ? JSON.stringify(end) : null;
    insert.run(`j${i}`, n, chargedAt, end?.at ?? null, end?.result ?? null, ending, "UAT", "t", keyId);
  }
  // Of a job that was deleted before attempts said whose they are.
  insert.run("gone", 1, 5, null, null, null, null, null, null);
  before.close();

  const store = await openSqliteStore({ dataDir, environments });
  onTestFinished(() => store.close());
  const expected = new Map<string, UsageRow>();
  for (const { end, keyId, n, chargedAt } of attempts) {
    const row = { day: usageDay(chargedAt), tenant: "t", ...(keyId !== null && { keyId }), model: "m" };
    const sum = expected.get(JSON.stringify(row)) ?? { ...row, ...noUsage };
    addUsage(sum, usageOfAttempt({ n, reserved: { input: 20, output: 100 }, ...(end && { end }) }));
    expected.set(JSON.stringify(row), sum);
  }
  const { items } = await store.usage({ environment: "UAT", fromDay: 0, toDay: 100, limit: 100 });
  expect(items).toEqual([...expected.values()]);
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

test("the tables explain themselves to a person who opens the file", async () => {
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
    "usage_sums",
  ]);
  for (const { name, sql } of tables) expect(sql, name).toMatch(/\n {2}-- \w/);
});
