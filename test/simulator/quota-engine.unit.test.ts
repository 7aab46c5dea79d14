// The quotas, compared with a slow oracle that knows only the definition: it adds up every charge that counts now.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createMeter } from "../../src/simulator/meter.ts";
import { type Admission, createQuotaEngine, type QuotaRules } from "../../src/simulator/quota-engine.ts";

const rules: QuotaRules = {
  requestsPerWindow: 3,
  tokensPerWindow: 100,
  algorithm: "sliding",
  windowMs: 60_000,
  bucketCapacity: 1,
  outputBurndown: 1,
};

const call = { input: 1, maxTokens: 1 };

describe("what is admitted", () => {
  test.each(["fixed", "sliding", "bucket"] as const)("%s: the limit at once, and not one more", (algorithm) => {
    const engine = createQuotaEngine({ ...rules, algorithm });
    for (let i = 0; i < 3; i++) expect(engine.admit(0, call)).toBeTypeOf("object");
    expect(engine.admit(0, call)).toBe("requests");
    expect(engine.stats()).toMatchObject({ admitted: 3, requests: { limit: 3, refused: 1, peak: 3 } });
  });

  test("fixed: everything again at the next multiple of the window", () => {
    const engine = createQuotaEngine({ ...rules, algorithm: "fixed" });
    for (let i = 0; i < 3; i++) engine.admit(59_999, call);
    expect(engine.admit(59_999, call)).toBe("requests");
    expect(engine.admit(60_000, call)).toBeTypeOf("object");
  });

  test("sliding: a call counts for exactly the window", () => {
    const engine = createQuotaEngine(rules);
    for (const at of [0, 10, 20]) engine.admit(at, call);
    expect(engine.admit(59_999, call)).toBe("requests");
    expect(engine.admit(60_000, call)).toBeTypeOf("object");
    expect(engine.admit(60_009, call)).toBe("requests");
    expect(engine.admit(60_010, call)).toBeTypeOf("object");
  });

  test("bucket: one more whenever a share of the window has passed", () => {
    const engine = createQuotaEngine({ ...rules, algorithm: "bucket" });
    for (let i = 0; i < 3; i++) engine.admit(0, call);
    for (let turn = 1; turn <= 100; turn++) {
      expect(engine.admit(turn * 20_000 - 1, call)).toBe("requests");
      expect(engine.admit(turn * 20_000, call)).toBeTypeOf("object");
    }
  });

  test("bucket: holds its share of the limit, and never less than one", () => {
    const half = createQuotaEngine({ ...rules, algorithm: "bucket", bucketCapacity: 0.5 });
    expect(half.admit(0, { input: 50, maxTokens: 0 })).toBeTypeOf("object");
    expect(half.admit(30_000, { input: 51, maxTokens: 0 })).toBe("tokens");
    const tiny = createQuotaEngine({ ...rules, algorithm: "bucket", bucketCapacity: 0.1 });
    expect(tiny.admit(0, call)).toBeTypeOf("object");
    expect(tiny.admit(0, call)).toBe("requests");
  });

  test("a call that no window can hold is always refused", () => {
    const engine = createQuotaEngine(rules);
    expect(engine.admit(0, { input: 50, maxTokens: 51 })).toBe("tokens");
    expect(engine.admit(600_000, { input: 50, maxTokens: 51 })).toBe("tokens");
    expect(engine.stats().requests.peak).toBe(0);
  });

  test("without a limit nothing is refused, and the peak is still measured", () => {
    const { requestsPerWindow: _, tokensPerWindow: __, ...unlimited } = rules;
    const engine = createQuotaEngine({ ...unlimited, algorithm: "bucket" });
    for (let i = 0; i < 5_000; i++) engine.admit(i * 60, { input: 1, maxTokens: 9 });
    expect(engine.stats()).toMatchObject({
      admitted: 5_000,
      requests: { refused: 0, peak: 1_000 },
      tokens: { peak: 10_000 },
    });
  });
});

