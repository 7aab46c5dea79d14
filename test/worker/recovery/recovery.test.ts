// What a start makes of what a kill left behind. `abandon` is the kill: nothing is ended or handed back.
import { afterEach, expect, test } from "vitest";
import { keylessCaller } from "../../../src/jobs/caller.ts";
import { pause } from "../../../src/jobs/control/pauses.ts";
import { loadLearnedLimits, saveLearnedLimits } from "../../../src/worker/recovery/learned-limits.ts";
import { deployment, type Harness, type HarnessOptions, oneModel, openHarness } from "../support/harness.ts";

let h: Harness;
afterEach(() => h.close());

async function restart(options: HarnessOptions = {}): Promise<void> {
  if (h && options.after === undefined) await h.abandon();
  h = await openHarness({ ...options, after: options.after ?? h });
  h.worker.start();
  await h.quiet();
}

async function start(options: HarnessOptions = {}): Promise<void> {
  h = await openHarness(options);
  h.worker.start();
  await h.quiet();
}

test("waiting and running jobs run again; ended ones never do", async () => {
  await start();
  const [done, running] = [await h.submit("done"), await h.submit("running")];
  await h.quiet();
  h.provider.calls.find((call) => call.prompt === "done")!.answer();
  await h.quiet();
  await restart();
  expect(h.provider.calls.map((call) => call.prompt)).toEqual(["running"]);
  h.provider.calls[0]!.answer();
  await h.quiet();
  expect((await h.record(done)).attempts).toHaveLength(1);
  const { state, attempts } = await h.record(running);
  expect(state).toBe("completed");
  expect(attempts.map((a) => a.end?.result)).toEqual([undefined, "completed"]);
});

test("jobs run again in the order in which they were submitted", async () => {
  await start({ file: { worker: { concurrency: 1 } } });
  const prompts = ["a", "b", "c", "d"];
  for (const prompt of prompts) await h.submit(prompt);
  await h.quiet();
  await restart({ file: { worker: { concurrency: 1 } }, respond: (call) => call.answer() });
  expect(h.provider.calls.map((call) => call.prompt)).toEqual(prompts);
});

test("a prompt that kills its process fails after three tries", async () => {
  await start();
  const jobId = await h.submit("poison");
  await h.quiet();
  for (let kill = 1; kill <= 3; kill++) {
    expect(h.provider.calls).toHaveLength(1);
    await restart();
  }
  expect(h.provider.calls).toHaveLength(0);
  const { outcome, attempts } = await h.record(jobId);
  expect(attempts).toHaveLength(3);
  expect(outcome).toMatchObject({ status: "failed", error: { code: "tries_exhausted" } });
});

test("on_unknown: fail is not called again after a kill", async () => {
  await start();
  const jobId = await h.submit("once", { onUnknown: "fail" });
  await h.quiet();
  await restart();
  expect(h.provider.calls).toHaveLength(0);
  expect((await h.record(jobId)).outcome?.error?.code).toBe("unknown_end");
});

test("a store that fails during the rebuild delays it; submits are accepted meanwhile", async () => {
  await start();
  await h.submit("before");
  let failing = true;
  await h.abandon();
  await restart({
    after: h,
    respond: (call) => call.answer(),
    store: (real) => ({
      unfinished: (query) => (failing ? Promise.reject(new Error("a fault of the disk")) : real.unfinished(query)),
    }),
  });
  const meanwhile = await h.submit("meanwhile");
  expect(h.provider.calls).toHaveLength(0);
  failing = false;
  await h.advance(10_000);
  expect(h.provider.calls.map((call) => call.prompt).sort()).toEqual(["before", "meanwhile"]);
  expect((await h.record(meanwhile)).state).toBe("completed");
});

test("what was learned about a quota outlives the process", async () => {
  const file = { models: oneModel([{ unit: "requests", per: "minute", limit: 100 }]) };
  await start({ file });
  await h.submit("hello");
  await h.quiet();
  h.provider.calls[0]!.fail({ kind: "throttled", throttle: "requests" });
  await h.quiet();
  const [learned] = (await h.context.scheduler.snapshot()).quotas;
  expect(learned!.effectiveLimit).toBeLessThan(100);
  expect(learned!.closedForMs).toBeGreaterThan(0);
  await saveLearnedLimits(h.context);
  await restart({ file });
  const [after] = (await h.context.scheduler.snapshot()).quotas;
  expect(after).toMatchObject({ effectiveLimit: learned!.effectiveLimit, effectiveBurst: learned!.effectiveBurst });
  expect(after!.throttledAgoMs).toBeGreaterThanOrEqual(learned!.throttledAgoMs!);
  expect(after!.closedForMs).toBeLessThanOrEqual(learned!.closedForMs!);
});

test("what is paused on record is paused before anything is granted", async () => {
  await start();
  const target = { tenant: "t", environment: "UAT" };
  await pause(h.context, target, keylessCaller);
  await restart();
  expect((await h.context.scheduler.snapshot()).paused).toEqual([target]);
});

test("a checkpoint that makes no sense is ignored", async () => {
  await start();
  await h.context.store.saveCheckpoint("learned-limits", [{ quota: 7 }, null, { quota: "q", effectiveLimit: 9 }, "x"]);
  expect(await loadLearnedLimits(h.context)).toEqual([{ quota: "q", effectiveLimit: 9 }]);
  await h.context.store.saveCheckpoint("learned-limits", "nonsense");
  expect(await loadLearnedLimits(h.context)).toEqual([]);
});

test("where other processes live: a call that leaves just after the queue was lost still counts, and is not repeated", async () => {
  const quotas = [{ unit: "requests" as const, per: "minute" as const, limit: 5 }];
  h = await openHarness({ file: { models: oneModel(quotas) } });
  h.context.settings.distributed = { mongoUrl: "", redisUrl: "" };
  const jobId = await h.submit("granted before");
  h.worker.start();
  await h.quiet();
  const { store, clock, scheduler, settings } = h.context;
  const attempt = {
    environment: "UAT",
    jobId,
    grant: "grant-of-another",
    deployment,
    model: "llama",
    worker: "another",
  };
  const reserved = { input: 5, output: 100 };
  await store.beginAttempt({ ...attempt, chargedAt: clock.wall(), reserved, maxFailedTries: 3 });
  await h.advance(settings.scheduler.sendWithinMs);
  expect(h.provider.calls).toEqual([]);
  expect((await scheduler.snapshot()).quotas).toMatchObject([{ used: 1 }]);
});
