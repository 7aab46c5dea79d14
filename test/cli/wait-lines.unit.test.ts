// The line of a command that waits, on a terminal and elsewhere.
import { expect, test } from "vitest";
import { type WaitingJob, WaitLines } from "../../src/cli/wait-lines.ts";

function written(isTTY: boolean, columns: number, jobs: WaitingJob[]): string {
  let all = "";
  const lines = new WaitLines({ write: (text) => (all += text), isTTY, columns });
  for (const job of jobs) lines.show(job);
  lines.done();
  return all;
}

const job = (position: number, eta: string | null): WaitingJob => ({
  status: "queued",
  position,
  waiting_on: { kind: "fairness", deployment: null, quota: null, reason: null, message: "Others go first." },
  eta,
  attempts: [],
});

test("point 10: on a terminal one line changes, fits, and is gone at the end", () => {
  const clear = "\r\u001b[K";
  expect(written(true, 45, [job(2, "T1"), job(2, "T2"), job(1, null)])).toBe(
    `${clear}Queued at position 2. Others go first. Expe…${clear}Queued at position 2. Others go first. Expe…` +
      `${clear}Queued at position 1. Others go first.${clear}`,
  );
});

test("point 10: elsewhere there is a line for each change, without codes for terminals", () => {
  expect(written(false, 45, [job(2, "T1"), job(2, "T2"), job(1, null)])).toBe(
    "Queued at position 2. Others go first. Expected start: T1.\nQueued at position 1. Others go first.\n",
  );
});
