// Measures a batch from the first byte of its upload until all of its jobs are on disk, and the memory that it took.
// The baseline is bare SQLite that inserts the same rows in transactions of 1,000. The service is a process of its own.
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openForReading, openForWriting } from "../src/store/sqlite/driver.ts";
import { migrate } from "../src/store/sqlite/migrate.ts";
import { environmentMigrations } from "../src/store/sqlite/sqlite-schema.ts";
import { batchForm, createBatch } from "./support/batch-upload.ts";
import { answerOf } from "./support/child-answer.ts";
import { compare, type Figure, spreadOf } from "./support/measure.ts";

const repeats = 5;
const lines = 100_000;
const rowsInTransaction = 1_000;
const megabyte = 1024 * 1024;

export async function benchBatch(): Promise<Figure[]> {
  const rates: { ours: number; baseline: number }[] = [];
  const growths: number[] = [];
  for (let i = 0; i < repeats; i++) {
    const { rate, growth, baseline } = await runOnce();
    rates.push({ ours: rate, baseline });
    growths.push(growth / megabyte);
  }
  return [
    compare(
      `batch of ${lines.toLocaleString("en")} lines, from upload to durable jobs`,
      "jobs/s",
      rates,
      "bare SQLite",
      "ratio >= 0.7",
    ),
    { what: "batch: peak memory of the service above its start, queue included", unit: "MB", ours: spreadOf(growths) },
  ];
}

async function runOnce(): Promise<{ rate: number; growth: number; baseline: number }> {
  const server = fork(new URL("./support/batch-server.js", import.meta.url), [String(lines)]);
  try {
    const { port, dataDir, rss } = await answerOf<Message>(server);
    const durable = answerOf<Message>(server);
    const form = batchForm(lines);
    const startedAt = performance.now();
    await createBatch(`http://127.0.0.1:${port}`, form);
    await durable;
    const rate = (lines * 1000) / (performance.now() - startedAt);
    server.send("peak");
    const { peak } = await answerOf<Message>(server);
    return { rate, growth: peak - rss, baseline: await insertBare(dataDir) };
  } finally {
    server.send("stop");
    await once(server, "exit");
  }
}

/** The rows of the service's own file, into the same tables. */
async function insertBare(dataDir: string): Promise<number> {
  const ours = openForReading(join(dataDir, "SSP-dev.sqlite"));
  const columns = "environment, submitted_at, job_id, status, tenant, priority, model, expires_at, head";
  const all = (sql: string) =>
    ours
      .prepare(sql)
      .all()
      .map((row) => Object.values(row) as string[]);
  const jobs = all(`SELECT ${columns} FROM jobs ORDER BY job_id`);
  const requests = all("SELECT job_id, request FROM requests ORDER BY job_id");
  ours.close();
  const folder = await mkdtemp(join(tmpdir(), "sluice-bench-"));
  const db = openForWriting(join(folder, "bare.sqlite"));
  try {
    migrate(db, "bare", environmentMigrations);
    const insertJob = db.prepare(`INSERT INTO jobs (${columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`);
    const insertRequest = db.prepare("INSERT INTO requests (job_id, request) VALUES (?, ?)");
    const startedAt = performance.now();
    for (let from = 0; from < jobs.length; from += rowsInTransaction) {
      db.exec("BEGIN IMMEDIATE");
      for (let i = from; i < Math.min(from + rowsInTransaction, jobs.length); i++) {
        insertJob.run(...jobs[i]!);
        insertRequest.run(...requests[i]!);
      }
      db.exec("COMMIT");
    }
    return (jobs.length * 1000) / (performance.now() - startedAt);
  } finally {
    db.close();
    await rm(folder, { recursive: true, force: true });
  }
}

interface Message {
  port: number;
  dataDir: string;
  rss: number;
  peak: number;
}
