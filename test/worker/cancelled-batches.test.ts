// Lines of a batch that was cancelled while their calls ran: whatever becomes of those calls, none is made again.
import { expect, test } from "vitest";
import { newBatchId } from "../../src/domain/batch.ts";
import { newJobId } from "../../src/domain/ids.ts";
import { isCancelled, takeStep } from "../../src/jobs/batches/batch-records.ts";
import { CancelledBatches } from "../../src/jobs/batches/cancelled-batches.ts";
import { queueEntryOf } from "../../src/jobs/queue-entry.ts";
import { makeJob } from "../store/conformance/support.ts";
import { type Harness, type HarnessOptions, oneModel, runningWorkers } from "./support/harness.ts";

const open = runningWorkers();

/** A line whose call runs, of a batch that is then cancelled. */
async function cancelledLine(options: HarnessOptions = {}): Promise<{ h: Harness; jobId: string; batchId: string }> {
  const h = await open(options);
  const batchId = newBatchId();
  const job = makeJob({ id: newJobId(), batchId, submittedAt: h.time.wall() });
  await h.context.store.insertMany([job]);
  await h.context.scheduler.enqueue([queueEntryOf(job, h.time.wall())]);
  await h.quiet();
  expect(h.provider.calls).toHaveLength(1);
  await takeStep(h.context, { id: batchId, environment: "UAT" }, "cancelled", { at: h.time.wall() });
  return { h, jobId: job.id, batchId };
}

test("A4: a call that fails with 500 after the cancel is not made again", async () => {
  const { h, jobId } = await cancelledLine();
  h.provider.calls[0]!.fail({ kind: "transient", maybeBilled: true });
  await h.advance(120_000);
  expect(h.provider.calls).toHaveLength(1);
  const { outcome } = await h.record(jobId);
  expect(outcome).toMatchObject({ status: "cancelled" });
  expect(await h.ends(jobId)).toEqual(["transient", "not_sent"]);
});

test("A4: a throttled call is not made again", async () => {
  const { h, jobId } = await cancelledLine();
  h.provider.calls[0]!.fail({ kind: "throttled", throttle: "requests" });
  await h.advance(120_000);
  expect(h.provider.calls).toHaveLength(1);
  expect((await h.record(jobId)).outcome?.status).toBe("cancelled");
});

test("A4: after a kill nothing is called again, and the lost call counts as an estimate", async () => {
  const before = await cancelledLine();
  await before.h.abandon();
  const h = await open({ after: before.h });
  await h.advance(1_000);
  expect(h.provider.calls).toEqual([]);
  const { outcome, attempts } = await h.record(before.jobId);
  expect(outcome?.status).toBe("cancelled");
  expect(attempts.map(({ end }) => end?.result)).toEqual([undefined, "not_sent"]);
});

test("A4: after a stop nothing is called again", async () => {
  const before = await cancelledLine({ file: { models: oneModel(), worker: { drainMs: 1_000 } } });
  const stopped = before.h.worker.stop();
  await before.h.advance(1_000);
  await stopped;
  await before.h.abandon();
  const h = await open({ after: before.h });
  await h.advance(1_000);
  expect(h.provider.calls).toEqual([]);
  expect((await h.record(before.jobId)).outcome?.status).toBe("cancelled");
});

test("A4: a lease that was lost to another worker ends in no second call", async () => {
  const { h, jobId } = await cancelledLine();
  const [first] = h.provider.calls;
  first!.deaf = true;
  h.time.stall(2 * h.context.settings.scheduler.leaseMs);
  // Another worker is granted the job before this one wakes.
  const { settings, scheduler } = h.context;
  const taken = await scheduler.acquire({ operation: "other", worker: "other", max: 5 });
  expect(taken.grants).toMatchObject([{ jobId }]);
  await h.advance(3 * settings.scheduler.leaseMs);
  expect(h.provider.calls).toHaveLength(1);
  first!.answer({ usage: { input: 7, output: 2 } });
  await h.quiet();
  const { outcome, attempts } = await h.record(jobId);
  expect(["cancelled", "completed"]).toContain(outcome?.status);
  expect(attempts[0]!.end).toMatchObject({ result: "completed", usage: { input: 7, output: 2 } });
});

test("A4: an answer that comes after the cancel is stored", async () => {
  const { h, jobId } = await cancelledLine();
  h.provider.calls[0]!.answer();
  await h.quiet();
  expect((await h.record(jobId)).outcome?.status).toBe("completed");
});

test("A4: lines of one batch that ask at once share a read, and see a cancel that came before they asked", async () => {
  const h = await open();
  const id = newBatchId();
  let reads = 0;
  const records = new Proxy(h.context.store.records, {
    get(target, key) {
      if (key === "get") reads++;
      return Reflect.get(target, key);
    },
  });
  const batches = new CancelledBatches({
    ...h.context,
    store: { ...h.context.store, records } as typeof h.context.store,
  });
  const before = Array.from({ length: 50 }, () => batches.has("UAT", id));
  await takeStep(h.context, { id, environment: "UAT" }, "cancelled", { at: 1 });
  const after = Array.from({ length: 50 }, () => batches.has("UAT", id));
  await Promise.all(before);
  expect(await Promise.all(after)).toEqual(after.map(() => true));
  expect(await isCancelled(h.context, "UAT", id)).toBe(true);
  expect(reads).toBeLessThanOrEqual(3);
});
