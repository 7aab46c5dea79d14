// What a process that dies between two writes leaves behind, and what two processes at once make of it. Every crash point
// of job-database.ts is made by hand here: what would not have been written yet is taken away through the driver.
import type { Collection, Db, Document } from "mongodb";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { AttemptEnd, Job, Outcome } from "../../src/domain/job.ts";
import type { JobStore } from "../../src/store/job-store.ts";
import { openTestMongo, type TestMongo } from "../support/mongo-store.ts";
import { withoutMongo } from "../support/servers.ts";
import { beginning, makeJob, mustBegin, newEra } from "./conformance/support.ts";

const end: AttemptEnd = { result: "completed", at: 8, usage: { input: 20, output: 5 } };

describe.skipIf(withoutMongo())("MongoDB after a crash", () => {
  let mongo: TestMongo;
  let store: JobStore;
  let other: JobStore;
  let db: Db;
  beforeAll(async () => {
    mongo = await openTestMongo();
    store = mongo.store;
    other = await mongo.openAnother();
    db = mongo.client.db(mongo.databases.UAT);
  });
  afterAll(() => mongo?.cleanup());
  const collection = (name: string): Collection<Document & { _id: string }> => db.collection(name);

  async function ended(job: Job): Promise<Outcome> {
    await store.insertMany([job]);
    await mustBegin(store, beginning(job));
    const outcome: Outcome = { jobId: job.id, status: "completed", at: 9, text: "An answer.", attempt: 1 };
    await store.finish("UAT", outcome, { n: 1, end });
    return outcome;
  }

  /** As if the process had died right after the insert of the outcome. */
  async function crashAfterOutcome(job: Job): Promise<Outcome> {
    const outcome = await ended(job);
    await collection("generated_texts").deleteOne({ _id: job.id });
    await collection("attempt_ends").deleteOne({ _id: `${job.id}/1` });
    await collection("jobs").updateOne(
      { _id: job.id },
      { $set: { state: "in_progress", ended: false }, $unset: { finished_at: 1 } },
    );
    return outcome;
  }

  async function expectHealed(job: Job): Promise<void> {
    expect(await collection("generated_texts").findOne({ _id: job.id })).toMatchObject({
      job_id: job.id,
      text: "An answer.",
      environment: "UAT",
      created_at: new Date(9),
    });
    expect(await collection("attempt_ends").findOne({ _id: `${job.id}/1` })).toMatchObject({ result: "completed" });
    expect(await collection("jobs").findOne({ _id: job.id })).toMatchObject({
      state: "completed",
      ended: true,
      finished_at: new Date(9),
    });
  }

  test("what is derived is there when finish resolves", async () => {
    const job = makeJob();
    await ended(job);
    await expectHealed(job);
  });

  test.each<[string, (job: Job) => Promise<unknown>]>([
    ["get", (job) => store.get(job.id)],
    ["beginAttempt", (job) => store.beginAttempt(beginning(job))],
    ["endAttempt", (job) => store.endAttempt("UAT", job.id, 1, { result: "aborted", at: 10 })],
    ["finish", (job) => store.finish("UAT", { jobId: job.id, status: "cancelled", at: 10 })],
    ["list", (job) => store.list({ limit: 10, submittedFrom: job.submittedAt, submittedTo: job.submittedAt + 1 })],
    ["unfinished", (job) => store.unfinished({ limit: 10, submittedFrom: job.submittedAt })],
  ])("a crash after the outcome is healed by %s", async (_, meet) => {
    const job = makeJob();
    await crashAfterOutcome(job);
    await meet(job);
    await expectHealed(job);
  });

  test("a crash after the outcome shows in no answer", async () => {
    const era = newEra();
    const [gotten, begun, listed, walked] = [0, 1, 2, 3].map((i) => makeJob({ submittedAt: era.from + i }));
    const outcome = await crashAfterOutcome(gotten!);
    expect(await store.get(gotten!.id)).toMatchObject({ state: "completed", outcome, attempts: [{ end }] });
    const winning = await crashAfterOutcome(begun!);
    expect(await store.beginAttempt(beginning(begun!))).toEqual({ status: "ended", outcome: winning });
    await crashAfterOutcome(listed!);
    expect(await store.list({ limit: 10, state: "in_progress", ...era.range })).toEqual({ items: [] });
    expect((await store.list({ limit: 10, ...era.range })).items.map((i) => [i.state, i.finishedAt])).toEqual([
      ["completed", 9],
      ["completed", 9],
      ["completed", 9],
    ]);
    await crashAfterOutcome(walked!);
    expect(await store.unfinished({ limit: 10, ...era.range })).toEqual({ items: [] });
  });

  test("a page of unfinished jobs that have all ended is not the last one", async () => {
    const era = newEra();
    const jobs = [0, 1, 2, 3].map((i) => makeJob({ submittedAt: era.from + i }));
    for (const job of jobs.slice(0, 2)) await crashAfterOutcome(job);
    await store.insertMany(jobs.slice(2));
    const first = await store.unfinished({ limit: 2, ...era.range });
    expect(first.items).toEqual([]);
    const second = await store.unfinished({ limit: 2, cursor: first.next!, ...era.range });
    expect(second.items.map((i) => i.job.id)).toEqual([jobs[2]!.id, jobs[3]!.id]);
  });

  test("a crash between a closing and the outcome: the next process that reads the job ends it, and no call starts", async () => {
    const cancelled = (job: Job): Outcome => ({ jobId: job.id, status: "cancelled", at: 9 });
    const crashed = async () => {
      const job = makeJob();
      await store.insertMany([job]);
      await store.finishIdle("UAT", cancelled(job));
      await collection("outcomes").deleteOne({ _id: job.id });
      await collection("jobs").updateOne(
        { _id: job.id },
        { $set: { state: "queued", ended: false }, $unset: { finished_at: 1 } },
      );
      expect(await store.get(job.id)).toEqual({ job, state: "queued", attempts: [] });
      return job;
    };
    const [begun, ended] = [await crashed(), await crashed()];
    expect(await other.beginAttempt(beginning(begun))).toEqual({ status: "ended", outcome: cancelled(begun) });
    const late = await other.finishIdle("UAT", { ...cancelled(ended), at: 20 });
    expect(late).toEqual({ first: false, outcome: cancelled(ended) });
    for (const job of [begun, ended]) {
      expect(await store.get(job.id)).toMatchObject({ state: "cancelled", attempts: [] });
    }
  });

  test("the end that came with the outcome stays the attempt's end, no matter which process writes first after the crash", async () => {
    const job = makeJob();
    await crashAfterOutcome(job);
    await store.endAttempt("UAT", job.id, 1, { result: "aborted", at: 99 });
    expect((await store.get(job.id))?.attempts[0]?.end).toEqual(end);
  });

  test("a crash between an attempt and the job's state: the attempt is open, and its end puts the job back", async () => {
    const job = makeJob();
    await store.insertMany([job]);
    const begin = beginning(job);
    await mustBegin(store, begin);
    // Counting waits for the states that this process has not written yet.
    await store.counts();
    await collection("jobs").updateOne({ _id: job.id }, { $set: { state: "queued" } });
    expect(await store.get(job.id)).toMatchObject({ state: "in_progress", attempts: [{ n: 1 }] });
    // The worker that asks again after a lost reply.
    expect(await store.beginAttempt(begin)).toMatchObject({ status: "begun", attempt: { n: 1 } });
    expect(await collection("jobs").findOne({ _id: job.id })).toMatchObject({ state: "in_progress" });
    await store.endAttempt("UAT", job.id, 1, { result: "throttled", at: 1 });
    await collection("jobs").updateOne({ _id: job.id }, { $set: { state: "in_progress" } });
    expect(await store.get(job.id)).toMatchObject({ state: "queued" });
    await store.endAttempt("UAT", job.id, 1, { result: "throttled", at: 1 });
    expect(await collection("jobs").findOne({ _id: job.id })).toMatchObject({ state: "queued", ended: false });
  });

  test("a state that was written too late does not bring a job back", async () => {
    const job = makeJob();
    await ended(job);
    // What `beginAttempt` of a frozen process writes when it wakes.
    await collection("jobs").updateOne({ _id: job.id }, { $set: { state: "in_progress", ended: false } });
    expect((await store.unfinished({ limit: 10, submittedFrom: job.submittedAt })).items).toEqual([]);
    await expectHealed(job);
  });

  test("fields that another version wrote are kept", async () => {
    const job = makeJob();
    await store.insertMany([job]);
    await collection("jobs").updateOne({ _id: job.id }, { $set: { from_the_future: 1, schema: 2 } });
    await mustBegin(store, beginning(job));
    await store.finish("UAT", { jobId: job.id, status: "completed", at: 1, text: "x" });
    expect(await collection("jobs").findOne({ _id: job.id })).toMatchObject({ from_the_future: 1, schema: 2 });
    expect((await store.get(job.id))?.job).toEqual(job);
  });

  describe("two processes at once", () => {
    test("of two that insert the same jobs each job has one inserter", async () => {
      const jobs = Array.from({ length: 50 }, () => makeJob());
      const [a, b] = await Promise.all([store.insertMany(jobs), other.insertMany([...jobs].reverse())]);
      b.reverse();
      for (const i of jobs.keys()) expect([a[i], b[i]].sort()).toEqual(["exists", "inserted"]);
    });

    test("attempts are numbered without gaps, each grant once, and a repeated grant finds its own", async () => {
      const job = makeJob();
      await store.insertMany([job]);
      const begins = Array.from({ length: 10 }, () => beginning(job, { maxFailedTries: 100 }));
      const [mine, theirs] = await Promise.all(
        [store, other].map((s) => Promise.all(begins.map((begin) => mustBegin(s, begin)))),
      );
      expect(theirs!.map((a) => a.n)).toEqual(mine!.map((a) => a.n));
      const attempts = (await store.get(job.id))!.attempts;
      expect(attempts.map((a) => a.n)).toEqual(begins.map((_, i) => i + 1));
      expect(new Set(attempts.map((a) => a.grant)).size).toBe(10);
    });

    test("one outcome, which both are told, and nothing derived contradicts it", async () => {
      const jobs = Array.from({ length: 10 }, () => makeJob());
      await store.insertMany(jobs);
      for (const job of jobs) {
        const outcome = (text: string): Outcome => ({ jobId: job.id, status: "completed", at: 1, text });
        const begin = store.beginAttempt(beginning(job));
        const [a, b] = await Promise.all([
          store.finish("UAT", outcome("mine")),
          other.finish("UAT", outcome("theirs")),
          begin,
        ]);
        expect([a.first, b.first].sort()).toEqual([false, true]);
        expect(a.outcome).toEqual(b.outcome);
        expect((await other.get(job.id))?.outcome).toEqual(a.outcome);
        expect(await collection("generated_texts").findOne({ _id: job.id })).toMatchObject({ text: a.outcome.text });
      }
      await store.unfinished({ limit: 1_000 });
      for (const { id } of jobs) {
        expect(await collection("jobs").findOne({ _id: id })).toMatchObject({ state: "completed", ended: true });
      }
    });

    test("two that open new databases at the same time both can", async () => {
      const fresh = await openTestMongo();
      try {
        const opened = await Promise.all([fresh.openAnother(), fresh.openAnother()]);
        await Promise.all(opened.map((s) => s.ping()));
      } finally {
        await fresh.cleanup();
      }
    });
  });
});
