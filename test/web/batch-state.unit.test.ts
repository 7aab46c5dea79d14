// What the dashboard says of a batch: its state, and the errors of its file.
import { expect, test } from "vitest";
import { batchState, lineErrors } from "../../web/src/batch-state.ts";

const progress = { queued: 0, in_progress: 0, completed: 0, failed: 0, cancelled: 0, expired: 0 };
const state = (
  status: Parameters<typeof batchState>[0]["status"],
  [completed, failed, expired]: [number, number, number],
) =>
  batchState({
    status,
    request_counts: { total: completed + failed + expired, completed, failed: failed + expired },
    progress: { ...progress, completed, failed, expired },
  });

test("a batch whose lines all failed is not shown as completed", () => {
  expect(state("completed", [9, 0, 0])).toEqual({ state: "completed", words: "completed" });
  expect(state("completed", [0, 1200, 0])).toEqual({ state: "failed", words: "all lines failed" });
  expect(state("completed", [0, 0, 7])).toEqual({ state: "expired", words: "all lines expired" });
  expect(state("completed", [5, 1200, 1])).toEqual({ state: "partly_failed", words: "completed, 1,201 failed" });
  expect(state("in_progress", [0, 3, 0])).toEqual({ state: "in_progress", words: "in progress" });
});

test("errors with the same words are one row with the ranges of their lines", () => {
  const error = (line: number | null, message: string, param: string | null = null) => ({
    ...{ code: "invalid", message, param, line },
  });
  expect(
    lineErrors([
      ...[1, 2, 3, 9].map((line) => error(line, "no")),
      error(4, "no", "body"),
      error(null, "The file is empty."),
    ]),
  ).toEqual([
    { lines: "Lines 1 to 3, 9", param: null, message: "no", count: 4 },
    { lines: "Line 4", param: "body", message: "no", count: 1 },
    { lines: "The file", param: null, message: "The file is empty.", count: 1 },
  ]);
  const [odd] = lineErrors(Array.from({ length: 50 }, (_, i) => error(2 * i + 1, "no")));
  expect(odd!.lines).toBe("Lines 1, 3, 5, 7, 9 and 45 more");
});
