// Periods add up in any order, and a minute of several processes is one minute.
import fc from "fast-check";
import { expect, test } from "vitest";
import { minuteOf, type Period, PeriodSum, sumOf, withoutZeros } from "../../../src/jobs/history/period.ts";

const name = fc.constantFrom("a", "b", "__proto__");
const amount = fc.nat(1000);

/** A part of a minute, as a process records it. */
const part: fc.Arbitrary<Period> = fc
  .record({
    samples: fc.nat(12),
    quotas: fc.array(fc.tuple(name, amount, amount, amount), { maxLength: 3 }),
    calls: fc.array(fc.tuple(name, name, amount), { maxLength: 3 }),
    queues: fc.array(fc.tuple(name, name, name, amount, amount), { maxLength: 3 }),
  })
  .map(({ samples, quotas, calls, queues }) => {
    const sum = new PeriodSum();
    for (let i = 0; i < samples; i++) sum.countSample();
    for (const [quota, requests, tokens, used] of quotas) {
      const row = sum.quota(quota);
      row.requests += requests;
      row.inputTokens += tokens;
      row.usedMax = Math.max(row.usedMax, used);
      row.usedSum += used;
    }
    for (const [model, deployment, attempts] of calls) sum.callsOf(model, deployment).attempts += attempts;
    for (const [environment, priority, model, submitted, oldest] of queues) {
      const row = sum.queue(environment, priority, model);
      row.submitted += submitted;
      row.oldestMaxMs = Math.max(row.oldestMaxMs, oldest);
      row.waitedMs = { [oldest]: submitted };
    }
    return sum.period;
  });

/** Rows in one order, for comparison. */
function sorted({ quotas, calls, queues, ...counts }: Period) {
  const inOrder = (rows: object[]) => rows.map((row) => JSON.stringify(row)).sort();
  return { ...counts, quotas: inOrder(quotas), calls: inOrder(calls), queues: inOrder(queues) };
}

test("parts make up the same minute in any order and grouping", () => {
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 5 }), fc.nat(5), (parts, at) => {
      const grouped = [sumOf(parts.slice(0, at)), sumOf(parts.slice(at))];
      const whole = sorted(minuteOf(parts));
      expect(sorted(minuteOf([...parts].reverse()))).toEqual(whole);
      expect(sorted(minuteOf(grouped))).toEqual(whole);
    }),
  );
});

test("minutes add up to the same hour in any order and grouping, also after JSON", () => {
  const minutes = fc.array(
    fc.array(part, { maxLength: 3 }).map((parts) => minuteOf(parts)),
    { maxLength: 6 },
  );
  fc.assert(
    fc.property(minutes, fc.nat(6), (all, at) => {
      const stored = all.map((minute) => JSON.parse(JSON.stringify(withoutZeros(minute))) as Period);
      const hour = sorted(sumOf(all));
      expect(hour.minutes).toBe(all.length);
      expect(sorted(sumOf([...stored].reverse()))).toEqual(hour);
      expect(sorted(sumOf([sumOf(stored.slice(0, at)), sumOf(stored.slice(at))]))).toEqual(hour);
    }),
  );
});

test("requests per minute are those of all processes together", () => {
  const of = (requests: number) => {
    const sum = new PeriodSum();
    sum.quota("q").requests = requests;
    return sum.period;
  };
  const hour = sumOf([minuteOf([of(1), of(1)]), minuteOf([of(2)]), minuteOf([of(0)])]);
  expect(hour).toMatchObject({ minutes: 3, quotas: [{ requests: 4, requestsPerMinute: { 9: 2 } }] });
});

test("a period that lacks fields of this version counts them as 0", () => {
  const old = { minutes: 1, samples: 1, quotas: [{ name: "q", requests: 2 }], calls: [], queues: [] } as never;
  expect(sumOf([old]).quotas[0]).toMatchObject({ requests: 2, throttles: 0, requestsPerMinute: {} });
});