describe("settling", () => {
  test("releases what was reserved and not used", () => {
    const engine = createQuotaEngine(rules);
    const first = engine.admit(0, { input: 10, maxTokens: 90 }) as Admission;
    expect(engine.admit(1, call)).toBe("tokens");
    engine.settle(2, first, { input: 10, output: 5 });
    expect(engine.admit(3, { input: 10, maxTokens: 75 })).toBeTypeOf("object");
    expect(engine.admit(4, call)).toBe("tokens");
  });

  test("multiplies output by the burndown, and may exceed the reservation", () => {
    const engine = createQuotaEngine({ ...rules, outputBurndown: 5 });
    const first = engine.admit(0, { input: 10, maxTokens: 20 }) as Admission;
    engine.settle(1, first, { input: 10, output: 20 });
    expect(engine.stats().tokens.peak).toBe(110);
    expect(engine.admit(2, call)).toBe("tokens");
  });

  test.each(["fixed", "sliding", "bucket"] as const)("%s: a refund that comes late is no credit", (algorithm) => {
    const engine = createQuotaEngine({ ...rules, algorithm });
    const first = engine.admit(0, { input: 0, maxTokens: 100 }) as Admission;
    engine.settle(180_000, first, { input: 0, output: 0 });
    expect(engine.admit(180_000, { input: 0, maxTokens: 100 })).toBeTypeOf("object");
    expect(engine.admit(180_000, call)).toBe("tokens");
  });
});

describe("the quota of a day", () => {
  const day = (limit: number) => createMeter({ limit, algorithm: "sliding", windowMs: 86_400_000, bucketCapacity: 1 });

  test("is shared, weights models by their price, and is checked before those per minute", () => {
    const shared = day(1_000);
    const cheap = createQuotaEngine({ ...rules, day: shared });
    const dear = createQuotaEngine({ ...rules, day: shared, dayWeight: 10 });
    expect(dear.admit(0, { input: 50, maxTokens: 40 })).toBeTypeOf("object");
    expect(dear.admit(0, { input: 10, maxTokens: 1 })).toBe("tokens_per_day");
    expect(cheap.admit(0, { input: 99, maxTokens: 1 })).toBeTypeOf("object");
    expect(cheap.admit(0, call)).toBe("tokens_per_day");
    expect(cheap.admit(60_000, call)).toBe("tokens_per_day");
    expect(cheap.admit(86_400_000, call)).toBeTypeOf("object");
    expect(shared.stats()).toEqual({ limit: 1_000, refused: 3, peak: 1_000 });
    expect(cheap.stats().tokens.refused).toBe(0);
  });

  test("releases what was reserved and not used, burndown and price included", () => {
    const shared = day(1_000);
    const engine = createQuotaEngine({ ...rules, outputBurndown: 2, day: shared, dayWeight: 10 });
    const first = engine.admit(0, { input: 10, maxTokens: 90 }) as Admission;
    expect(engine.settle(1, first, { input: 10, output: 20 })).toBe(50);
    expect(engine.admit(2, { input: 50, maxTokens: 1 })).toBe("tokens_per_day");
    expect(engine.admit(2, { input: 50, maxTokens: 0 })).toBeTypeOf("object");
  });
});

describe("foreign traffic", () => {
  const unlimited = { ...rules, requestsPerWindow: 1_000_000, tokensPerWindow: 1_000_000 };

  test("keeps its pace between reads, from its beginning to its end", () => {
    const load = { intervalMs: 1_000, tokensPerRequest: 30, fromMs: 5_000, untilMs: 15_000 };
    const engine = createQuotaEngine({ ...unlimited, foreign: [load] });
    engine.advance(4_999);
    expect(engine.stats().foreign).toEqual({ admitted: 0, refused: 0, tokens: 0 });
    engine.advance(7_000);
    expect(engine.stats().foreign).toEqual({ admitted: 3, refused: 0, tokens: 90 });
    engine.advance(1_000_000);
    expect(engine.stats().foreign).toEqual({ admitted: 10, refused: 0, tokens: 300 });
    expect(engine.stats()).toMatchObject({ admitted: 0, tokens: { peak: 300 }, requests: { peak: 10 } });
  });

  test("uses the same quotas, and is refused by them", () => {
    const foreign = [{ intervalMs: 30_000, tokensPerRequest: 60 }];
    const engine = createQuotaEngine({ ...rules, foreign });
    expect(engine.admit(0, { input: 41, maxTokens: 0 })).toBe("tokens");
    expect(engine.admit(0, { input: 40, maxTokens: 0 })).toBeTypeOf("object");
    engine.advance(45_000);
    expect(engine.stats().foreign).toEqual({ admitted: 1, refused: 1, tokens: 60 });
    // Refusals of others do not count as the model's own.
    expect(engine.stats().tokens.refused).toBe(1);
  });

  test("of several programs is ordered by time, so that a late read changes nothing", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 100, max: 3_000 }), { minLength: 1, maxLength: 4 }),
        fc.array(fc.integer({ min: 0, max: 4_000 }), { maxLength: 30 }),
        (intervals, looks) => {
          const foreign = intervals.map((intervalMs, i) => ({ intervalMs, tokensPerRequest: 7 * (i + 1) }));
          const limits = { ...rules, requestsPerWindow: 20, windowMs: 3_000, foreign };
          const often = createQuotaEngine(limits);
          const once = createQuotaEngine(limits);
          let now = 0;
          for (const pause of [0, ...looks]) {
            now += pause;
            often.advance(now);
          }
          once.advance(now);
          expect(often.stats()).toEqual(once.stats());
        },
      ),
    );
  });
});

