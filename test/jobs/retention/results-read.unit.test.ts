// When all pages of a batch's results count as read.
import { expect, test } from "vitest";
import { ResultsRead } from "../../../src/jobs/retention/results-read.ts";

const id = "batch_1";

test("pages add up in their order, to the last one", () => {
  const read = new ResultsRead();
  expect(read.add(id, { after: 0, last: 7, results: 5, isLast: false })).toBeUndefined();
  expect(read.add("batch_2", { after: 0, last: 3, results: 3, isLast: true })).toBe(3);
  expect(read.add(id, { after: 7, last: 9, results: 2, isLast: true })).toBe(7);
});

test("a page whose predecessor was not read counts for nothing, and the first page begins anew", () => {
  const read = new ResultsRead();
  expect(read.add(id, { after: 9, last: 9, results: 0, isLast: true })).toBeUndefined();
  read.add(id, { after: 0, last: 5, results: 5, isLast: false });
  expect(read.add(id, { after: 6, last: 9, results: 3, isLast: true })).toBeUndefined();
  read.add(id, { after: 0, last: 4, results: 4, isLast: false });
  expect(read.add(id, { after: 5, last: 9, results: 4, isLast: true })).toBeUndefined();
  expect(read.add(id, { after: 4, last: 9, results: 5, isLast: true })).toBe(9);
});

test("the oldest of very many batches is forgotten", () => {
  const read = new ResultsRead();
  const page = { after: 0, last: 1, results: 1, isLast: false };
  for (let n = 0; n <= 1_000; n++) read.add(`batch_${n}`, page);
  const end = { after: 1, last: 2, results: 1, isLast: true };
  expect(read.add("batch_0", end)).toBeUndefined();
  expect(read.add("batch_1", end)).toBe(2);
});
