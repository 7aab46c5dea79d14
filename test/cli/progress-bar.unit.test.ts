// The progress of a batch: a bar that fits the terminal and is drawn in place, and plain lines elsewhere.
import { expect, test } from "vitest";
import { BatchProgressBar, barLine, plainLine, progressOf } from "../../src/cli/progress-bar.ts";
import { columnsOf } from "../../src/cli/terminal.ts";
import type { BatchResource } from "../../src/client/index.ts";

const full = {
  ...{ phase: "in_progress", done: 4_512, failed: 12, total: 10_000, perSecond: 38 },
  ...{ leftMs: 144_000, cost: { usd: 0.4213, exact: false } },
};

function batch(completed: number, fields: Partial<BatchResource> = {}): BatchResource {
  const progress = { queued: 0, in_progress: 0, completed, failed: 0, cancelled: 0, expired: 0 };
  return {
    ...{ id: "batch_1", object: "batch", endpoint: "/v1/chat/completions", status: "in_progress", environment: "UAT" },
    ...{ input_file_id: "file-1", completion_window: "24h", metadata: null, created_at: 0, progress },
    ...{ request_counts: { total: 100, completed, failed: 0 }, ...fields },
  };
}

test("at 80 columns the bar has everything", () => {
  const line = barLine(full, 79);
  expect(line).toBe("[######x········]  45%  4,512/10,000  12 failed  38/s  ETA 2 min 24 s  ~$0.4213");
  expect(columnsOf(line)).toBe(79);
});

test.each([79, 60, 40, 30, 20, 10])("in %i columns it fits; what matters least is left out first", (columns) => {
  const line = barLine(full, columns);
  expect(columnsOf(line)).toBeLessThanOrEqual(Math.max(columns, "45%  4,512/10,000".length));
  expect(line).toContain("4,512/10,000");
});

test("elsewhere it is a sentence", () => {
  expect(plainLine(full)).toBe("in_progress: 4,512 of 10,000 completed, 12 failed, 38/s, ETA 2 min 24 s, ~$0.4213");
  expect(plainLine({ phase: "uploading", done: 512, failed: 0, total: 2048 })).toBe("uploading 512B of 2kB");
  expect(plainLine({ phase: "validating", done: 0, failed: 0 })).toBe("validating");
});

test("the end comes from the service, or else from the rate", () => {
  const now = 1_000_000;
  expect(progressOf(batch(50, { expected_finish: 1_060, eta: 1_030 }), 5, now).leftMs).toBe(60_000);
  expect(progressOf(batch(50, { eta: 1_030 }), 5, now).leftMs).toBe(30_000);
  expect(progressOf(batch(50), 5, now).leftMs).toBe(10_000);
  expect(progressOf(batch(50), undefined, now).leftMs).toBeUndefined();
});

function drawn(isTTY: boolean, steps: [atMs: number, batch: BatchResource][]): string {
  let all = "";
  let now = 0;
  const bar = new BatchProgressBar({ write: (text) => (all += text), isTTY, columns: 60 }, () => now);
  for (const [at, each] of steps) {
    now = at;
    bar.batch(each);
  }
  bar.clear();
  return all;
}

test("on a terminal one line is drawn in place, whatever its colours, and is gone at the end", () => {
  const erase = "\r\u001b[K";
  const parts = drawn(true, [
    [0, batch(0)],
    [2_000, batch(50)],
  ]).split(erase);
  expect(parts).toHaveLength(4);
  expect(parts[2]).toContain("50/100  25/s  ETA 2 s");
  expect(parts.at(-1)).toBe("");
  expect(parts.join("")).not.toContain("\n");
});

test("elsewhere there is a line every ten seconds and for each new status, without control characters", () => {
  const ended = batch(100, { status: "completed" });
  expect(
    drawn(false, [
      [0, batch(0)],
      [2_000, batch(10)],
      [11_000, batch(55)],
      [12_000, ended],
    ]),
  ).toBe(
    "in_progress: 0 of 100 completed, 0 failed\n" +
      "in_progress: 55 of 100 completed, 0 failed, 5/s, ETA 9 s\n" +
      "completed: 100 of 100 completed, 0 failed\n",
  );
});
