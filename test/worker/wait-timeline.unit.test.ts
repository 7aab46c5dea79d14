// The split of a wait: parts add up to the wait whatever was sampled, and the memory stays bounded.
import fc from "fast-check";
import { expect, test } from "vitest";
import type { WaitPart, WaitReason } from "../../src/domain/wait-parts.ts";
import { splitPeriod, WaitTimeline } from "../../src/worker/wait-timeline.ts";

const quota = (subject: string): WaitReason => ({ kind: "quota", subject });
const turn: WaitReason = { kind: "turn" };
const sum = (parts: readonly WaitPart[]) => parts.reduce((total, { ms }) => total + ms, 0);

/** Splits by one row. */
function split(timeline: WaitTimeline, from: number, to: number, row = "r"): WaitPart[] {
  return splitPeriod({ from, to }, [timeline.of(row)]);
}

test("each sample counts until the next one, and the last one until the grant", () => {
  const timeline = new WaitTimeline();
  timeline.sample(10_000, [{ row: "r", reason: quota("a") }]);
  timeline.sample(11_000, [{ row: "r", reason: quota("a") }]);
  timeline.sample(12_000, [{ row: "r", reason: quota("b") }]);
  timeline.sample(13_000, [{ row: "r", reason: quota("a") }]);
  expect(split(timeline, 9_500, 13_700)).toEqual([
    { kind: "quota", subject: "a", ms: 3_200 },
    { kind: "quota", subject: "b", ms: 1_000 },
  ]);
});

test("what no sample covers is unknown", () => {
  const timeline = new WaitTimeline();
  expect(split(timeline, 0, 4_000)).toEqual([{ kind: "unknown", ms: 4_000 }]);
  timeline.sample(10_000, [{ row: "r", reason: turn }]);
  expect(split(timeline, 7_000, 20_000)).toEqual([
    { kind: "turn", ms: 3_000 + 5_000 },
    { kind: "unknown", ms: 5_000 },
  ]);
  timeline.sample(30_000, []);
  expect(split(timeline, 10_000, 30_000)).toEqual([
    { kind: "turn", ms: 5_000 },
    { kind: "unknown", ms: 15_000 },
  ]);
});

test("a row that appears between two samples has waited since the first of them", () => {
  const timeline = new WaitTimeline();
  timeline.sample(10_000, [{ row: "other", reason: turn }]);
  timeline.sample(10_800, [{ row: "r", reason: quota("a") }]);
  expect(split(timeline, 10_000, 11_000)).toEqual([{ kind: "quota", subject: "a", ms: 1_000 }]);
  expect(split(timeline, 10_000, 11_000, "other")).toEqual([
    { kind: "turn", ms: 800 },
    { kind: "unknown", ms: 200 },
  ]);
});

test("a clock that is set back makes no time count twice", () => {
  const timeline = new WaitTimeline();
  timeline.sample(10_000, [{ row: "r", reason: quota("a") }]);
  timeline.sample(5_000, [{ row: "r", reason: quota("b") }]);
  timeline.sample(12_000, [{ row: "r", reason: quota("b") }]);
  expect(sum(split(timeline, 9_000, 12_000))).toBe(3_000);
});

test("a later source fills what an earlier one leaves open", () => {
  const known = [{ from: 10, to: 20, parts: [{ ...turn, ms: 10 }] }];
  const rebuild = [{ from: 0, to: 15, parts: [{ kind: "rebuild" as const, ms: 15 }] }];
  expect(splitPeriod({ from: 5, to: 30 }, [known, rebuild])).toEqual([
    { kind: "rebuild", ms: 5 },
    { kind: "turn", ms: 10 },
    { kind: "unknown", ms: 10 },
  ]);
});

test("a part of a merged interval is split in proportion, to the millisecond", () => {
  const parts = ["a", "b", "c"].map((subject) => ({ ...quota(subject), ms: 10 }));
  const merged = [{ from: 0, to: 30, parts }];
  for (let to = 1; to <= 30; to++) expect(sum(splitPeriod({ from: 0, to }, [merged]))).toBe(to);
  expect(splitPeriod({ from: 0, to: 15 }, [merged]).map(({ ms }) => ms)).toEqual([5, 5, 5]);
});

const reason = fc.oneof(
  fc.constantFrom<WaitReason>(turn, { kind: "fairness" }, { kind: "rebuild" }, { kind: "concurrency", subject: "d" }),
  fc.integer({ min: 1, max: 30 }).map((n) => quota(`q${n}`)),
);
const samples = fc.array(
  fc.record({
    afterMs: fc.oneof(fc.integer({ min: 0, max: 2_000 }), fc.integer({ min: -10_000, max: 100_000 })),
    rows: fc.uniqueArray(fc.record({ row: fc.constantFrom("r", "s", "t", "u"), reason }), { selector: (s) => s.row }),
  }),
  { maxLength: 200 },
);
const period = fc.tuple(fc.nat(300_000), fc.nat(300_000)).map(([from, length]) => ({ from, to: from + length }));

test("whatever was sampled, the parts add up to the wait, and nothing grows without a bound", () => {
  fc.assert(
    fc.property(samples, fc.array(period, { minLength: 1, maxLength: 5 }), (list, periods) => {
      const timeline = new WaitTimeline({ maxRows: 3, maxIntervals: 8 });
      let at = 20_000;
      for (const { afterMs, rows } of list) {
        at += afterMs;
        timeline.sample(at, rows);
      }
      const names = ["r", "s", "t", "u"];
      const known = names.map((name) => timeline.of(name));
      expect(known.filter((intervals) => intervals.length > 0).length).toBeLessThanOrEqual(3);
      for (const intervals of known) {
        expect(intervals.length).toBeLessThanOrEqual(9);
        for (const [i, { from, to, parts }] of intervals.entries()) {
          expect(from).toBeGreaterThanOrEqual(intervals[i - 1]?.to ?? from);
          expect(sum(parts)).toBe(to - from);
          expect(parts.length).toBeLessThanOrEqual(12);
        }
      }
      for (const { from, to } of periods) {
        const parts = splitPeriod({ from, to }, known);
        expect(sum(parts)).toBe(to - from);
        expect(parts.length).toBeLessThanOrEqual(12);
        for (const { ms } of parts) expect(Number.isInteger(ms) && ms > 0).toBe(true);
      }
    }),
    { numRuns: 300 },
  );
});

test("merged intervals keep how long each reason lasted", () => {
  const timeline = new WaitTimeline({ maxIntervals: 8 });
  for (let i = 0; i <= 1_000; i++) {
    timeline.sample(i * 1_000, [{ row: "r", reason: i % 4 === 0 ? quota("a") : quota("b") }]);
  }
  const parts = split(timeline, -5_000, 1_000_000);
  expect(new Map(parts.map(({ subject, ms }) => [subject, ms]))).toEqual(
    new Map([
      ["a", 255_000],
      ["b", 750_000],
    ]),
  );
});
