// A job's way through the worker, for every way that a call can end. Real store, scheduler and events; time stands
// still until a test moves it, and calls are answered by the test.
import { describe, expect, test } from "vitest";
import { SluiceError } from "../../src/domain/errors.ts";
import { newJobId } from "../../src/domain/ids.ts";
import { deployment, type Harness, type HarnessOptions, oneModel, runningWorkers, states } from "./support/harness.ts";

let h: Harness;
const openRunning = runningWorkers();
const open = async (options?: HarnessOptions) => {
  h = await openRunning(options);
};

describe("an answer", () => {
  test("is stored with its attempt, settled at what it used, and told to listeners", async () => {
    await open({ file: { models: oneModel([{ unit: "tokens", per: "minute", limit: 10_000 }]) } });
    const jobId = await h.submit("hello");
    const events = h.listen(jobId);
    await h.quiet();
    expect(await h.record(jobId)).toMatchObject({ state: "in_progress", attempts: [{ n: 1, deployment }] });

    h.provider.calls[0]!.answer({ usage: { input: 7, output: 3 }, requestId: "req-1", firstTokenMs: 12 });
    await h.quiet();
    const record = await h.record(jobId);
    expect(record.outcome).toMatchObject({
      status: "completed",
      text: "answer to hello",
      finishReason: "stop",
      usage: { input: 7, output: 3 },
      deployment,
      model: "llama",
      attempt: 1,
    });
    expect(record.attempts[0]).toMatchObject({
      worker: "test-worker",
      end: { result: "completed", requestId: "req-1", firstTokenMs: 12, durationMs: 0 },
    });
    expect(states(events)).toEqual(["in_progress", "completed"]);
    const { quotas, running } = await h.context.scheduler.snapshot();
    expect(quotas[0]!.used).toBe(10);
    expect(running).toBe(0);
  });

  test("without usage keeps its reservation", async () => {
    await open({ file: { models: oneModel([{ unit: "tokens", per: "minute", limit: 10_000 }]) } });
    const jobId = await h.submit("hello");
    await h.quiet();
    h.provider.calls[0]!.answer({ usage: undefined });
    await h.quiet();
    const { input, output } = (await h.record(jobId)).attempts[0]!.reserved;
    expect((await h.context.scheduler.snapshot()).quotas[0]!.used).toBe(input + output);
  });

  test("is settled at what the provider's quotas count, where that is not what it bills", async () => {
    await open({ file: { models: oneModel([{ unit: "tokens", per: "minute", limit: 10_000 }]) } });
    await h.submit("hello");
    await h.quiet();
    const usage = { input: 7, output: 3, cacheRead: 20 };
    h.provider.calls[0]!.answer({ usage, quotaUsage: { input: 27, output: 3 } });
    await h.quiet();
    expect((await h.context.scheduler.snapshot()).quotas[0]!.used).toBe(30);
  });

  test("is streamed to those who listen, piece by piece, and to who comes late from the beginning", async () => {
    await open();
    const jobId = await h.submit("hello");
    await h.quiet();
    const [call] = h.provider.calls;
    call!.stream("heard ");
    call!.stream("late, ");
    const events = h.listen(jobId);
    call!.stream("heard");
    call!.stream(" at once");
    call!.answer({ text: "heard late, heard at once" });
    await h.quiet();
    expect(events).toMatchObject([
      { type: "tokens", attempt: 1, index: 0, text: "heard late, heard", pieces: 3 },
      { type: "tokens", attempt: 1, index: 3, text: " at once" },
      { type: "tokens", attempt: 1, index: 0, text: "heard late, heard at once", pieces: 4 },
      { type: "state", state: "completed" },
    ]);
  });

  test("is said again to who comes while it is under way; a long one is not kept for that", async () => {
    await open();
    const jobId = await h.submit("hello");
    await h.quiet();
    const [call] = h.provider.calls;
    call!.stream("x".repeat(200_000));
    const second = h.listen(jobId);
    await h.quiet();
    expect(second).toMatchObject([{ type: "tokens", index: 0, text: "x".repeat(200_000), pieces: 1 }]);
    call!.stream("x".repeat(100_000));
    call!.stream("heard");
    const third = h.listen(jobId);
    await h.quiet();
    call!.stream("last");
    expect(third).toMatchObject([{ type: "tokens", index: 3, text: "last" }]);
    call!.answer();
    await h.quiet();
  });

  test("is kept while the store is unreachable, with its lease renewed, and stored when it is back", async () => {
    let away = false;
    await open({
      store: (real) => ({
        finish: (...args) =>
          away ? Promise.reject(new SluiceError("unavailable", "The disk is gone.")) : real.finish(...args),
      }),
    });
    const jobId = await h.submit("hello");
    await h.quiet();
    away = true;
    h.provider.calls[0]!.answer();
    await h.advance(10 * 60_000);
    expect((await h.record(jobId)).state).toBe("in_progress");
    away = false;
    await h.advance(10_000);
    expect((await h.record(jobId)).outcome).toMatchObject({ status: "completed", text: "answer to hello" });
    expect(h.provider.calls).toHaveLength(1);
  });
});

