// Percentiles have a bounded error, and histograms add up in any order.
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  addHistogram,
  countOf,
  type LogHistogram,
  observe,
  percentile,
  percentileError,
} from "../../src/domain/log-histogram.ts";

const values = fc.array(fc.oneof(fc.double({ min: 0, max: 1e12, noNaN: true }), fc.nat(300)), {
  minLength: 1,
  maxLength: 60,
});

function histogramOf(all: readonly number[]): LogHistogram {
  const histogram: LogHistogram = {};
  for (const value of all) observe(histogram, value);
  return histogram;
}

test("a percentile is within its error of the exact one, also after JSON", () => {
  fc.assert(
    fc.property(values, fc.double({ min: 0, max: 1, noNaN: true }), (all, share) => {
      const sorted = [...all].sort((a, b) => a - b);
      const exact = sorted[Math.max(0, Math.ceil(share * all.length) - 1)]!;
      const estimate = percentile(JSON.parse(JSON.stringify(histogramOf(all))), share)!;
      if (exact < 1) expect(estimate).toBe(0);
      else expect(Math.abs(estimate / exact - 1)).toBeLessThanOrEqual(percentileError + 1e-9);
    }),
  );
});

test("parts add up to the whole in any order", () => {
  fc.assert(
    fc.property(values, values, (some, others) => {
      const sum = histogramOf(some);
      addHistogram(sum, histogramOf(others));
      const reverse = histogramOf(others);
      addHistogram(reverse, histogramOf(some));
      expect(sum).toEqual(histogramOf([...others, ...some]));
      expect(reverse).toEqual(sum);
      expect(countOf(sum)).toBe(some.length + others.length);
    }),
  );
});

test("small counts round to themselves, and nothing has no percentile", () => {
  for (let n = 0; n <= 10; n++) expect(Math.round(percentile(histogramOf([n]), 0.5)!)).toBe(n);
  expect(percentile({}, 0.5)).toBeUndefined();
});
