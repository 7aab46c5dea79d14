// The status of a delivery, and when it is tried again.
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  type Delivery,
  type DeliveryTry,
  deliveryStatus,
  lostTryMs,
  nextTryAt,
  roundMs,
} from "../../src/domain/webhook.ts";

const delivery: Delivery = { id: "msg_1", environment: "UAT", tenant: "t", url: "https://h/", createdAt: 0 };
const status = (rounds: number[], tries: DeliveryTry[] = []) =>
  deliveryStatus({ delivery, rounds: rounds.map((at, round) => ({ round, at })), tries });
const tried = (fields: Partial<DeliveryTry>): DeliveryTry => ({ n: 1, round: 0, at: 100, worker: "w", ...fields });
const failed = { at: 101, delivered: false, durationMs: 1 };

test("each state", () => {
  expect(status([])).toEqual({ status: "waiting" });
  expect(status([5])).toEqual({ status: "pending", nextAt: 5 });
  expect(status([5], [tried({})])).toEqual({ status: "pending", nextAt: 100 + lostTryMs });
  expect(status([5], [tried({ end: { ...failed, nextAt: 900 } })])).toEqual({ status: "pending", nextAt: 900 });
  expect(status([5], [tried({ end: failed })])).toEqual({ status: "failed" });
  expect(status([5], [tried({ at: roundMs })])).toEqual({ status: "failed" });
  const delivered = tried({ end: { ...failed, delivered: true } });
  expect(status([5], [delivered])).toEqual({ status: "delivered" });
  expect(status([5, 700], [delivered])).toEqual({ status: "pending", nextAt: 700 });
  expect(status([5, 700], [delivered, tried({ n: 2, round: 1, end: failed })])).toEqual({ status: "failed" });
});

test("waits grow, never end before they began, last a day in all, and allow a bounded number of tries", () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0, max: 0.999, noNaN: true }), { minLength: 20, maxLength: 20 }),
      fc.option(fc.integer({ min: 0, max: 2 * roundMs }), { nil: undefined }),
      (randoms, retryAfterMs) => {
        const round = { round: 0, at: 1_000 };
        let now = round.at;
        let tries = 0;
        for (const random of randoms) {
          tries++;
          const asked = tries === 1 && retryAfterMs !== undefined ? { retryAfterMs } : {};
          const next = nextTryAt(round, { tries, now, random, ...asked });
          if (next === undefined) break;
          expect(next).toBeGreaterThanOrEqual(now + 4_500);
          expect(next).toBeLessThanOrEqual(round.at + roundMs);
          if (asked.retryAfterMs !== undefined && asked.retryAfterMs < roundMs) {
            expect(next).toBeGreaterThanOrEqual(now + asked.retryAfterMs);
          }
          now = next;
        }
        expect(tries).toBeLessThanOrEqual(13);
        // Unless a receiver postpones it, it is still tried in the last third of the day.
        if (retryAfterMs === undefined) expect(now).toBeGreaterThan(round.at + (roundMs * 3) / 5);
      },
    ),
  );
});
