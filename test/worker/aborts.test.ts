// What cuts a running call off: cancelling, a deadline, a lost lease, the end of the process. Real store, scheduler and
// events; time stands still until a test moves it.
import { beforeEach, describe, expect, test } from "vitest";
import { SluiceError } from "../../src/domain/errors.ts";
import { keylessCaller } from "../../src/jobs/caller.ts";
import { cancel } from "../../src/jobs/control/cancel.ts";
import { type Harness, type HarnessOptions, oneModel, runningWorkers, states } from "./support/harness.ts";

let h: Harness;
const openRunning = runningWorkers();
const open = async (options?: HarnessOptions) => {
  h = await openRunning(options);
};

describe("cutting a call off", () => {
  test("cancelled while running: the call is aborted, the outcome stands, the reservation stays", async () => {
    await open({ file: { models: oneModel([{ unit: "tokens", per: "minute", limit: 10_000 }]) } });
    const jobId = await h.submit("hello");
    await h.quiet();
    const { used } = (await h.context.scheduler.snapshot()).quotas[0]!;
    await cancel(h.context, jobId, keylessCaller);
    await h.quiet();
    expect(h.provider.calls[0]!.aborted).toBe(true);
    expect((await h.record(jobId)).outcome?.status).toBe("cancelled");
    expect(await h.ends(jobId)).toEqual(["unknown"]);
    expect((await h.context.scheduler.snapshot()).quotas[0]!.used).toBe(used);
  });

  test("a deadline while running: aborted and expired at that moment", async () => {
    await open();
    const jobId = await h.submit("hello", { expiresInMs: 30_000 });
    await h.advance(29_999);
    expect(h.provider.calls[0]!.aborted).toBe(false);
    await h.advance(1);
    expect(h.provider.calls[0]!.aborted).toBe(true);
    expect((await h.record(jobId)).outcome).toMatchObject({ status: "expired", error: { code: "expired" } });
    expect(await h.ends(jobId)).toEqual(["unknown"]);
  });

  test("a deadline that passed before the call: it is never made", async () => {
    await open({
      store: (real, time) => ({
        async beginAttempt(begin) {
          const result = await real.beginAttempt(begin);
          time.stall(400);
          return result;
        },
      }),
    });
    const jobId = await h.submit("hello", { expiresInMs: 300 });
    await h.quiet();
    expect(h.provider.calls).toHaveLength(0);
    expect((await h.record(jobId)).outcome?.status).toBe("expired");
    expect(await h.ends(jobId)).toEqual(["not_sent"]);
  });

  test("A1: a lease that is lost aborts no call: its answer is stored", async () => {
    await open({ scheduler: () => ({ renew: async (leases) => leases.map(() => "lost" as const) }) });
    const jobId = await h.submit("late");
    await h.quiet();
    await h.worker.renewLeases();
    await h.quiet();
    expect(h.provider.calls[0]!.aborted).toBe(false);
    h.provider.calls[0]!.answer({ text: "paid for" });
    await h.quiet();
    expect((await h.record(jobId)).outcome).toMatchObject({ status: "completed", text: "paid for" });
    expect(await h.ends(jobId)).toEqual(["completed"]);
  });

  test("a lease that is lost because the job has ended aborts the call, though no event said so", async () => {
    await open();
    const jobId = await h.submit("cancelled elsewhere");
    await h.quiet();
    await h.context.store.finish("UAT", { jobId, status: "cancelled", at: 1 });
    await h.context.scheduler.remove([jobId]);
    await h.worker.renewLeases();
    await h.quiet();
    expect(h.provider.calls[0]!.aborted).toBe(true);
    expect(await h.ends(jobId)).toEqual(["unknown"]);
  });

  test("A1: a process that was frozen for longer than its leases makes no call again", async () => {
    await open();
    const jobs = await Promise.all([
      h.submit("a"),
      h.submit("b", { onUnknown: "fail" }),
      h.submit("c", { expiresInMs: 2 * h.context.settings.scheduler.leaseMs }),
    ]);
    await h.quiet();
    h.time.stall(3 * h.context.settings.scheduler.leaseMs);
    // Whatever runs first on waking: a job that arrives, and every timer, before any socket is read.
    await h.submit("new");
    await h.quiet();
    await h.advance(1_000);
    expect(h.provider.calls.map(({ prompt }) => prompt).sort()).toEqual(["a", "b", "c", "new"]);
    for (const call of h.provider.calls) call.answer();
    await h.quiet();
    for (const jobId of jobs) {
      expect((await h.record(jobId)).outcome?.status).toBe("completed");
      expect(await h.ends(jobId)).toEqual(["completed"]);
    }
    expect(h.complaints).toEqual([]);
  });

  test("leases are renewed for as long as a call runs", async () => {
    await open();
    const jobId = await h.submit("hello");
    await h.advance(10 * h.context.settings.scheduler.leaseMs);
    expect(h.provider.calls).toHaveLength(1);
    h.provider.calls[0]!.answer();
    await h.quiet();
    expect(await h.ends(jobId)).toEqual(["completed"]);
  });
});

describe("stopping", () => {
  beforeEach(() => open({ file: { worker: { concurrency: 2, drainMs: 5000 } } }));

  test("waits for running calls and takes nothing more", async () => {
    const jobs = await Promise.all(["a", "b", "c"].map((prompt) => h.submit(prompt)));
    await h.quiet();
    const stopped = h.worker.stop();
    await h.advance(4000);
    for (const call of h.provider.calls) call.answer();
    await h.quiet();
    await stopped;
    const result = await Promise.all(jobs.map(async (job) => (await h.record(job)).state));
    expect(result.sort()).toEqual(["completed", "completed", "queued"]);
    expect(h.provider.calls).toHaveLength(2);
  });

  test("aborts what runs too long, and hands it back; that counts as a try", async () => {
    const jobId = await h.submit("a");
    const events = h.listen(jobId);
    await h.quiet();
    const stopped = h.worker.stop();
    await h.advance(5000);
    await stopped;
    expect(h.provider.calls[0]!.aborted).toBe(true);
    expect(await h.ends(jobId)).toEqual(["unknown"]);
    expect((await h.record(jobId)).state).toBe("queued");
    expect(states(events)).toEqual(["in_progress", "queued"]);
  });

  test("is the same promise however often it is asked for", async () => {
    expect(h.worker.stop()).toBe(h.worker.stop());
    await h.worker.stop();
  });
});

test("an answer that a dead store never takes does not keep the process from ending", async () => {
  await open({
    store: () => ({ finish: () => Promise.reject(new SluiceError("unavailable", "The disk is gone.")) }),
  });
  await h.submit("hello");
  await h.quiet();
  h.provider.calls[0]!.answer();
  const stopped = h.worker.stop();
  await h.advance(h.context.settings.worker.drainMs + 5000);
  await stopped;
  expect(h.complaints.join()).toContain("failed to end an attempt");
});