describe("a failure", () => {
  test("throttled: the job keeps its place, no try is used up, and the quota learns", async () => {
    await open({ file: { models: oneModel([{ unit: "requests", per: "minute", limit: 100 }]) } });
    const jobId = await h.submit("hello");
    const events = h.listen(jobId);
    await h.quiet();
    h.provider.calls[0]!.fail({ kind: "throttled", throttle: "requests" });
    await h.quiet();
    expect(await h.ends(jobId)).toEqual(["throttled"]);
    const { quotas } = await h.context.scheduler.snapshot();
    expect(quotas[0]!.effectiveLimit).toBeLessThan(100);

    await h.advance(120_000);
    h.provider.calls[1]!.answer();
    await h.quiet();
    expect(await h.ends(jobId)).toEqual(["throttled", "completed"]);
    expect(states(events)).toEqual(["in_progress", "queued", "in_progress", "completed"]);
  });

  test("capacity: the deployment cools down, the job waits and is tried again", async () => {
    await open();
    const jobId = await h.submit("hello");
    await h.quiet();
    h.provider.calls[0]!.fail({ kind: "capacity" });
    await h.quiet();
    expect((await h.context.scheduler.snapshot()).deployments[0]!.state).toBe("cooling_down");
    expect(h.provider.calls).toHaveLength(1);
    await h.advance(5 * 60_000);
    h.provider.calls[1]!.answer();
    await h.quiet();
    expect(await h.ends(jobId)).toEqual(["capacity", "completed"]);
  });

  test("misconfigured: jobs wait, and everybody can read why", async () => {
    await open();
    const jobId = await h.submit("hello");
    await h.quiet();
    h.provider.calls[0]!.fail({ kind: "misconfigured", message: "The model is Legacy. Use nova-2-lite." });
    await h.quiet();
    expect(await h.record(jobId)).toMatchObject({
      state: "queued",
      attempts: [{ end: { error: { message: "The model is Legacy. Use nova-2-lite." } } }],
    });
    expect(await h.context.scheduler.explain(jobId)).toMatchObject({
      state: "waiting",
      waitingOn: { kind: "out_of_service", reason: "The model is Legacy. Use nova-2-lite." },
    });
  });

  test("transient: tried again with growing pauses; listeners are told to start over", async () => {
    await open();
    const jobId = await h.submit("hello");
    const events = h.listen(jobId);
    await h.quiet();
    h.provider.calls[0]!.stream("half an ans");
    h.provider.calls[0]!.fail({ kind: "transient", maybeBilled: true });
    await h.advance(499);
    expect(h.provider.calls).toHaveLength(1);
    await h.advance(1);
    expect(h.provider.calls).toHaveLength(2);
    h.provider.calls[1]!.stream("a whole answer");
    h.provider.calls[1]!.answer({ text: "a whole answer" });
    await h.quiet();
    expect(events.filter((e) => e.type !== "state")).toMatchObject([
      { type: "tokens", attempt: 1, index: 0, text: "half an ans" },
      { type: "restart", attempt: 2 },
      { type: "tokens", attempt: 2, index: 0, text: "a whole answer" },
    ]);
    expect(await h.ends(jobId)).toEqual(["transient", "completed"]);
  });

  test("transient three times: the job fails with the last words", async () => {
    await open({ respond: (call) => call.fail({ kind: "transient", message: "connection reset" }) });
    const jobId = await h.submit("hello");
    await h.advance(10 * 60_000);
    expect((await h.record(jobId)).outcome?.error).toMatchObject({
      code: "tries_exhausted",
      message: expect.stringContaining("connection reset"),
    });
    expect(h.provider.calls).toHaveLength(3);
  });

  test("permanent: the job fails at once with the provider's own message", async () => {
    await open();
    const jobId = await h.submit("hello");
    await h.quiet();
    h.provider.calls[0]!.fail({ kind: "permanent", code: "provider_rejected", message: "Malformed input." });
    await h.quiet();
    expect((await h.record(jobId)).outcome).toMatchObject({
      status: "failed",
      error: { code: "provider_rejected", message: "Malformed input." },
      attempt: 1,
    });
  });

  test("that the provider did not estimatePosition is logged and tried again", async () => {
    await open();
    const jobId = await h.submit("hello");
    await h.quiet();
    h.provider.calls[0]!.throw(new TypeError("undefined is not a function"));
    await h.advance(1000);
    expect(h.complaints.join()).toContain("undefined is not a function");
    expect((await h.record(jobId)).attempts[0]!.end?.error?.message).not.toContain("undefined");
    expect(h.provider.calls).toHaveLength(2);
  });
});

