// Which process has a batch: one at a time, and another one once the first does not come back.
import { expect } from "vitest";
import { newBatchId } from "../../src/domain/batch.ts";
import { BatchLeases } from "../../src/worker/batches/batch-lease.ts";
import { test } from "../support/fixtures.ts";
import { type TestStore, testSettings } from "../support/jobs-context.ts";

let shared: TestStore;
test.beforeAll(({ store }) => {
  shared = store;
});

let now = 1_800_000_000_000;
const clock = { now: () => now, wall: () => now };
const slotMs = 5_000;

function leasesOf(workerId: string, distributed = true): BatchLeases {
  const backends = { mongoUrl: "mongodb://x", redisUrl: "redis://x" };
  const settings = { ...testSettings(), ...(distributed && { distributed: backends }) };
  return new BatchLeases({ store: shared.store, clock, settings, workerId });
}

test("one process has a batch as long as it comes back, then another one", async () => {
  const batch = newBatchId();
  const [a, b] = [leasesOf("a"), leasesOf("b")];
  const first = await Promise.all([a.hold("UAT", batch), b.hold("UAT", batch)]);
  expect(first.toSorted()).toEqual([false, true]);
  const [owner, other] = first[0] ? [a, b] : [b, a];
  // Past the end of many slots, as long as it asks often enough.
  for (let i = 0; i < 20; i++) {
    now += slotMs / 4;
    expect(await owner.hold("UAT", batch)).toBe(true);
    expect(await other.hold("UAT", batch)).toBe(false);
  }
  now += 3 * slotMs;
  expect(await other.hold("UAT", batch)).toBe(true);
  expect(await owner.hold("UAT", batch)).toBe(false);
});

test("a process that lost the answer of its claim has it all the same; batches do not mix", async () => {
  const [batch, another] = [newBatchId(), newBatchId()];
  expect(await leasesOf("a").hold("UAT", batch)).toBe(true);
  expect(await leasesOf("a").hold("UAT", batch)).toBe(true);
  expect(await leasesOf("b").hold("UAT", batch)).toBe(false);
  expect(await leasesOf("b").hold("UAT", another)).toBe(true);
});

test("old leases are swept, present ones are not; where there is one process there are none", async () => {
  const batch = newBatchId();
  const leases = leasesOf("a");
  await leases.hold("PROD", batch);
  const records = async () =>
    (
      await shared.store.records.list(
        { collection: "batches", environment: "PROD" },
        { from: "claim/", to: "claim0", limit: 100 },
      )
    ).items.length;
  await leases.sweep("PROD");
  expect(await records()).toBe(1);
  now += 60 * slotMs;
  await leases.sweep("PROD");
  expect(await records()).toBe(0);
  expect(await leasesOf("a", false).hold("PROD", batch)).toBe(true);
  expect(await records()).toBe(0);
});
