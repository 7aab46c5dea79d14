// Usage by day as the dashboard plots it, and the forecast of a budget.
import { expect, test } from "vitest";
import { dayColumns, daysOf, periodOf, usedUpAt } from "../../web/src/usage-days.ts";

const at = (text: string) => Date.parse(text);

test("every day of a period, over the change of a month and of a clock", () => {
  expect(daysOf("2030-02-27", "2030-03-02").map((ms) => new Date(ms).toISOString().slice(5, 10))).toEqual([
    "02-27",
    "02-28",
    "03-01",
    "03-02",
  ]);
  expect(daysOf("2030-03-30", "2030-04-01")).toHaveLength(3);
  expect(daysOf("2030-02-02", "2030-02-01")).toEqual([]);
  expect(daysOf("never", "2030-02-01")).toEqual([]);
});

test("columns by group: the largest first, small ones together, days without use empty", () => {
  const row = (day: string, model: string, cost_usd: number) => ({
    ...{ day, model, cost_usd, input_tokens: 0, output_tokens: 0 },
  });
  const days = daysOf("2030-01-01", "2030-01-03");
  const rows = [row("2030-01-01", "a", 1), row("2030-01-03", "a", 2), row("2030-01-03", "b", 9)];
  const columns = (of: typeof rows) =>
    dayColumns(
      days,
      of,
      ({ model }) => model,
      ({ cost_usd }) => cost_usd,
    );
  expect(columns(rows)).toEqual([
    { label: "b", values: [null, null, 9] },
    { label: "a", values: [1, null, 2] },
  ]);
  const many = ["c", "d", "e"].map((model, i) => row("2030-01-02", model, 5 - i));
  expect(columns([...rows, ...many])).toEqual([
    { label: "b", values: [null, null, 9] },
    { label: "c", values: [null, 5, null] },
    { label: "d", values: [null, 4, null] },
    { label: "others", values: [1, 3, 2] },
  ]);
});

test("a budget: used up in time, not in this period, already, or not used", () => {
  const now = at("2030-01-11T00:00:00Z");
  const month = periodOf("month", now);
  expect(month).toEqual({ from: at("2030-01-01T00:00:00Z"), to: at("2030-02-01T00:00:00Z") });
  expect(periodOf("day", at("2030-12-31T13:00:00Z"))).toEqual({
    from: at("2030-12-31T00:00:00Z"),
    to: at("2031-01-01T00:00:00Z"),
  });
  expect(usedUpAt(50, 100, month, now)).toBe(at("2030-01-21T00:00:00Z"));
  expect(usedUpAt(10, 100, month, now)).toBeUndefined();
  expect(usedUpAt(100, 100, month, now)).toBe(now);
  expect(usedUpAt(0, 100, month, now)).toBeUndefined();
});