describe("what is found when an attempt begins", () => {
  test("a job that has ended is dropped without a call", async () => {
    await open({ file: { worker: { concurrency: 1 } } });
    const [first, second] = [await h.submit("first"), await h.submit("second")];
    await h.quiet();
    await h.context.store.finish("UAT", { jobId: second, status: "cancelled", at: 1 });
    h.provider.calls[0]!.answer();
    await h.quiet();
    expect((await h.record(first)).state).toBe("completed");
    expect(h.provider.calls).toHaveLength(1);
    expect((await h.context.scheduler.snapshot()).running).toBe(0);
  });

  test("a job that the store does not know is dropped without a call", async () => {
    await open();
    const jobId = newJobId();
    await h.context.scheduler.enqueue([
      {
        jobId,
        environment: "UAT",
        tenant: "default",
        priority: "standard",
        models: ["llama"],
        tokens: { input: 1, output: 1 },
        exact: true,
        order: 1,
      },
    ]);
    await h.quiet();
    expect(h.provider.calls).toHaveLength(0);
    expect(await h.context.scheduler.explain(jobId)).toEqual({ state: "absent" });
  });

  test("an unreachable store delays the call and loses nothing", async () => {
    let away = true;
    await open({
      store: (real) => ({
        beginAttempt: (begin) =>
          away ? Promise.reject(new SluiceError("unavailable", "The disk is gone.")) : real.beginAttempt(begin),
      }),
    });
    const jobId = await h.submit("hello");
    await h.advance(60_000);
    expect(h.provider.calls).toHaveLength(0);
    away = false;
    await h.advance(10_000);
    h.provider.calls[0]!.answer();
    await h.quiet();
    expect(await h.ends(jobId)).toEqual(["completed"]);
  });

  test("a job that no quota can ever admit fails with the numbers", async () => {
    await open();
    const file = {
      models: oneModel([{ unit: "tokens", per: "minute", limit: 150 }]),
      scheduler: { missingModelWaitMs: 60_000 },
    };
    const jobId = await h.submit("word ".repeat(100));
    await h.quiet();
    await h.abandon();
    await open({ after: h, file });
    await h.quiet();
    expect((await h.record(jobId)).outcome).toBeUndefined();
    await h.advance(60_000);
    expect((await h.record(jobId)).outcome?.error).toMatchObject({
      code: "exceeds_quota",
      message: expect.stringContaining("150"),
    });
  });
});
