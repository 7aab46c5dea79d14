// When requests leave for the writer's thread, which of them share a commit, and that each gets its own answer.
import { join } from "node:path";
import fc from "fast-check";
import { expect, onTestFinished, test } from "vitest";
import type { Job } from "../../src/domain/job.ts";
import type { JobStore } from "../../src/store/job-store.ts";
import { type Database, openForReading, openForWriting } from "../../src/store/sqlite/driver.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import { makeJob } from "./conformance/support.ts";
import { environments, newDataDir } from "./sqlite-support.ts";

/** Opens a store and records how many writes each commit had. */
async function openStore(): Promise<{ store: JobStore; dataDir: string; path: string; commits: number[] }> {
  const dataDir = await newDataDir();
  const commits: number[] = [];
  const store = await openSqliteStore({ dataDir, environments, onCommit: (writes) => commits.push(writes) });
  onTestFinished(() => store.close());
  return { store, dataDir, path: join(dataDir, "SSP-dev.sqlite"), commits };
}

function jobsIn(db: Database): number {
  return (db.prepare("SELECT count(*) AS jobs FROM jobs").get() as { jobs: number }).jobs;
}

/** Blocks this thread, and so its event loop, until the database has the jobs. Gives up after 10 s. */
function blockUntil(db: Database, jobs: number): number {
  const never = new Int32Array(new SharedArrayBuffer(4));
  for (let i = 0; i < 2_000 && jobsIn(db) < jobs; i++) Atomics.wait(never, 0, 0, 5);
  return jobsIn(db);
}

test("a write is committed even while the event loop of its caller is busy", async () => {
  const { store, path } = await openStore();
  const outside = openForReading(path);
  onTestFinished(() => outside.close());
  const first = store.insertMany([makeJob()]);
  expect(blockUntil(outside, 1)).toBe(1);
  // The writer is idle again, or about to be; either way it needs nothing more from this thread.
  const second = store.insertMany([makeJob()]);
  expect(blockUntil(outside, 2)).toBe(2);
  expect(await Promise.all([first, second])).toEqual([["inserted"], ["inserted"]]);
});

test("writes that arrive during a commit share the next one", async () => {
  const { store, path, commits } = await openStore();
  const outside = openForWriting(path);
  onTestFinished(() => outside.close());
  // The first commit waits for this lock, so all the others arrive before it ends.
  outside.exec("BEGIN IMMEDIATE");
  const inserted = Array.from({ length: 100 }, () => store.insertMany([makeJob()]));
  outside.exec("ROLLBACK");
  expect(await Promise.all(inserted)).toEqual(inserted.map(() => ["inserted"]));
  // One commit if the writer had not started before the lock was released.
  expect(commits.length).toBeLessThanOrEqual(2);
  expect(commits.reduce((sum, writes) => sum + writes, 0)).toBe(100);
});

test("a store that closes answers every write that it was given", async () => {
  const { store, dataDir } = await openStore();
  const jobs = Array.from({ length: 300 }, () => makeJob());
  const inserted = jobs.map((job) => store.insertMany([job]));
  await store.close();
  expect(await Promise.all(inserted)).toEqual(jobs.map(() => ["inserted"]));
  await expect(store.insertMany([makeJob()])).rejects.toMatchObject({ code: "unavailable" });
  const reopened = await openSqliteStore({ dataDir, environments });
  onTestFinished(() => reopened.close());
  for (const job of [jobs[0]!, jobs.at(-1)!]) expect(await reopened.get(job.id)).toBeDefined();
});

test("in any pattern of arrivals, each write gets its own answer, and every write is in one commit", async () => {
  const { store, commits } = await openStore();
  /** Ten jobs, any of which a pattern inserts several times, and what happens after each insert. */
  const arrival = fc.record({
    job: fc.nat(9),
    environment: fc.constantFrom("UAT", "PROD"),
    pause: fc.constantFrom("next", "microtask", "turn", "answer"),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(arrival, { maxLength: 60 }), async (arrivals) => {
      commits.length = 0;
      const jobs = new Map<string, Job>();
      const expected: string[] = [];
      const answers: Promise<string[]>[] = [];
      for (const { job: n, environment, pause } of arrivals) {
        const name = `${environment} ${n}`;
        expected.push(jobs.has(name) ? "exists" : "inserted");
        const job = jobs.get(name) ?? makeJob({ environment });
        jobs.set(name, job);
        const answer = store.insertMany([job]);
        answers.push(answer);
        if (pause === "microtask") await undefined;
        if (pause === "turn") await new Promise(setImmediate);
        if (pause === "answer") await answer;
      }
      expect((await Promise.all(answers)).flat()).toEqual(expected);
      expect(commits.reduce((sum, writes) => sum + writes, 0)).toBe(arrivals.length);
    }),
    { numRuns: 60 },
  );
});
