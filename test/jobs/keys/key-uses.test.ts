// When keys were last used: noted at once, written at most once a minute, and seen by every process.
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { KeyUses, readUses } from "../../../src/jobs/keys/key-uses.ts";
import { openTestContext, type TestContext } from "../../support/jobs-context.ts";

let context: TestContext;
beforeAll(async () => {
  context = await openTestContext();
});
afterAll(() => context.close());

test("a use is written once a minute at most, and the last one wins", async () => {
  const { store } = context;
  let now = 1_000_000;
  const clock = { now: () => now, wall: () => now };
  const [one, other] = [new KeyUses(store, clock), new KeyUses(store, clock)];
  const put = vi.spyOn(store.records, "put");
  one.note("a");
  expect(await one.of(["a", "b"])).toEqual(new Map([["a", 1_000_000]]));
  expect(put).not.toHaveBeenCalled();
  await one.saveIfDue();
  expect(await other.of(["a", "b"])).toEqual(new Map([["a", 1_000_000]]));
  now += 59_000;
  one.note("a");
  one.note("a");
  await one.saveIfDue();
  expect(put).toHaveBeenCalledTimes(1);
  now += 1000;
  put.mockRejectedValueOnce(new Error("away"));
  await expect(one.saveIfDue()).rejects.toThrow("away");
  await one.save();
  expect(await readUses(store, ["a"])).toEqual(new Map([["a", 1_059_000]]));
  now += 60_000;
  put.mockClear();
  await one.saveIfDue();
  expect(put).not.toHaveBeenCalled();
  put.mockRestore();
});
