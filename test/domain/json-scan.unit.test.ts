// Finding values and inexact numbers in JSON text.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fieldOfPath, isExactNumber, type JsonPath, mayBeInexact, scanJson } from "../../src/domain/json-scan.ts";

test.each([
  ...["0", "-0", "-0.0", "1", "1.0", "1e2", "1E+2", "0.1", "-12.50e-3", "9007199254740992", "1e21", "5e-324"],
  ...["12345678901234567000", "0.30000000000000004", "0.69999999999999996", "1.7976931348623157e308", "0e999"],
  // The double nearest to 0.1, to the last digit.
  "0.1000000000000000055511151231257827021181583404541015625",
])("%s is exact", (literal) => expect(isExactNumber(literal)).toBe(true));

test.each([
  ...["9007199254740993", "-9007199254740993", "2512292042121000001", "9223372036854775807", "-9223372036854775808"],
  ...["18446744073709551615", "1e400", "-1e400", "1e-400", "123456789.123456789", "9007199254740993.0"],
  ...["0.123456789012345678901", `1${"0".repeat(400)}`, `0.${"1".repeat(200)}`],
])("%s is not exact", (literal) => {
  expect(isExactNumber(literal)).toBe(false);
  expect(mayBeInexact(`{"a":${literal}}`)).toBe(true);
});

test("whatever JavaScript prints is exact, and so is a double with any number of digits", () => {
  fc.assert(
    fc.property(
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.integer({ min: 1, max: 21 }),
      (value, digits) => {
        expect(isExactNumber(JSON.stringify(value))).toBe(true);
        if (Math.abs(value) < 1e15 && Math.abs(value) > 1e-5) {
          const fraction = value.toFixed(16);
          if (Number(fraction) === value) expect(isExactNumber(fraction)).toBe(true);
        }
        if (!Number.isInteger(value)) expect(isExactNumber(String(Number(value.toPrecision(digits))))).toBe(true);
      },
    ),
    { seed: 1 },
  );
});

test("an integer is exact only if it is printed with the same digits", () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 80n), max: 2n ** 80n }), (value) => {
      const literal = value.toString();
      expect(isExactNumber(literal)).toBe(BigInt(Number(literal)) === value && !losesDigits(literal));
      if (!isExactNumber(literal)) expect(mayBeInexact(`[${literal}]`)).toBe(true);
    }),
    { seed: 1 },
  );
});

/** A double such as 2^63 is printed as 9223372036854776000. */
function losesDigits(literal: string): boolean {
  const printed = String(Number(literal));
  return printed.includes("e")
    ? BigInt(Number(printed).toLocaleString("fullwide", { useGrouping: false })) !== BigInt(literal)
    : printed !== literal;
}

describe("places", () => {
  /** Returns what JSON.parse finds at the same kind of place. */
  function found(value: unknown, place: readonly string[], path: JsonPath = []): [JsonPath, unknown][] {
    const [part, ...rest] = place;
    if (typeof value !== "object" || value === null) return [];
    if (part === undefined) return [[path, value]];
    return Object.entries(value)
      .filter(([key]) => part === "*" || key === part)
      .flatMap(([key, inner]) => found(inner, rest, [...path, Array.isArray(value) ? Number(key) : key]));
  }

  test("are where JSON.parse has them, whatever else the text contains", () => {
    const key = fc.constantFrom("a", "b", '"', "\\", '\\"', "a.b", "\u2028", "{", "0");
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { maxDepth: 5 },
        fc.oneof(
          fc.string(),
          fc.constantFrom('"', "\\", '\\"', "}{][,:", "\\\\"),
          fc.double({ noNaN: true }),
          fc.boolean(),
          fc.constant(null),
        ),
        fc.array(tie("tree"), { maxLength: 4 }),
        fc.dictionary(key, tie("tree"), { maxKeys: 4 }),
      ),
    }));
    const place = fc.array(fc.constantFrom("a", "b", "*", "0", "1"), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(tree, place, fc.constantFrom(undefined, 1, "\t"), (value, place, indent) => {
        const json = JSON.stringify(value, undefined, indent) ?? "null";
        const byPath = (a: [JsonPath, unknown], b: [JsonPath, unknown]) => (String(a[0]) < String(b[0]) ? -1 : 1);
        const spans = scanJson(json, [place.join(".")], () => {
          throw new Error("all numbers of JSON.stringify are exact");
        }).map(({ path, text }): [JsonPath, unknown] => [path, JSON.parse(text)]);
        expect(spans.sort(byPath)).toEqual(found(JSON.parse(json), place).sort(byPath));
      }),
      { seed: 1, numRuns: 300 },
    );
  });

  test("numbers in a place belong to it, others are reported with their path", () => {
    const json = '{"s": {"max": 9223372036854775807}, "t": [{"x\\n": [1, {"y": -1e999}]}], "n": 12345678901234567890}';
    const told: [string, string][] = [];
    const spans = scanJson(json, ["s", "t.*.none"], ({ literal }, path) => told.push([literal, fieldOfPath(path)]));
    expect(spans).toEqual([{ path: ["s"], text: '{"max": 9223372036854775807}', start: 6, isExact: false }]);
    expect(told).toEqual([
      ["-1e999", "t[0].x\n[1].y"],
      ["12345678901234567890", "n"],
    ]);
  });

  test("a million levels are no problem", () => {
    const depth = 1_000_000;
    const json = `${'{"a":['.repeat(depth)}9007199254740993${"]}".repeat(depth)}`;
    let numbers = 0;
    scanJson(json, ["a.0"], () => numbers++);
    expect(numbers).toBe(0);
    scanJson(json, [], () => numbers++);
    expect(numbers).toBe(1);
  });
});
