import { expect, test, vi } from "vitest";
import { isUuid, newJobId } from "../../src/domain/ids.ts";

test("job ids are UUIDv7 of now, and increase strictly even within a millisecond", () => {
  const before = Date.now();
  const ids = Array.from({ length: 100_000 }, newJobId);
  expect(ids.every(isUuid)).toBe(true);
  expect(ids.every((id) => id[14] === "7")).toBe(true);
  expect(ids.every((id, i) => i === 0 || ids[i - 1]! < id)).toBe(true);
  const first = Number.parseInt(ids[0]!.replace("-", "").slice(0, 12), 16);
  expect(first).toBeGreaterThanOrEqual(before);
  expect(first).toBeLessThanOrEqual(Date.now());
});

test("a clock that steps back does not make ids go back", () => {
  const id = newJobId();
  vi.spyOn(Date, "now").mockReturnValue(Date.now() - 3_600_000);
  expect(newJobId() > id).toBe(true);
  vi.restoreAllMocks();
});

test("the random part differs from id to id", () => {
  const tails = Array.from({ length: 10_000 }, () => newJobId().slice(-11));
  expect(new Set(tails).size).toBe(tails.length);
});
