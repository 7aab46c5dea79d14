// Measures the SQLite store alone. Durable writes of single jobs are compared with the same writer on the main thread.
// Their effect on the event loop is the reason for the threads, see docs/decisions/sqlite-thread.md. It also measures
// attempts and outcomes, and bulk inserts compared with bare SQLite.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay, performance } from "node:perf_hooks";
import type { Job } from "../src/domain/job.ts";
import type { JobStore } from "../src/store/job-store.ts";
import { openForWriting } from "../src/store/sqlite/driver.ts";
import { migrate } from "../src/store/sqlite/migrate.ts";
import type { Reply, Write } from "../src/store/sqlite/protocol.ts";
import { newJobColumns, newJobRows } from "../src/store/sqlite/rows.ts";
import { environmentMigrations } from "../src/store/sqlite/sqlite-schema.ts";
import { openSqliteStore } from "../src/store/sqlite/sqlite-store.ts";
import { Writer } from "../src/store/sqlite/writer.ts";
import { makeJobs } from "./support/embedded.ts";
import { compare, type Figure, spreadOf } from "./support/measure.ts";

const repeats = 5;
const jobs = 20_000;
const callers = 64;
const bulk = 1_000;
const database = "bench";

export async function benchStore(): Promise<Figure[]> {
  const single: { ours: Run; baseline: Run }[] = [];
  const calls: number[] = [];
  const bulks: { ours: number; baseline: number }[] = [];
  for (let i = 0; i < repeats; i++) {
    const ours = await withStore(async (store) => {
      const all = makeJobs(jobs);
      const run = await measure(() => inParallel(all, callers, (job) => store.insertMany([job])));
      calls.push((await measure(() => inParallel(all, 200, (job) => callOnce(store, job)))).rate);
      return run;
    });
    single.push({ ours, baseline: await inFolder(insertOnMainThread) });
    bulks.push({
      ours: await withStore((store) => insertInBulk((part) => store.insertMany(part))),
      baseline: await inFolder(insertBare),
    });
  }
  const baseline = "SQLite on the main thread";
  const pairs = (of: (run: Run) => number) => single.map((s) => ({ ours: of(s.ours), baseline: of(s.baseline) }));
  return [
    compare(
      `store: durable inserts of one job, ${callers} callers`,
      "jobs/s",
      pairs((r) => r.rate),
      baseline,
    ),
    compare(
      "store: main thread's time for one such insert",
      "us",
      pairs((r) => r.mainUs),
      baseline,
    ),
    compare(
      "store: event loop delay meanwhile, p99",
      "ms",
      pairs((r) => r.delayMs),
      baseline,
    ),
    { what: "store: attempt begun and job finished, 200 callers", unit: "jobs/s", ours: spreadOf(calls) },
    compare(`store: inserts of ${bulk.toLocaleString("en")} jobs a call`, "jobs/s", bulks, "bare SQLite", ">= 0.7"),
  ];
}

interface Run {
  /** Per second. */
  rate: number;
  /** Time for each job that the event loop was not idle. */
  mainUs: number;
  delayMs: number;
}

async function measure(work: () => Promise<unknown>): Promise<Run> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const before = performance.eventLoopUtilization();
  const start = performance.now();
  await work();
  const elapsedMs = performance.now() - start;
  const { active } = performance.eventLoopUtilization(before);
  delay.disable();
  // The histogram counts the timer's own millisecond.
  return { rate: (jobs * 1000) / elapsedMs, mainUs: (active * 1000) / jobs, delayMs: delay.percentile(99) / 1e6 - 1 };
}

async function inParallel(all: readonly Job[], width: number, work: (job: Job) => Promise<unknown>): Promise<void> {
  const rest = all.values();
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (const job of rest) await work(job);
    }),
  );
}

async function callOnce(store: JobStore, job: Job): Promise<void> {
  const at = Date.now();
  const { id: jobId, environment } = job;
  await store.beginAttempt({
    environment,
    jobId,
    grant: jobId,
    deployment: "bedrock/us-east-1/us.meta.llama3-3-70b-instruct-v1:0",
    model: job.model,
    worker: "bench",
    chargedAt: at,
    reserved: job.tokens,
    maxFailedTries: 3,
  });
  const usage = { input: 20, output: 50 };
  await store.finish(
    environment,
    { jobId, status: "completed", at, text: "An answer of some words. ".repeat(10), finishReason: "stop", usage },
    { n: 1, end: { result: "completed", at, usage, durationMs: 0 } },
  );
}

async function insertOnMainThread(folder: string): Promise<Run> {
  const writer = new Writer(folder, [database]);
  const writes: Write[] = [];
  const waiting: ((reply: Reply) => void)[] = [];
  const commit = () => {
    const replies = writer.commit(writes);
    writes.splice(0, replies.length);
    for (const [i, resolve] of waiting.splice(0, replies.length).entries()) resolve(replies[i]!);
    if (writes.length > 0) setImmediate(commit);
  };
  const insert = (job: Job) => {
    if (writes.length === 0) setImmediate(commit);
    writes.push({ kind: "insert", database, jobs: newJobRows([job]) });
    return new Promise<Reply>((resolve) => waiting.push(resolve));
  };
  const all = makeJobs(jobs);
  const run = await measure(() => inParallel(all, callers, insert));
  writer.close();
  return run;
}

async function insertInBulk(insert: (part: Job[]) => Promise<unknown>): Promise<number> {
  const all = makeJobs(jobs);
  const parts = Array.from({ length: jobs / bulk }, (_, i) => all.slice(i * bulk, (i + 1) * bulk));
  const { rate } = await measure(() => Promise.all(parts.map(insert)));
  return rate;
}

/** The same rows into the same tables, with nothing around the statements. */
async function insertBare(folder: string): Promise<number> {
  const db = openForWriting(join(folder, "bare.sqlite"));
  migrate(db, "bare", environmentMigrations);
  const insertJob = db.prepare(
    `INSERT INTO jobs (status, ${newJobColumns.join(", ")}) VALUES ('queued', ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const insertRequest = db.prepare("INSERT INTO requests (job_id, request) VALUES (?, ?)");
  const rate = await insertInBulk(async (part) => {
    const { values, requests } = newJobRows(part);
    db.exec("BEGIN IMMEDIATE");
    for (const [i, job] of part.entries()) {
      insertJob.run(...values.slice(i * newJobColumns.length, (i + 1) * newJobColumns.length));
      insertRequest.run(job.id, requests[i]!);
    }
    db.exec("COMMIT");
  });
  db.close();
  return rate;
}

async function withStore<T>(work: (store: JobStore) => Promise<T>): Promise<T> {
  return inFolder(async (dataDir) => {
    const store = await openSqliteStore({ dataDir, environments: { UAT: { database } } });
    try {
      return await work(store);
    } finally {
      await store.close();
    }
  });
}

async function inFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-bench-"));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