/** `settle` selects the open call that ends before this one is made, and its output. */
const steps = fc.array(
  fc.record(
    {
      afterMs: fc.oneof(fc.constant(0), fc.integer({ max: 40, min: 0 }), fc.integer({ min: 0, max: 2_500 })),
      input: fc.integer({ min: 0, max: 40 }),
      maxTokens: fc.integer({ min: 1, max: 60 }),
      settle: fc.record({ which: fc.nat(), output: fc.integer({ min: 0, max: 60 }) }),
    },
    { requiredKeys: ["afterMs", "input", "maxTokens"] },
  ),
  { minLength: 1, maxLength: 300 },
);

interface Made {
  at: number;
  tokens: number;
}

/** What counts at a time, by definition. */
const definitions = {
  fixed: (made: Made[], now: number) => made.filter((m) => Math.floor(m.at / 1_000) === Math.floor(now / 1_000)),
  sliding: (made: Made[], now: number) => made.filter((m) => m.at > now - 1_000 && m.at <= now),
};

describe("over random runs", () => {
  for (const algorithm of ["fixed", "sliding"] as const) {
    test(`${algorithm}: admits a call exactly if the definition allows it`, () => {
      fc.assert(
        fc.property(steps, fc.integer({ min: 1, max: 3 }), (run, outputBurndown) => {
          const limits = { requestsPerWindow: 5, tokensPerWindow: 200 };
          const engine = createQuotaEngine({ ...rules, ...limits, algorithm, windowMs: 1_000, outputBurndown });
          const made: Made[] = [];
          const open: { admission: Admission; made: Made; input: number }[] = [];
          let peak = 0;
          let now = 0;
          const counted = () => definitions[algorithm](made, now);
          const sum = () => counted().reduce((total, m) => total + m.tokens, 0);
          for (const step of run) {
            now += step.afterMs;
            if (step.settle && open.length > 0) {
              const [ended] = open.splice(step.settle.which % open.length, 1);
              engine.settle(now, ended!.admission, { input: ended!.input, output: step.settle.output });
              ended!.made.tokens = ended!.input + step.settle.output * outputBurndown;
              peak = Math.max(peak, sum());
            }
            const cost = step.input + step.maxTokens;
            const expected = counted().length + 1 > 5 ? "requests" : sum() + cost > 200 ? "tokens" : "admitted";
            const admission = engine.admit(now, step);
            expect(typeof admission === "string" ? admission : "admitted").toBe(expected);
            if (typeof admission !== "string") {
              const charge = { at: now, tokens: cost };
              made.push(charge);
              open.push({ admission, made: charge, input: step.input });
              expect(sum()).toBeLessThanOrEqual(200);
              peak = Math.max(peak, sum());
            }
          }
          expect(engine.stats().tokens.peak).toBe(peak);
        }),
      );
    });
  }

  test("bucket: never gives more than its content and its refill, refunds included", () => {
    fc.assert(
      fc.property(steps, fc.constantFrom(1, 0.5, 0.25), (run, bucketCapacity) => {
        const engine = createQuotaEngine({
          ...rules,
          requestsPerWindow: 1_000_000,
          tokensPerWindow: 200,
          algorithm: "bucket",
          windowMs: 1_000,
          bucketCapacity,
        });
        const capacity = 200 * bucketCapacity;
        let level = capacity;
        let now = 0;
        const open: { admission: Admission; cost: number; input: number }[] = [];
        for (const step of run) {
          now += step.afterMs;
          level = Math.min(capacity, level + step.afterMs * 0.2);
          if (step.settle && open.length > 0) {
            const [ended] = open.splice(step.settle.which % open.length, 1);
            engine.settle(now, ended!.admission, { input: ended!.input, output: step.settle.output });
            level = Math.min(capacity, level + ended!.cost - ended!.input - step.settle.output);
          }
          const cost = step.input + step.maxTokens;
          const admission = engine.admit(now, step);
          // The oracle counts in fractions, so it is not asked very close to the limit.
          if (Math.abs(level - cost) > 1e-6) expect(typeof admission === "object").toBe(level > cost);
          if (typeof admission === "object") {
            level -= cost;
            open.push({ admission, cost, input: step.input });
          }
        }
      }),
    );
  });
});
