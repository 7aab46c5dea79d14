// What attempts count for: real usage, or an estimate until it is known.
import { describe, expect, test } from "vitest";
import type { Attempt, AttemptEnd } from "../../src/domain/job.ts";
import { attemptUsage, costOfAttempts, noUsage, usageDay, usageOfAttempt } from "../../src/domain/usage.ts";

const usage = { input: 3, output: 4, cacheRead: 5 };

function attempt(end?: Partial<AttemptEnd>, reservedNanoUsd: number | undefined = 70): Attempt {
  return {
    jobId: "j",
    n: 1,
    grant: "g",
    deployment: "d",
    model: "m",
    worker: "w",
    chargedAt: 0,
    reserved: { input: 20, output: 100 },
    ...(reservedNanoUsd !== undefined && { reservedNanoUsd }),
    ...(end && { end: { result: "completed", at: 0, ...end } }),
  };
}

describe("A2: one attempt", () => {
  const estimate = { usage: { input: 20, output: 100 }, nanoUsd: 70, estimated: true };
  test.each<[string, Partial<AttemptEnd> | undefined, ReturnType<typeof attemptUsage>]>([
    ["runs, or was lost with its process", undefined, estimate],
    ["was cut off by an earlier version", { result: "aborted" }, estimate],
    [
      "was cut off with an estimate",
      { result: "unknown", usage, costNanoUsd: 9, estimated: true },
      { usage, nanoUsd: 9, estimated: true },
    ],
    [
      "was cut off with known usage",
      { result: "unknown", usage, costNanoUsd: 9 },
      { usage, nanoUsd: 9, estimated: false },
    ],
    ["completed", { usage, costNanoUsd: 9 }, { usage, nanoUsd: 9, estimated: false }],
    ["completed without a price", { usage }, { usage, estimated: false }],
    ["was refused", { result: "throttled" }, undefined],
    ["was never sent", { result: "not_sent" }, undefined],
  ])("that %s", (_, end, used) => {
    expect(attemptUsage(attempt(end))).toEqual(used);
  });

  test("adds up to sums, with the estimated parts", () => {
    const estimated = { open: 1, estimated: 1, input: 20, output: 100, estimatedInput: 20, estimatedOutput: 100 };
    const base = { ...noUsage, jobs: 1, attempts: 1 };
    expect(usageOfAttempt(attempt())).toEqual({ ...base, ...estimated, nanoUsd: 70, estimatedNanoUsd: 70 });
    expect(usageOfAttempt({ ...attempt(undefined, undefined), reservedNanoUsd: undefined })).toEqual({
      ...base,
      ...estimated,
      unpriced: 1,
    });
    expect(usageOfAttempt(attempt({ usage, costNanoUsd: 9 }))).toEqual({ ...base, ...usage, nanoUsd: 9 });
    expect(usageOfAttempt(attempt({ result: "not_sent" }))).toEqual({ ...base, attempts: 0 });
  });

  test("whatever an earlier version stored, the sums are whole and bounded", () => {
    const wild = { input: 5.5, output: 2 ** 60, cacheRead: -3, cacheWrite: Number.NaN };
    expect(usageOfAttempt(attempt({ usage: wild, costNanoUsd: 1e30 }))).toMatchObject({
      input: 6,
      output: 1e12,
      cacheRead: 0,
      cacheWrite: 0,
      nanoUsd: 1e12,
    });
  });
});

describe("a job", () => {
  test("costs what all its attempts cost, with estimates marked; refused attempts cost nothing", () => {
    const attempts = [attempt({ usage, costNanoUsd: 5 }), attempt(), attempt({ result: "throttled" })];
    expect(costOfAttempts(attempts)).toEqual({ nanoUsd: 75, estimatedNanoUsd: 70 });
  });

  test("has no known cost if nothing was used, or something at an unknown price", () => {
    expect(costOfAttempts([])).toBeUndefined();
    expect(costOfAttempts([attempt({ result: "throttled" })])).toBeUndefined();
    expect(costOfAttempts([attempt({ usage, costNanoUsd: 5 }), attempt({ usage })])).toBeUndefined();
  });
});

test("days are UTC days", () => {
  expect([0, 86_399_999, 86_400_000, -1].map(usageDay)).toEqual([0, 0, 1, -1]);
});
