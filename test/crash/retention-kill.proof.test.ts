// Retention under kill -9, again and again, in both stores: what was accepted stays, no job is half-removed, usage is the
// same before and after, and the archive has every job that lost its texts.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "@photostructure/sqlite";
import { describe, expect, onTestFinished, test } from "vitest";
import { lineJobId } from "../../src/domain/batch.ts";
import type { Job } from "../../src/domain/job.ts";
import { usageDay } from "../../src/domain/usage.ts";
import { findBatch, takeStep } from "../../src/jobs/batches/batch-records.ts";
import type { JobsContext } from "../../src/jobs/jobs-context.ts";
import type { JobStore } from "../../src/store/job-store.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import { acceptedBatch, lineOf } from "../batches/support.ts";
import { beginning, makeJob, mustBegin } from "../store/conformance/support.ts";
import { environments } from "../store/sqlite-support.ts";
import { testSettings } from "../support/jobs-context.ts";
import { openTestMongo } from "../support/mongo-store.ts";
import { testSeed } from "../support/seed.ts";
import { sharedMongoUrl, withoutMongo } from "../support/servers.ts";

const hour = 3_600_000;
const retention = { texts: "12h", jobs: "1d", attempts: "2d", files: "1d" };

interface Opened {
  store: JobStore;
  /** What the process opens. */
  target: object;
  /** Closes the store, if only one process can open it. */
  release(): Promise<void>;
  /** Returns the store that sees what the process did. */
  again(): Promise<JobStore>;
}

interface Prepared {
  erased: Job[];
  removed: Job[];
  unfinished: Job[];
  endedBatch: string;
  openBatch: string;
  openLines: string[];
}

async function prepare(store: JobStore, sizes: { jobs: number; lines: number }): Promise<Prepared> {
  const now = Date.now();
  const context = {
    store,
    settings: testSettings(),
    clock: { now: () => now, wall: () => now },
  } as unknown as JobsContext;
  const ended = async (ageMs: number, fields: Partial<Job> = {}) => {
    const job = makeJob({ submittedAt: now - ageMs, ...fields });
    await store.insertMany([job]);
    const { n } = await mustBegin(store, beginning(job, { chargedAt: now - ageMs }));
    const end = { result: "completed", at: now - ageMs, usage: { input: 3, output: 4 }, costNanoUsd: 5 } as const;
    await store.finish("UAT", { jobId: job.id, status: "completed", at: now - ageMs, text: "An answer." }, { n, end });
    return job;
  };
  const each = <T>(count: number, make: () => Promise<T>) => Promise.all(Array.from({ length: count }, make));
  const lines = Array.from({ length: sizes.lines }, (_, i) => lineOf(`line-${i}`));
  const [over, open] = [await acceptedBatch(context, lines), await acceptedBatch(context, lines)];
  const line = (batch: typeof over, n: number) => ({
    ...{ id: lineJobId(batch.id, n), batchId: batch.id, submittedAt: batch.createdAt, tenant: "default" },
  });
  for (let n = 1; n <= sizes.lines; n++) {
    await ended(50 * hour, line(over, n));
    await ended(50 * hour, line(open, n));
  }
  await takeStep(context, over, "validated", { at: now, lines: lines.length, lastLine: lines.length, errors: [] });
  const counts = { completed: lines.length, failed: 0, expired: 0, cancelled: 0 };
  const usage = { input: 0, cached: 0, output: 0 };
  const end = { at: now - 49 * hour, status: "completed" as const, counts, usage, costNanoUsd: 0 };
  await takeStep(context, over, "ended", end);
  return {
    erased: await each(sizes.jobs, () => ended(13 * hour)),
    removed: await each(sizes.jobs * 2, () => ended(72 * hour)),
    unfinished: await each(sizes.jobs / 2, async () => {
      const job = makeJob({ submittedAt: now - 72 * hour });
      await store.insertMany([job]);
      await mustBegin(store, beginning(job));
      return job;
    }),
    endedBatch: over.id,
    openBatch: open.id,
    openLines: lines.map((_, i) => lineJobId(open.id, i + 1)),
  };
}

