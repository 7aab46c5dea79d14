import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { costNanoUsd, keepsForAnHour, type TokenPrices, toUsd } from "../../src/domain/money.ts";

const prices: TokenPrices = {
  input: 0.035,
  output: 0.14,
  cacheRead: 0.00875,
  cacheWrite: 0.05,
  cacheWriteHour: 0.07,
  tiers: { priority: 1.75, flex: 0.5 },
};

describe("one call", () => {
  test.each([
    [{ input: 1_000_000, output: 0 }, {}, 35_000_000],
    [{ input: 1, output: 1 }, {}, 175],
    [{ input: 0, output: 0, cacheRead: 1 }, {}, 9],
    [{ input: 0, output: 0, cacheRead: 4, cacheWrite: 10 }, {}, 535],
    [{ input: 0, output: 0, cacheWrite: 10 }, { keptForAnHour: true }, 700],
    [{ input: 0, output: 0, cacheWrite: 10, cacheWriteHour: 4 }, {}, 580],
    [{ input: 0, output: 0, cacheWrite: 10, cacheWriteHour: 4 }, { keptForAnHour: true }, 580],
    [{ input: 0, output: 0, cacheWrite: 10, cacheWriteHour: 0 }, { keptForAnHour: true }, 500],
    [{ input: 100, output: 100 }, { tier: "priority" }, 30_625],
    [{ input: 100, output: 100 }, { tier: "flex" }, 8_750],
    [{ input: 100, output: 100 }, { tier: "default" }, 17_500],
    [{ input: 0, output: 0 }, {}, 0],
  ])("%j %j costs %d billionths", (usage, how, cost) => {
    expect(costNanoUsd(prices, usage, how)).toBe(cost);
  });

  test.each([
    ["an unknown tier", prices, { input: 1, output: 1 }, { tier: "reserved" }],
    ["an unknown price of cache reads", { input: 1, output: 1, tiers: {} }, { input: 1, output: 1, cacheRead: 1 }, {}],
    ["an unknown price of input", { output: 1, tiers: {} }, { input: 1, output: 1 }, {}],
    [
      "an unknown price of an hour's cache",
      { ...prices, cacheWriteHour: undefined },
      { input: 1, output: 1, cacheWrite: 1 },
      { keptForAnHour: true },
    ],
  ] as const)("%s makes the cost unknown", (_, known, usage, how) => {
    expect(costNanoUsd(known, usage, how)).toBeUndefined();
  });

  test("an unknown price does not matter if no tokens need it", () => {
    expect(costNanoUsd({ input: 1, output: 2, tiers: {} }, { input: 1, output: 1, cacheRead: 0 })).toBe(3000);
  });
});

/** Prices with up to six decimals, as providers publish them. */
const price = fc.integer({ min: 0, max: 100_000_000 }).map((micro) => micro / 1e6);
const tokens = fc.integer({ min: 0, max: 10_000_000 });

test("is exact: integers all the way, rounded once", () => {
  fc.assert(
    fc.property(price, price, tokens, tokens, (input, output, a, b) => {
      const exact =
        (BigInt(Math.round(input * 1e6)) * BigInt(a) + BigInt(Math.round(output * 1e6)) * BigInt(b) + 500n) / 1000n;
      const cost = costNanoUsd({ input, output, tiers: {} }, { input: a, output: b });
      expect(cost).toBe(Number(exact));
      expect(Number.isSafeInteger(cost)).toBe(true);
    }),
  );
});

test("no cached token costs more than the same token at a higher price, and more tokens never cost less", () => {
  fc.assert(
    fc.property(price, tokens, tokens, (input, a, b) => {
      const cost = (n: number) => costNanoUsd({ input, output: 0, tiers: {} }, { input: n, output: 0 })!;
      expect(cost(a + b)).toBeGreaterThanOrEqual(cost(a));
      expect(Math.abs(cost(a + b) - cost(a) - cost(b))).toBeLessThanOrEqual(1);
    }),
  );
});

test("dollars are readable numbers", () => {
  expect(toUsd(1_234_567)).toBe(0.001234567);
});

test("a cache for an hour may be requested in the system text or anywhere in the conversation", () => {
  const asking = (ttl: "5m" | "1h" | undefined) => [
    { role: "user" as const, content: [{ type: "cache_point" as const, cache: ttl ? { ttl } : {} }] },
  ];
  const parameters = { maxTokens: 1 };
  expect(keepsForAnHour({ messages: asking("1h"), parameters })).toBe(true);
  expect(keepsForAnHour({ messages: [], systemCachePoint: { ttl: "1h" }, parameters })).toBe(true);
  expect(keepsForAnHour({ messages: asking("5m"), systemCachePoint: {}, parameters })).toBe(false);
});
