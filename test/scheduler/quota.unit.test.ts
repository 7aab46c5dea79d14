// One quota, in long random runs against models that share no code with it.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Pacer } from "../../src/scheduler/pacer.ts";
import { type Charge, Quota } from "../../src/scheduler/quota.ts";
import { hourMs, minuteMs, quota } from "./harness.ts";

const guardMs = 800;

/** The steps of a call, as shares of what is possible, so that shrinking keeps it valid. */
interface Step {
  waitMs: number;
  /** Of the limit. */
  size: number;
  /** How long after its charge the call reaches the provider. */
  onTheWayMs: number;
  /** How long it runs, and how long its answer takes to arrive. */
  runsMs: number;
  backMs: number;
  /** The share of the reservation that is used; undefined if that is never known. Nothing was sent if `void`. */
  used: number | undefined | "void";
  /** Waits until it is admitted, rather than give up. */
  insists: boolean;
}

const step = (longestWaitMs: number, mostUsed: number): fc.Arbitrary<Step> =>
  fc.record({
    waitMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 3000 }), fc.integer({ min: 0, max: longestWaitMs })),
    size: fc.oneof(fc.double({ min: 0, max: 0.05, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true })),
    onTheWayMs: fc.oneof(fc.constantFrom(0, guardMs), fc.integer({ min: 0, max: guardMs })),
    runsMs: fc.integer({ min: 0, max: 20_000 }),
    backMs: fc.integer({ min: 0, max: 300 }),
    used: fc.oneof(fc.double({ min: 0, max: mostUsed, noNaN: true }), fc.constantFrom(undefined, "void" as const)),
    insists: fc.boolean(),
  });

const shape = fc.record({
  limit: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 20, max: 2_000_000 })),
  burst: fc.double({ min: 0, max: 1, noNaN: true }),
  /** Whole milliseconds since some start: processes begin near zero, and charges from before it are restored. */
  startMs: fc.constantFrom(0, 1_700_000_000_000),
});

/** A call as its provider sees it. */
interface Call {
  chargedAt: number;
  arrivesAt: number;
  reserved: number;
  /** What it counts at the provider from `endsAt` on, and here from `settledAt` on. */
  used: number;
  endsAt: number;
  settledAt: number;
  sent: boolean;
}

interface Run {
  calls: Call[];
  limit: number;
}

/** Runs the steps; `look` is called before every charge. */
function play(
  per: "minute" | "day",
  { limit, burst, startMs }: { limit: number; burst: number; startMs: number },
  steps: Step[],
  look: (quota: Quota, cost: number, now: number) => void = () => {},
): Run {
  const subject = new Quota(quota("q", limit, { per, burst: Math.ceil(burst * limit), unit: "tokens" }), guardMs);
  const calls: Call[] = [];
  let open: { call: Call; charge: Charge; void: boolean; settles: boolean }[] = [];
  let now = startMs;
  const moveTo = (time: number) => {
    const due = open.filter((o) => o.call.settledAt <= time).sort((a, b) => a.call.settledAt - b.call.settledAt);
    open = open.filter((o) => o.call.settledAt > time);
    for (const { call, charge, void: isVoid, settles } of due) {
      if (isVoid) subject.void(charge, call.settledAt);
      else if (settles) subject.settle(charge, call.used, call.settledAt);
    }
    now = time;
  };
  for (const s of steps) {
    moveTo(now + s.waitMs);
    const cost = Math.max(1, Math.floor(s.size * limit));
    if (!subject.admits(cost, now) && s.insists) {
      // Settlements on the way may admit it earlier. Then it is tried too late, which must not matter.
      moveTo(subject.earliest(cost, now));
    }
    look(subject, cost, now);
    if (!subject.admits(cost, now)) continue;
    const arrivesAt = now + s.onTheWayMs;
    const endsAt = arrivesAt + s.runsMs;
    const used = typeof s.used === "number" ? Math.floor(s.used * cost) : cost;
    const sent = s.used !== "void";
    const call = { chargedAt: now, arrivesAt, reserved: cost, used, endsAt, settledAt: endsAt + s.backMs, sent };
    calls.push(call);
    open.push({ call, charge: subject.charge(cost, now), void: !sent, settles: s.used !== undefined });
  }
  return { calls, limit };
}

