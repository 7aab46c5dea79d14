import { expect, type TestAPI } from "vitest";
import { newJobId } from "../../../src/domain/ids.ts";
import type { AttemptEnd, AttemptResult } from "../../../src/domain/job.ts";
import type { JobStore } from "../../../src/store/job-store.ts";
import { beginning, begun, makeJob, mustBegin } from "./support.ts";

export function attemptCases(store: () => JobStore, test: TestAPI): void {
  const stateOf = async (id: string) => (await store().get(id))?.state;

  test("an attempt is on record before the call, and begins with what to send", async () => {
    const job = makeJob({ environment: "PROD" });
    await store().insertMany([job]);
    const begin = beginning(job, { chargedAt: 12_345 });
    const { environment: _, maxFailedTries: __, ...attempt } = { ...begin, n: 1 };
    expect(await store().beginAttempt(begin)).toEqual({ status: "begun", job, attempt, earlier: [] });
    expect(await store().get(job.id)).toEqual({ job, state: "in_progress", attempts: [attempt] });
  });

  test("the same grant gets the same attempt, even when it has ended or others came after it", async () => {
    const job = makeJob();
    await store().insertMany([job]);
    const first = beginning(job);
    const attempt = await mustBegin(store(), first);
    expect(await mustBegin(store(), first)).toEqual(attempt);
    const end: AttemptEnd = { result: "throttled", at: 5 };
    await store().endAttempt("UAT", job.id, 1, end);
    const second = beginning(job);
    expect(await mustBegin(store(), second)).toMatchObject({ n: 2 });
    expect(await store().beginAttempt(first)).toMatchObject({ attempt: { ...attempt, end }, earlier: [] });
    expect(await store().beginAttempt(second)).toMatchObject({ attempt: { n: 2 }, earlier: [{ n: 1 }] });
    expect((await store().get(job.id))?.attempts).toHaveLength(2);
  });

  test("of concurrent beginnings each grant gets one number, without gaps", async () => {
    const job = makeJob();
    await store().insertMany([job]);
    const begins = Array.from({ length: 20 }, () => beginning(job, { maxFailedTries: 100 }));
    const attempts = await Promise.all([...begins, ...begins].map((begin) => mustBegin(store(), begin)));
    expect(attempts.slice(20)).toEqual(attempts.slice(0, 20));
    expect(attempts.map((a) => a.grant)).toEqual([...begins, ...begins].map((b) => b.grant));
    const onRecord = (await store().get(job.id))!.attempts;
    expect(onRecord.map((a) => a.n)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
    expect(onRecord).toEqual(attempts.slice(0, 20).sort((a, b) => a.n - b.n));
  });

  test("unknown jobs and jobs of another environment are not found", async () => {
    const job = makeJob();
    await store().insertMany([job]);
    expect(await store().beginAttempt(beginning(job, { environment: "PROD" }))).toEqual({ status: "not_found" });
    expect(await store().beginAttempt(beginning(job, { jobId: newJobId() }))).toEqual({ status: "not_found" });
    expect(await store().get(job.id)).toMatchObject({ state: "queued", attempts: [] });
  });

  test("a job that has ended is not begun, and says how it ended", async () => {
    const job = makeJob();
    await store().insertMany([job]);
    const early = beginning(job);
    await store().beginAttempt(early);
    const outcome = { jobId: job.id, status: "cancelled", at: 7 } as const;
    await store().finish("UAT", outcome);
    expect(await store().beginAttempt(beginning(job))).toEqual({ status: "ended", outcome });
    expect(await store().beginAttempt(early)).toEqual({ status: "ended", outcome });
    expect((await store().get(job.id))?.attempts).toHaveLength(1);
  });

  test.each<[AttemptResult, "begun" | "refused"]>([
    ["transient", "refused"],
    ["throttled", "begun"],
    ["capacity", "begun"],
    ["unknown", "refused"],
    // As earlier versions wrote it.
    ["aborted", "refused"],
    ["not_sent", "begun"],
  ])("after three ends with %s a fourth attempt is %s", async (result, status) => {
    const job = makeJob();
    await store().insertMany([job]);
    for (let n = 1; n <= 3; n++) {
      await mustBegin(store(), beginning(job));
      await store().endAttempt("UAT", job.id, n, { result, at: n, error: { code: "x", message: `Error ${n}.` } });
    }
    const fourth = await store().beginAttempt(beginning(job));
    expect(fourth.status).toBe(status);
    if (fourth.status === "refused") {
      expect(fourth.error.code).toBe("tries_exhausted");
      expect(fourth.error.message).toContain("Error 3.");
      expect(await store().get(job.id)).toMatchObject({ state: "queued", attempts: [{}, {}, {}] });
    }
  });

  test("attempts without a known end count as failed tries", async () => {
    const { job } = await begun(store());
    await mustBegin(store(), beginning(job));
    await mustBegin(store(), beginning(job));
    expect(await store().beginAttempt(beginning(job))).toMatchObject({
      status: "refused",
      error: { code: "tries_exhausted" },
    });
    expect((await store().get(job.id))?.attempts).toHaveLength(3);
    expect(await store().beginAttempt(beginning(job, { maxFailedTries: 4 }))).toMatchObject({ attempt: { n: 4 } });
  });

  test("a job that asked for it is not tried again after an unknown end", async () => {
    const { job, attempt } = await begun(store(), { onUnknown: "fail" });
    expect(await store().beginAttempt(beginning(job))).toMatchObject({
      status: "refused",
      error: { code: "unknown_end" },
    });
    await store().endAttempt("UAT", job.id, attempt.n, { result: "transient", at: 5 });
    expect(await store().beginAttempt(beginning(job))).toMatchObject({ status: "begun", attempt: { n: 2 } });
  });

  test("an end puts the job back, with everything that is known about the call", async () => {
    const { job, attempt } = await begun(store());
    const end: AttemptEnd = {
      result: "transient",
      at: 99,
      usage: { input: 1, output: 2, cacheRead: 3, cacheWrite: 4 },
      error: { code: "unavailable", message: "a\u0000b \ud83d" },
      durationMs: 12.5,
      firstTokenMs: 0,
      requestId: "r-1",
    };
    await store().endAttempt("UAT", job.id, 1, end);
    expect(await store().get(job.id)).toEqual({ job, state: "queued", attempts: [{ ...attempt, end }] });
  });

  test("the first end of an attempt stays", async () => {
    const { job } = await begun(store());
    const ends = Array.from({ length: 10 }, (_, i): AttemptEnd => ({ result: "throttled", at: i }));
    await store().endAttempt("UAT", job.id, 1, ends[3]!);
    await Promise.all(ends.map((end) => store().endAttempt("UAT", job.id, 1, end)));
    expect((await store().get(job.id))?.attempts[0]?.end).toEqual(ends[3]);
  });

  test("a repeated end does not put back a job that has been begun again", async () => {
    const { job } = await begun(store());
    await store().endAttempt("UAT", job.id, 1, { result: "throttled", at: 1 });
    await mustBegin(store(), beginning(job));
    await store().endAttempt("UAT", job.id, 1, { result: "throttled", at: 1 });
    expect(await stateOf(job.id)).toBe("in_progress");
  });

  test("a job is in progress as long as any of its attempts has not ended", async () => {
    const { job } = await begun(store());
    await mustBegin(store(), beginning(job));
    await store().endAttempt("UAT", job.id, 2, { result: "throttled", at: 1 });
    expect(await stateOf(job.id)).toBe("in_progress");
    await store().endAttempt("UAT", job.id, 1, { result: "throttled", at: 2 });
    expect(await stateOf(job.id)).toBe("queued");
  });

  test("the end of an attempt that does not exist changes nothing", async () => {
    const { job, attempt } = await begun(store());
    await store().endAttempt("UAT", job.id, 2, { result: "throttled", at: 1 });
    await store().endAttempt("PROD", job.id, 1, { result: "throttled", at: 1 });
    await store().endAttempt("UAT", newJobId(), 1, { result: "throttled", at: 1 });
    expect(await store().get(job.id)).toEqual({ job, state: "in_progress", attempts: [attempt] });
  });

  test("an end that comes after the outcome is recorded and changes no state", async () => {
    const { job } = await begun(store());
    await store().finish("UAT", { jobId: job.id, status: "expired", at: 3 });
    await store().endAttempt("UAT", job.id, 1, { result: "aborted", at: 4 });
    expect(await store().get(job.id)).toMatchObject({ state: "expired", attempts: [{ end: { result: "aborted" } }] });
  });
}
