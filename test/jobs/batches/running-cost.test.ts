// The cost of a running batch: exact while every ended line is in the sample, an estimate with a bounded read after that.
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { lineJobId } from "../../../src/domain/batch.ts";
import { createBatchCosts } from "../../../src/jobs/batches/running-cost.ts";
import { batchRequestAt } from "../../batches/support.ts";
import { makeJob } from "../../store/conformance/support.ts";
import { openTestContext, type TestContext } from "../../support/jobs-context.ts";

let context: TestContext;
beforeAll(async () => {
  context = await openTestContext();
});
afterAll(() => context.close());

const none = { queued: 0, in_progress: 0, completed: 0, failed: 0, expired: 0, cancelled: 0 };

/** Stores a batch of which the first lines have ended, each for its own number of billionths of a dollar. */
async function batchOf(lines: number, ended: number, costOf: (line: number) => number) {
  const request = batchRequestAt(Date.now());
  const ids = Array.from({ length: lines }, (_, i) => lineJobId(request.id, i + 1));
  const submittedAt = request.createdAt;
  await context.store.insertMany(ids.map((id) => makeJob({ id, submittedAt, batchId: request.id })));
  const finished = ids
    .slice(0, ended)
    .map((jobId, i) =>
      context.store.finish("UAT", { jobId, status: "completed", text: "x", at: 1, costNanoUsd: costOf(i + 1) }),
    );
  await Promise.all(finished);
  return { request, steps: { validated: { at: 1, lines, lastLine: lines, errors: [] } } };
}

test("a small batch, whose every line is read", async () => {
  const batch = await batchOf(10, 4, (line) => line);
  const costs = createBatchCosts(context);
  expect(await costs.of(batch, none)).toBeUndefined();
  const cost = { soFarNanoUsd: 10, expectedNanoUsd: 25, sampled: 4 };
  expect(await costs.of(batch, { ...none, completed: 4, queued: 6 })).toEqual(cost);
  const over = { at: 1, status: "completed" as const, counts: none, usage: { input: 0, cached: 0, output: 0 } };
  const ended = { ...batch, steps: { ...batch.steps, ended: { ...over, costNanoUsd: 10 } } };
  expect(await costs.of(ended, { ...none, completed: 10 })).toBeUndefined();
});

test("a larger batch: lines of all parts, few reads, shared for a while", async () => {
  const batch = await batchOf(1200, 1000, (line) => (line <= 500 ? 1000 : 3000));
  const read = vi.spyOn(context.store, "lines");
  let now = 0;
  const costs = createBatchCosts({ ...context, clock: { ...context.clock, now: () => now } });
  const counts = { ...none, completed: 1000, queued: 200 };
  const cost = { soFarNanoUsd: 2_000_000, expectedNanoUsd: 2_400_000, sampled: 500 };
  expect(await Promise.all([costs.of(batch, counts), costs.of(batch, counts)])).toEqual([cost, cost]);
  now = 9_999;
  await costs.of(batch, counts);
  expect(read).toHaveBeenCalledTimes(10);
  expect(read.mock.calls.every(([{ limit }]) => limit === 50)).toBe(true);
  now = 10_000;
  await costs.of(batch, counts);
  expect(read).toHaveBeenCalledTimes(20);
});

test("a read that fails is repeated by the next call", async () => {
  const batch = await batchOf(2, 1, () => 5);
  const costs = createBatchCosts(context);
  vi.spyOn(context.store, "lines").mockRejectedValueOnce(new Error("away"));
  const counts = { ...none, completed: 1, queued: 1 };
  await expect(costs.of(batch, counts)).rejects.toThrow("away");
  expect(await costs.of(batch, counts)).toEqual({ soFarNanoUsd: 5, expectedNanoUsd: 10, sampled: 1 });
});