/**
 * Returns the most that ever counts in any window of this length at the provider: reservations until their end, then
 * usage.
 */
function peak({ calls }: Run, windowMs: number): number {
  const sent = calls.filter((call) => call.sent);
  return Math.max(
    0,
    ...sent.map(({ arrivesAt: at }) =>
      sent
        .filter((call) => call.arrivesAt <= at && call.arrivesAt > at - windowMs)
        .reduce((sum, call) => sum + (call.endsAt <= at ? Math.min(call.used, call.reserved) : call.reserved), 0),
    ),
  );
}

describe("the log", () => {
  test("no window of a minute holds more than the limit, wherever it begins", () => {
    fc.assert(
      fc.property(shape, fc.array(step(90_000, 1), { minLength: 20, maxLength: 150 }), (s, steps) => {
        expect(peak(play("minute", s, steps), minuteMs)).toBeLessThanOrEqual(s.limit);
      }),
      { numRuns: 300 },
    );
  });

  test("no window of a day holds more than the limit", () => {
    fc.assert(
      fc.property(shape, fc.array(step(20 * hourMs, 1), { minLength: 20, maxLength: 100 }), (s, steps) => {
        expect(peak(play("day", s, steps), 24 * hourMs)).toBeLessThanOrEqual(s.limit);
      }),
      { numRuns: 200 },
    );
  });

  test("a higher real cost is debited: nothing is admitted until it fits", () => {
    fc.assert(
      fc.property(shape, fc.array(step(90_000, 3), { minLength: 20, maxLength: 150 }), (s, steps) => {
        const { calls } = play("minute", s, steps);
        calls.forEach((call, i) => {
          const known = calls
            .slice(0, i)
            .filter((other) => other.chargedAt > call.chargedAt - minuteMs)
            .reduce((sum, o) => sum + (o.settledAt > call.chargedAt ? o.reserved : o.sent ? o.used : 0), 0);
          expect(known === 0 || known + call.reserved <= s.limit).toBe(true);
        });
      }),
      { numRuns: 200 },
    );
  });

  test("the model detects an overflow: without a guard a window holds too much", () => {
    const early = { waitMs: 0, size: 1, onTheWayMs: guardMs, runsMs: 0, backMs: 0, used: 1, insists: true };
    const run = play("minute", { limit: 10, burst: 1, startMs: 0 }, [early, { ...early, onTheWayMs: 0 }]);
    run.calls[1]!.arrivesAt -= guardMs;
    expect(peak(run, minuteMs)).toBeGreaterThan(10);
  });
});

describe("queries", () => {
  for (const per of ["minute", "day"] as const) {
    test(`earliest() is exact, per ${per}`, () => {
      fc.assert(
        fc.property(shape, fc.array(step(90_000, 2), { minLength: 5, maxLength: 60 }), fc.nat(), (s, steps, pick) => {
          let asked = -1;
          play(per, s, steps, (subject, cost, now) => {
            asked += 1;
            if (asked !== pick % steps.length) return;
            const at = subject.earliest(cost, now);
            expect(Number.isSafeInteger(at)).toBe(true);
            if (at > now) expect(subject.admits(cost, at - 1)).toBe(false);
            expect(subject.admits(cost, at)).toBe(true);
          });
        }),
        { numRuns: 400 },
      );
    });
  }

  test("freeAfter() equals earliest() without jobs ahead, and grows with jobs ahead", () => {
    fc.assert(
      fc.property(
        shape,
        fc.array(step(90_000, 2), { minLength: 5, maxLength: 60 }),
        fc.array(fc.nat({ max: 5_000_000 }), { minLength: 1, maxLength: 8 }),
        (s, steps, sizes) => {
          play("minute", s, steps, (subject, cost, now) => {
            let before = subject.freeAfter(0, cost, now);
            expect(before).toBe(subject.earliest(cost, now));
            for (const ahead of sizes.sort((a, b) => a - b)) {
              const at = subject.freeAfter(ahead, cost, now);
              expect(Number.isSafeInteger(at)).toBe(true);
              expect(at).toBeGreaterThanOrEqual(before);
              before = at;
            }
          });
        },
      ),
      { numRuns: 100 },
    );
  });

  test("usage is a whole number, and zero once every charge has aged out", () => {
    fc.assert(
      fc.property(shape, fc.array(step(90_000, 3), { minLength: 5, maxLength: 60 }), (s, steps) => {
        let last: { subject: Quota; now: number } | undefined;
        play("minute", s, steps, (subject, _cost, now) => {
          expect(Number.isSafeInteger(subject.used(now))).toBe(true);
          expect(subject.used(now)).toBeGreaterThanOrEqual(0);
          last = { subject, now };
        });
        expect(last!.subject.used(last!.now + 2 * minuteMs)).toBe(0);
        expect(last!.subject.nextFree(last!.now + 2 * minuteMs)).toBeUndefined();
      }),
      { numRuns: 100 },
    );
  });

  test("usage from before this process started is paced as if it had been running", () => {
    const subject = new Quota(quota("q", 6000, { burst: 600 }), guardMs);
    // A minute of full use, in the time before zero.
    for (let ms = -60_000; ms < 0; ms += 1000) subject.charge(95, ms);
    expect(subject.earliest(100, 0)).toBeLessThanOrEqual(2000);
  });
});

