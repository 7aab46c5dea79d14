// What the reconciler finds and mends: jobs that the queue lacks, and deadlines that passed.
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Scheduler } from "../../../src/scheduler/scheduler.ts";
import { addRecent, addUnfinished, expireDue, startReconciler } from "../../../src/worker/recovery/reconciler.ts";
import { testMetrics } from "../../support/test-metrics.ts";
import { type Harness, openHarness } from "../support/harness.ts";

let h: Harness;
/** While true, jobs are accepted but get lost on their way to the queue. */
let losing = false;

beforeEach(async () => {
  losing = false;
  h = await openHarness({
    file: { worker: { concurrency: 1 } },
    scheduler: (real): Partial<Scheduler> => ({
      enqueue: (entries) => (losing ? Promise.reject(new Error("a lost connection")) : real.enqueue(entries)),
    }),
  });
  h.worker.start();
  await h.quiet();
});
afterEach(() => h.close());

async function submitLost(prompt: string): Promise<string> {
  losing = true;
  const jobId = await h.submit(prompt);
  losing = false;
  return jobId;
}

test("a job that was accepted but not queued runs within 10 s", async () => {
  const stop = startReconciler(h.context);
  const jobId = await submitLost("lost");
  await h.advance(4000);
  expect(h.provider.calls).toHaveLength(0);
  await h.advance(6100);
  expect(h.provider.calls.map((call) => call.prompt)).toEqual(["lost"]);
  h.provider.calls[0]!.answer();
  await h.quiet();
  expect((await h.record(jobId)).state).toBe("completed");
  await stop();
});

test("metrics count what was repaired, and not what was looked at", async () => {
  const { metrics, samples } = testMetrics(h.context.settings);
  const context = { ...h.context, metrics };
  await h.submit("running");
  await submitLost("lost");
  const queued = await h.submit("queued", { expiresInMs: 1000 });
  await h.advance(6000);
  await addRecent(context);
  await addUnfinished(context);
  expect(await expireDue(context)).toEqual([queued]);
  expect(await samples("sluice_reconciled_total")).toEqual(['{kind="expired"} 1', '{kind="requeued"} 1']);
});

test("the slow walk finds what is older than ten minutes", async () => {
  const jobId = await submitLost("old");
  await h.advance(11 * 60_000);
  await addRecent(h.context);
  expect(await h.context.scheduler.explain(jobId)).toEqual({ state: "absent" });
  expect(await addUnfinished(h.context)).toBeUndefined();
  expect(await h.context.scheduler.explain(jobId)).not.toEqual({ state: "absent" });
});

test("jobs that wait or run are not touched, however often they are looked at", async () => {
  const [running, waiting] = [await h.submit("running"), await h.submit("waiting")];
  await h.advance(6000);
  for (let round = 0; round < 3; round++) {
    await addRecent(h.context);
    await addUnfinished(h.context);
  }
  await h.quiet();
  expect(h.provider.calls).toHaveLength(1);
  expect((await h.context.scheduler.explain(running)).state).toBe("running");
  expect((await h.context.scheduler.explain(waiting)).state).toBe("waiting");
});

test("a deadline ends jobs that wait and jobs that run, and leaves the others", async () => {
  const running = await h.submit("running", { expiresInMs: 1000 });
  const waiting = await h.submit("waiting", { expiresInMs: 1000 });
  const later = await h.submit("later", { expiresInMs: 60_000 });
  const never = await h.submit("never");
  const events = h.listen(waiting);
  await h.quiet();
  h.time.stall(1000);
  expect((await expireDue(h.context)).sort()).toEqual([running, waiting].sort());
  await h.quiet();
  for (const jobId of [running, waiting]) {
    expect((await h.record(jobId)).outcome).toMatchObject({ status: "expired", error: { code: "expired" } });
  }
  expect(events).toMatchObject([{ type: "state", state: "expired" }]);
  expect(h.provider.calls[0]!.aborted).toBe(true);
  expect(h.provider.calls[1]!.prompt).toBe("later");
  for (const jobId of [later, never]) expect((await h.record(jobId)).outcome).toBeUndefined();
  expect(await expireDue(h.context)).toEqual([]);
});

test("an error of the store is logged, and the next round goes on", async () => {
  const stop = startReconciler({
    ...h.context,
    store: { ...h.context.store, unfinished: () => Promise.reject(new Error("a fault of the disk")) },
  });
  await h.advance(3000);
  expect(h.complaints.filter((line) => line.includes("a fault of the disk")).length).toBeGreaterThan(1);
  await stop();
});

test("a store that is slow to say that there is nothing to do is asked a tenth of the time", async () => {
  const { clock, store } = h.context;
  let lookedMs = 0;
  const unfinished: typeof store.unfinished = (query) => {
    lookedMs += 500;
    h.time.stall(500);
    return store.unfinished(query);
  };
  const startedAt = clock.now();
  const stop = startReconciler({ ...h.context, store: { ...store, unfinished } });
  while (clock.now() < startedAt + 120_000) await h.advance(500);
  // Each of the two kinds of rounds has its own rest.
  expect(lookedMs / (clock.now() - startedAt)).toBeLessThan(0.25);
  expect(lookedMs).toBeGreaterThan(10_000);
  await stop();
});
