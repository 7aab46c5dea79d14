// What is learned of how models count tokens, held to the bounds that it states.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { inputFactor, isSavedRatios, margin, TokenRatios } from "../../../src/jobs/tokens/token-ratios.ts";

const configured = 1.2;
const generation = 64;

/** Runs calls of one length, one after the other. Answers what each would have reserved before it was known. */
function play(ratios: readonly number[], counted = 500): { reserved: number; used: number }[] {
  const subject = new TokenRatios();
  return ratios.map((ratio) => {
    const used = Math.max(1, Math.round(counted * ratio));
    const reserved = Math.ceil(counted * subject.factor("m", counted, configured));
    subject.observe("m", counted, { input: used, output: 1 }, 10);
    return { reserved, used };
  });
}

const ratio = fc.double({ min: 0.65, max: 2, noNaN: true });

describe("the input that is reserved", () => {
  test("is too small only for a call that is more than the margin above each of the 64 before it", () => {
    fc.assert(
      fc.property(fc.array(ratio, { minLength: 80, maxLength: 400, size: "max" }), (ratios) => {
        play(ratios).forEach(({ reserved, used }, n, calls) => {
          if (reserved >= used || n < generation) return;
          const before = calls.slice(n - generation, n).map((call) => call.used);
          expect(used).toBeGreaterThan(margin * Math.max(...before));
        });
      }),
      { numRuns: 100 },
    );
  });

  test("never exceeds the margin above the largest of the last 127, once it is known", () => {
    fc.assert(
      fc.property(fc.array(ratio, { minLength: 80, maxLength: 400, size: "max" }), (ratios) => {
        play(ratios).forEach(({ reserved }, n, calls) => {
          if (n < generation) return;
          const before = calls.slice(Math.max(0, n - 2 * generation), n).map((call) => call.used);
          expect(reserved).toBeLessThanOrEqual(Math.ceil(margin * Math.max(...before)) + 1);
        });
      }),
      { numRuns: 100 },
    );
  });

  test("is what is configured until 64 calls are known, and more at once if more is seen", () => {
    const calls = play([...Array(10).fill(0.9), 1.5, ...Array(53).fill(0.9), 0.9]);
    expect(calls.slice(0, 11).map((call) => call.reserved)).toEqual(Array(11).fill(600));
    expect(calls.slice(11).map((call) => call.reserved)).toEqual(Array(54).fill(765));
  });

  test("is tight: a tenth of spread costs a tenth, and one call in 65 is too small at most", () => {
    let state = 1;
    const random = () => {
      state = (state * 48271) % 2147483647;
      return state / 2147483647;
    };
    const calls = play(Array.from({ length: 20_000 }, () => 0.95 + 0.1 * random())).slice(generation);
    const [reserved, used] = [calls.reduce((a, c) => a + c.reserved, 0), calls.reduce((a, c) => a + c.used, 0)];
    expect(reserved / used).toBeLessThan(1.08);
    expect(calls.filter((call) => call.reserved < call.used).length / calls.length).toBeLessThan(1 / 65);
  });

  test("forgets an outlier after two generations", () => {
    const calls = play([...Array(70).fill(1), 1.9, ...Array(2 * generation).fill(1)]);
    expect(calls[71]!.reserved).toBe(Math.ceil(500 * 1.9 * margin));
    expect(calls.at(-1)!.reserved).toBe(Math.ceil(500 * margin));
  });

  test("stays between half of the configured factor and four times it, whatever is reported", () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(1_000_000), { maxLength: 200 }),
        fc.integer({ min: 1, max: 100_000 }),
        (uses, counted) => {
          const subject = new TokenRatios();
          for (const input of uses) subject.observe("m", counted, { input, output: 0 }, 0);
          const factor = subject.factor("m", counted, configured);
          expect(factor).toBeGreaterThanOrEqual(configured / 2);
          expect(factor).toBeLessThanOrEqual(configured * 4);
        },
      ),
    );
  });

  test("is learned by model and by length: a template weighs on short prompts only", () => {
    const subject = new TokenRatios();
    for (let n = 0; n < generation; n++) {
      subject.observe("m", 10, { input: 30, output: 0 }, 10);
      subject.observe("m", 2000, { input: 2020, output: 0 }, 10);
    }
    expect(subject.factor("m", 12, configured)).toBeCloseTo(3 * margin);
    expect(subject.factor("m", 3000, configured)).toBeCloseTo(1.01 * margin);
    expect(subject.factor("m", 100, configured)).toBe(configured);
    expect(subject.factor("other", 12, configured)).toBe(configured);
  });

  test("counts what was read from a cache and written to one, as the provider reserves it", () => {
    const subject = new TokenRatios();
    for (let n = 0; n < generation; n++) {
      subject.observe("m", 1000, { input: 100, cacheRead: 500, cacheWrite: 400, output: 0 }, 10);
    }
    expect(subject.factor("m", 1000, configured)).toBeCloseTo(margin);
  });
});

test("a job that may go to several models is counted for the one that makes the most of it", () => {
  const settings = { models: { a: { tokenFactor: 1.1 }, b: { tokenFactor: 1.4 } } } as never;
  expect(inputFactor(settings, undefined, ["a", "b"], 100)).toBe(1.4);
  const subject = new TokenRatios();
  for (let n = 0; n < generation; n++) subject.observe("b", 100, { input: 100, output: 0 }, 10);
  expect(inputFactor(settings, subject, ["a", "b"], 100)).toBe(1.1);
  expect(inputFactor(settings, subject, ["gone"], 100)).toBe(1);
});

test("means of input and output are shown", () => {
  const subject = new TokenRatios();
  expect(subject.learned("m")).toBeUndefined();
  for (let n = 0; n < 500; n++) subject.observe("m", 100, { input: 110, output: 25 }, 100);
  expect(subject.learned("m")!.input).toBeCloseTo(1.1);
  expect(subject.learned("m")!.output).toBeCloseTo(0.25);
});

describe("what was saved", () => {
  const measured = (input: number, calls = generation) => {
    const subject = new TokenRatios();
    for (let n = 0; n < calls; n++) subject.observe("m", 100, { input, output: 1 }, 10);
    return JSON.parse(JSON.stringify(subject.save()));
  };

  test("is gone on from after a restart, and then forgotten as if there had been none", () => {
    const subject = new TokenRatios();
    subject.resume([measured(150), measured(130)]);
    expect(subject.factor("m", 100, configured)).toBeCloseTo(1.5 * margin);
    for (let n = 0; n < 2 * generation; n++) subject.observe("m", 100, { input: 100, output: 1 }, 10);
    expect(subject.factor("m", 100, configured)).toBeCloseTo(margin);
  });

  test("by other processes counts as long as it is there", () => {
    const subject = new TokenRatios();
    subject.resume([measured(100)]);
    subject.replaceOthers([measured(140)]);
    expect(subject.factor("m", 100, configured)).toBeCloseTo(1.4 * margin);
    subject.replaceOthers([]);
    expect(subject.factor("m", 100, configured)).toBeCloseTo(margin);
  });

  test("is known from what only looks like it", () => {
    expect(isSavedRatios(measured(100))).toBe(true);
    for (const not of [null, 7, { m: null }, { m: { input: [], inputMean: 1, outputMean: 1 } }, { m: { input: 3 } }]) {
      expect(isSavedRatios(not), JSON.stringify(not)).toBe(false);
    }
  });
});