describe("the pacer", () => {
  const paced = fc.record({
    limit: fc.integer({ min: 10, max: 2_000_000 }),
    burst: fc.double({ min: 0.01, max: 0.5, noNaN: true }),
  });
  const job = fc.record({
    waitMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 2000 }), fc.integer({ min: 0, max: 120_000 })),
    size: fc.double({ min: 0, max: 0.2, noNaN: true }),
    used: fc.double({ min: 0, max: 2, noNaN: true }),
    runsMs: fc.integer({ min: 0, max: 30_000 }),
  });
  const spanMs = minuteMs + guardMs;
  const pacerOf = (limit: number, burst: number) =>
    new Pacer({ isPaced: true, spanMs, effectiveLimit: limit, config: { limit }, learning: { burst } });

  test("no interval admits more than the burst, the rate, and the job that ends it", () => {
    fc.assert(
      fc.property(paced, fc.array(job, { minLength: 10, maxLength: 100 }), ({ limit, burst: share }, jobs) => {
        const burst = Math.ceil(share * limit);
        const pacer = pacerOf(limit, burst);
        const charged: { at: number; cost: number }[] = [];
        let now = 0;
        for (const { waitMs, size, used } of jobs) {
          const reserved = Math.max(1, Math.floor(size * limit));
          now += waitMs;
          if (!pacer.admits(reserved, now)) now = pacer.earliest(reserved, now);
          expect(pacer.admits(reserved, now)).toBe(true);
          const charge = pacer.charge(reserved, now);
          const cost = Math.floor(reserved * used);
          pacer.observe(reserved, cost);
          pacer.correct(charge, cost, now);
          charged.push({ at: now, cost });
        }
        charged.forEach((first, i) => {
          let sum = 0;
          for (const { at, cost } of charged.slice(i)) {
            sum += cost;
            // A millisecond of slack, and one more for the whole milliseconds in which time is counted.
            const rate = (limit * (at - first.at + 2)) / spanMs;
            expect(sum).toBeLessThanOrEqual(burst + rate + cost + 1);
          }
        });
      }),
      { numRuns: 300 },
    );
  });

  test("once every cost is known, the queue is at least as long as if the costs had been known from the start", () => {
    // Many calls that overlap and use less: a credit moves the charges behind it.
    const overlapping = fc.record({
      waitMs: fc.integer({ min: 0, max: 3000 }),
      size: fc.double({ min: 0, max: 0.2, noNaN: true }),
      used: fc.constantFrom(0, 0.1, 0.5, 1),
      runsMs: fc.integer({ min: 0, max: 15_000 }),
    });
    const work = fc.oneof(
      fc.array(job, { minLength: 5, maxLength: 80 }),
      fc.array(overlapping, { minLength: 3, maxLength: 15 }),
    );
    fc.assert(
      fc.property(paced, work, ({ limit, burst: share }, jobs) => {
        const pacer = pacerOf(limit, Math.ceil(share * limit));
        let ideal = 0;
        let now = 0;
        const ends: { at: number; settle: () => void }[] = [];
        const settleUntil = (time: number) => {
          for (const end of ends.filter((e) => e.at <= time).sort((a, b) => a.at - b.at)) end.settle();
          ends.splice(0, ends.length, ...ends.filter((e) => e.at > time));
        };
        const compare = () => {
          // A cost larger than any burst waits until the pacer is idle.
          const owedUntil = pacer.earliest(1e6 * limit, 0);
          expect(owedUntil).toBeGreaterThanOrEqual(Math.ceil(ideal / 1000));
        };
        for (const { waitMs, size, used, runsMs } of jobs) {
          now += waitMs;
          settleUntil(now);
          if (ends.length === 0) compare();
          const reserved = Math.max(1, Math.floor(size * limit));
          const cost = Math.floor(reserved * used);
          const charge = pacer.charge(reserved, now);
          ideal = Math.max(ideal, now * 1000) + Math.ceil((cost * spanMs * 1000) / limit);
          const at = now + runsMs;
          ends.push({
            at,
            settle: () => {
              pacer.observe(reserved, cost);
              pacer.correct(charge, cost, at);
            },
          });
        }
        settleUntil(Number.POSITIVE_INFINITY);
        compare();
      }),
      { numRuns: 1000 },
    );
  });

  test("the expected cost converges to the real cost from above and from below", () => {
    for (const [first, then] of [
      [1, 0.37],
      [0.01, 0.37],
    ] as const) {
      const pacer = pacerOf(1000, 100);
      for (const used of [...Array(200).fill(first), ...Array(400).fill(then)]) pacer.observe(10_000, 10_000 * used);
      expect(pacer.expected(100_000)).toBeGreaterThan(36_900);
      expect(pacer.expected(100_000)).toBeLessThan(37_100);
    }
  });
});

