// The figures of the dashboard's plots: what stands alone, what a table shows, and how bars are stacked.
import { expect, test } from "vitest";
import { rowsOf, singles, stacked } from "../../web/src/plot-data.ts";

test("a value without neighbours is drawn as a point", () => {
  expect(singles([5])).toEqual([0]);
  expect(singles([null, 5, null, 1, 2, undefined, 0])).toEqual([1, 6]);
  expect(singles([1, 2, 3])).toBeNull();
  expect(singles([null, null])).toBeNull();
});

test("a table begins with the newest time and leaves out times without a value", () => {
  expect(
    rowsOf(
      [10, 20, 30, 40],
      [
        [1, null, null, 0],
        [2, null, 3, undefined],
      ],
    ),
  ).toEqual([
    { at: 40, values: [0, undefined] },
    { at: 30, values: [null, 3] },
    { at: 10, values: [1, 2] },
  ]);
  expect(rowsOf([1], [[null]])).toEqual([]);
});

test("stacked bars: each column contains those after it", () => {
  expect(
    stacked([
      [1, null, 3],
      [10, 20, null],
      [100, null, null],
    ]),
  ).toEqual([
    [111, 20, 3],
    [110, 20, null],
    [100, null, null],
  ]);
});