/** Runs the process until it has printed so many removals, or until it is idle, and kills it. */
async function runAndKill(target: object, archive: string, steps: number, accepted: string[]): Promise<boolean> {
  const { id: _, ...template } = makeJob();
  const options = JSON.stringify({ ...target, archive, retention, template });
  const child: ChildProcess = spawn(
    process.execPath,
    [resolve(import.meta.dirname, "retention-process.mjs"), options],
    {
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  const exited = once(child, "exit");
  onTestFinished(() => void child.kill("SIGKILL"));
  let idle = false;
  let left = steps;
  for await (const line of createInterface({ input: child.stdout! })) {
    const [what, value] = line.split(" ");
    if (what === "accepted") accepted.push(value!);
    else if (what === "removed") left -= 1;
    else idle = true;
    if (left <= 0 || idle) child.kill("SIGKILL");
  }
  await exited;
  return idle;
}

async function archivedIds(folder: string): Promise<Set<string>> {
  const texts = await Promise.all((await readdir(folder)).map((name) => readFile(join(folder, name), "utf8")));
  // A process that was killed may leave an incomplete last line, which the next one removes.
  const lines = texts.flatMap((text) => text.split("\n").slice(0, -1));
  return new Set(lines.map((line) => (JSON.parse(line) as { job_id: string }).job_id));
}

async function prove(opened: Opened, sizes: { jobs: number; lines: number }, kills: number): Promise<void> {
  const archive = await mkdtemp(join(tmpdir(), "sluice-archive-"));
  onTestFinished(() => rm(archive, { recursive: true, force: true }));
  const prepared = await prepare(opened.store, sizes);
  const { erased, removed, unfinished, openLines } = prepared;
  const today = usageDay(Date.now());
  const usageOf = async (store: JobStore) =>
    (await store.usage({ environment: "UAT", fromDay: today - 5, toDay: today, limit: 100 })).items;
  const before = await usageOf(opened.store);
  await opened.release();
  const accepted: string[] = [];
  let random = testSeed;
  let idle = false;
  for (let run = 1; !idle; run++) {
    random = (random * 1_103_515_245 + 12_345) % 2 ** 31;
    const steps = run <= kills ? 1 + (random % 5) : Number.POSITIVE_INFINITY;
    idle = await runAndKill(opened.target, archive, steps, accepted);
    const store = await opened.again();
    const inArchive = await archivedIds(archive);
    for (const { id } of [...erased, ...removed]) {
      const record = await store.get(id);
      if (record && !record.job.erased) expect(record.outcome?.text).toBe("An answer.");
      else expect(inArchive, id).toContain(id);
    }
    for (const { id } of unfinished) expect(await store.get(id)).toMatchObject({ attempts: [{ n: 1 }] });
    for (const id of accepted.splice(0)) expect(await store.get(id)).toMatchObject({ state: "queued" });
    expect(await usageOf(store)).toEqual(before);
    if (idle) break;
    await opened.release();
  }
  const store = await opened.again();
  const context = { store } as JobsContext;
  for (const { id } of erased) expect((await store.get(id))?.job.erased).toBe("texts");
  for (const { id } of removed) expect(await store.get(id)).toBeUndefined();
  expect(await findBatch(context, "UAT", prepared.endedBatch)).toBeUndefined();
  expect(await findBatch(context, "UAT", prepared.openBatch)).toBeDefined();
  for (const id of openLines) expect((await store.get(id))?.outcome?.text).toBe("An answer.");
  await opened.release();
}

test("embedded: killed at any step, the next process continues; no row is left over", async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "sluice-retention-"));
  onTestFinished(() => rm(dataDir, { recursive: true, force: true }));
  const sqlite = { dataDir, environments };
  let store: JobStore | undefined = await openSqliteStore(sqlite);
  const opened: Opened = {
    store,
    target: { sqlite },
    async release() {
      await store?.close();
      store = undefined;
    },
    async again() {
      store ??= await openSqliteStore(sqlite);
      return store;
    },
  };
  await prove(opened, { jobs: 60, lines: 25 }, 10);
  const db = new DatabaseSync(join(dataDir, "SSP-dev.sqlite"), { readOnly: true });
  onTestFinished(() => db.close());
  for (const table of ["requests", "outcomes"]) {
    const sql = `SELECT COUNT(*) AS n FROM ${table} WHERE job_id NOT IN (SELECT job_id FROM jobs)`;
    expect(db.prepare(sql).get(), table).toMatchObject({ n: 0 });
  }
  expect(db.prepare("SELECT COUNT(*) AS n FROM jobs").get()).toEqual(
    db.prepare("SELECT SUM(jobs) AS n FROM job_counts").get(),
  );
  const old = "charged_at < unixepoch() * 1000 - 2 * 86400000 AND job_id NOT IN (SELECT job_id FROM jobs)";
  expect(db.prepare(`SELECT COUNT(*) AS n FROM attempts WHERE ${old}`).get()).toMatchObject({ n: 0 });
}, 120_000);

describe.skipIf(withoutMongo())("distributed", () => {
  test("killed at any step, the next process continues", async () => {
    const mongo = await openTestMongo();
    onTestFinished(() => mongo.cleanup());
    const { UAT, PROD, service } = mongo.databases;
    const own = { UAT: { database: UAT }, PROD: { database: PROD } };
    const target = { mongo: { url: sharedMongoUrl(), environments: own, serviceDatabase: service } };
    const { store } = mongo;
    await prove({ store, target, release: async () => {}, again: async () => store }, { jobs: 10, lines: 4 }, 4);
  }, 120_000);
});