describe("days that end at a fixed hour", () => {
  const subject = () => new Quota(quota("q", 10, { per: "day", resetHourUtc: 0 }), guardMs);

  test("a clock that steps back across the hour and over it again ends the day once", () => {
    const q = subject();
    q.rollDay(1, 1000);
    q.charge(5, 0);
    q.rollDay(2, 1000 + 24 * hourMs);
    q.charge(4, 2000);
    q.rollDay(1, 3000);
    q.rollDay(2, 24 * hourMs);
    expect(q.used(2500)).toBe(4);
  });

  test("changing the reset hour does not empty the quota", () => {
    const q = subject();
    q.rollDay(5, 20 * hourMs);
    q.charge(7, 0);
    q.reconfigure(quota("q", 10, { per: "day", resetHourUtc: 9 }), guardMs);
    q.rollDay(14, 5 * hourMs);
    expect(q.used(0)).toBe(7);
    expect(q.used(5 * hourMs)).toBe(0);
  });
});

describe("learning", () => {
  test("limit and burst always stay between 1 and the configured values", () => {
    const event = fc.record({
      waitMs: fc.integer({ min: 0, max: 100_000 }),
      charge: fc.integer({ min: 1, max: 100 }),
      what: fc.constantFrom("throttled", "succeeded", "forget", "lower", "raise", "learn"),
      to: fc.integer({ min: 1, max: 200 }),
    });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 200 }), (events) => {
        const q = new Quota(quota("q", 100, { burst: 40 }), guardMs);
        let now = 0;
        for (const { waitMs, charge, what, to } of events) {
          now += waitMs;
          if (q.admits(charge, now)) q.charge(charge, now);
          if (what === "throttled") q.throttled(now, 1, now);
          else if (what === "succeeded") q.succeeded(now);
          else if (what === "forget") q.resetLearnedLimits();
          else if (what === "learn") q.learn({ quota: "q", effectiveLimit: to, effectiveBurst: 200 - to }, now);
          else q.reconfigure(quota("q", to, { burst: Math.ceil(to / 3) }), guardMs);
          expect(Number.isSafeInteger(q.effectiveLimit)).toBe(true);
          expect(q.effectiveLimit).toBeGreaterThanOrEqual(1);
          expect(q.effectiveLimit).toBeLessThanOrEqual(q.config.limit);
          expect(Number.isSafeInteger(q.learning.burst)).toBe(true);
          expect(q.learning.burst).toBeGreaterThanOrEqual(1);
          expect(q.learning.burst).toBeLessThanOrEqual(q.config.burst);
          expect(Number.isSafeInteger(q.earliest(q.config.limit, now))).toBe(true);
        }
      }),
      { numRuns: 200 },
    );
  });
});
