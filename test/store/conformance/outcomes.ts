import fc from "fast-check";
import { expect, type TestAPI } from "vitest";
import { newJobId } from "../../../src/domain/ids.ts";
import type { AttemptEnd, Job, Outcome } from "../../../src/domain/job.ts";
import type { JobStore } from "../../../src/store/job-store.ts";
import { nativeBody } from "../../support/native-bodies.ts";
import { beginning, begun, makeJob, mustBegin } from "./support.ts";

const completed: AttemptEnd = { result: "completed", at: 8, usage: { input: 20, output: 5 } };

export function outcomeCases(store: () => JobStore, test: TestAPI): void {
  test("an outcome ends the job, and with it the attempt that led to it", async () => {
    const { job, attempt } = await begun(store());
    const outcome: Outcome = {
      jobId: job.id,
      status: "completed",
      at: 9,
      text: "An answer.",
      toolCalls: [{ id: "t", name: "look_up", arguments: '{"key": [1, null]}' }],
      finishReason: "tool_calls",
      usage: { input: 20, output: 5 },
      deployment: "bedrock/eu-west-1/other",
      model: "other",
      attempt: 1,
    };
    expect(await store().finish("UAT", outcome, { n: 1, end: completed })).toEqual({ first: true, outcome });
    const record = { job, state: "completed", attempts: [{ ...attempt, end: completed }], outcome };
    expect(await store().get(job.id)).toEqual(record);
  });

  test("a job that was never begun can end too", async () => {
    const job = makeJob();
    await store().insertMany([job]);
    const outcome: Outcome = { jobId: job.id, status: "cancelled", at: 9 };
    expect(await store().finish("UAT", outcome)).toEqual({ first: true, outcome });
    expect(await store().get(job.id)).toEqual({ job, state: "cancelled", attempts: [], outcome });
  });

  test("unknown jobs and jobs of another environment are not found", async () => {
    const { job } = await begun(store());
    const outcome: Outcome = { jobId: job.id, status: "completed", at: 1, text: "" };
    await expect(store().finish("PROD", outcome)).rejects.toMatchObject({ code: "job_not_found" });
    const unknown = { ...outcome, jobId: newJobId() };
    await expect(store().finish("UAT", unknown, { n: 1, end: completed })).rejects.toMatchObject({
      code: "job_not_found",
    });
    expect(await store().get(unknown.jobId)).toBeUndefined();
    expect((await store().get(job.id))?.state).toBe("in_progress");
  });

  test("the very same call may be repeated; another outcome comes too late", async () => {
    const { job } = await begun(store());
    const outcome: Outcome = {
      jobId: job.id,
      status: "failed",
      at: 9,
      error: { code: "provider_rejected", message: "No." },
      usage: { input: 1, output: 0 },
    };
    // Keys in another order, and keys without a value, are the same outcome.
    const same: Outcome = { ...outcome, usage: { output: 0, input: 1 }, text: undefined };
    expect(await store().finish("UAT", outcome, { n: 1, end: completed })).toMatchObject({ first: true });
    expect(await store().finish("UAT", same, { n: 1, end: completed })).toEqual({ first: true, outcome });
    for (const change of [
      { at: 10 },
      { status: "completed" },
      { text: "" },
      { usage: undefined },
    ] as Partial<Outcome>[]) {
      expect(await store().finish("UAT", { ...outcome, ...change })).toEqual({ first: false, outcome });
    }
    expect((await store().get(job.id))?.outcome).toEqual(outcome);
  });

  test("of many concurrent outcomes one is first, and all are told which", async () => {
    const { job } = await begun(store());
    for (let n = 2; n <= 10; n++) await mustBegin(store(), beginning(job, { maxFailedTries: 100 }));
    const results = await Promise.all(
      Array.from({ length: 10 }, (_, i) =>
        store().finish(
          "UAT",
          { jobId: job.id, status: "completed", at: i, text: `Answer ${i}.` },
          { n: i + 1, end: completed },
        ),
      ),
    );
    expect(results.filter((r) => r.first)).toHaveLength(1);
    const stands = results.find((r) => r.first)!.outcome;
    for (const result of results) expect(result.outcome).toEqual(stands);
    const record = await store().get(job.id);
    expect(record?.outcome).toEqual(stands);
    // The others were calls too, and they did end.
    expect(record?.attempts.map((a) => a.end)).toEqual(Array.from({ length: 10 }, () => completed));
  });

  test("an attempt that has ended keeps its end when the outcome comes", async () => {
    const { job } = await begun(store());
    const end: AttemptEnd = { result: "transient", at: 1 };
    await store().endAttempt("UAT", job.id, 1, end);
    await store().finish("UAT", { jobId: job.id, status: "completed", at: 2, text: "Late." }, { n: 1, end: completed });
    expect(await store().get(job.id)).toMatchObject({ state: "completed", attempts: [{ end }] });
  });

  test("an answer that comes after the job went back to the queue still counts", async () => {
    const { job } = await begun(store());
    await mustBegin(store(), beginning(job));
    await store().endAttempt("UAT", job.id, 2, { result: "throttled", at: 1 });
    const late: Outcome = { jobId: job.id, status: "completed", at: 2, text: "Late.", attempt: 1 };
    expect(await store().finish("UAT", late, { n: 1, end: completed })).toEqual({ first: true, outcome: late });
    expect(await store().beginAttempt(beginning(job))).toEqual({ status: "ended", outcome: late });
  });

  test("beginnings and an outcome at the same time: no attempt is begun after the end", async () => {
    const job = makeJob();
    await store().insertMany([job]);
    const begins = () => Array.from({ length: 10 }, () => beginning(job, { maxFailedTries: 100 }));
    const outcome: Outcome = { jobId: job.id, status: "cancelled", at: 2 };
    const [before, ended, after] = await Promise.all([
      Promise.all(begins().map((b) => store().beginAttempt(b))),
      store().finish("UAT", outcome),
      Promise.all(begins().map((b) => store().beginAttempt(b))),
    ]);
    expect(ended.first).toBe(true);
    const begunOnes = [...before, ...after].filter((r) => r.status === "begun");
    expect([...before, ...after].every((r) => r.status === "begun" || r.status === "ended")).toBe(true);
    const record = await store().get(job.id);
    expect(record).toMatchObject({ state: "cancelled", outcome });
    expect(record?.attempts.map((a) => a.n)).toEqual(begunOnes.map((_, i) => i + 1));
    expect(await store().beginAttempt(beginning(job))).toEqual({ status: "ended", outcome });
  });

  test("finishIdle leaves a job alone while an attempt of it is open, and ends it after that", async () => {
    const { job } = await begun(store());
    const cancelled: Outcome = { jobId: job.id, status: "cancelled", at: 9 };
    expect(await store().finishIdle("UAT", cancelled)).toBeUndefined();
    expect(await store().get(job.id)).toMatchObject({ state: "in_progress", attempts: [{ n: 1 }] });
    await store().endAttempt("UAT", job.id, 1, { result: "throttled", at: 1 });
    expect(await store().finishIdle("UAT", cancelled)).toEqual({ first: true, outcome: cancelled });
    expect(await store().finishIdle("UAT", cancelled)).toEqual({ first: true, outcome: cancelled });
    expect(await store().finishIdle("UAT", { ...cancelled, at: 10 })).toEqual({ first: false, outcome: cancelled });
    expect(await store().beginAttempt(beginning(job))).toEqual({ status: "ended", outcome: cancelled });
    const record = await store().get(job.id);
    expect(record).toMatchObject({ state: "cancelled", attempts: [{ end: { result: "throttled" } }] });
    expect(record?.attempts).toHaveLength(1);
    const charged = await store().attemptsSince({ chargedFrom: job.submittedAt, limit: 10 });
    expect(charged.items.filter((attempt) => attempt.jobId === job.id)).toHaveLength(1);

    await expect(store().finishIdle("PROD", cancelled)).rejects.toMatchObject({ code: "job_not_found" });
    const done = await begun(store());
    const answered: Outcome = { jobId: done.job.id, status: "completed", at: 5, text: "An answer." };
    await store().finish("UAT", answered, { n: 1, end: completed });
    const late = await store().finishIdle("UAT", { ...cancelled, jobId: done.job.id });
    expect(late).toEqual({ first: false, outcome: answered });
  });

  test("finishIdle and beginnings at the same time: either a call starts and the job goes on, or neither ever does", async () => {
    const jobs = Array.from({ length: 30 }, () => makeJob());
    await store().insertMany(jobs);
    const begin = (job: Job) => store().beginAttempt(beginning(job, { maxFailedTries: 100 }));
    const end = (job: Job) => store().finishIdle("UAT", { jobId: job.id, status: "cancelled", at: 2 });
    await Promise.all(
      jobs.map(async (job, i) => {
        // Each of the two is first to set out for half of them.
        const [before, ended, after, again] = await Promise.all(
          i % 2 === 0 ? [begin(job), end(job), begin(job), end(job)] : [undefined, end(job), begin(job), end(job)],
        );
        const begunOnes = [before, after].filter((result) => result?.status === "begun");
        const record = await store().get(job.id);
        if (ended || again) {
          expect(begunOnes, `job ${i}`).toEqual([]);
          expect(record).toMatchObject({ state: "cancelled", attempts: [] });
        } else {
          expect(begunOnes.length, `job ${i}`).toBeGreaterThan(0);
          expect(record).toMatchObject({ state: "in_progress" });
        }
      }),
    );
  });

  test("an answer comes back as it went in, whatever it holds", async () => {
    const text = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.constantFrom("", "\u0000", "a\u0000b", "\ud83d", "a\ude00", "line\r\nline"),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.option(text, { nil: undefined }),
        fc.constantFrom("stop" as const, "length" as const, undefined),
        fc.option(fc.array(fc.record({ id: text, name: text, arguments: text })), { nil: undefined }),
        fc.option(fc.record({ body: nativeBody, events: text }, { requiredKeys: [] }), { nil: undefined }),
        async (text, finishReason, toolCalls, native) => {
          const { job } = await begun(store());
          const outcome: Outcome = { jobId: job.id, status: "completed", at: 5 };
          if (text !== undefined) outcome.text = text;
          if (finishReason) outcome.finishReason = finishReason;
          if (toolCalls) outcome.toolCalls = toolCalls;
          if (native) outcome.native = native;
          expect((await store().finish("UAT", outcome)).first).toBe(true);
          expect((await store().get(job.id))?.outcome).toEqual(outcome);
          expect((await store().finish("UAT", outcome)).first).toBe(true);
        },
      ),
      { numRuns: 50 },
    );
  });
}
