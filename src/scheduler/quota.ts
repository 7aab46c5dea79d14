// One quota: an exact log of what was charged within its window and, beside it, a pacer.
//
// Nobody knows whether the other side counts in fixed windows, in a sliding log or in a token bucket. Simulated with
// 300 ms of jitter, a sliding log over window + guard is never throttled by the first two, but is throttled 83 % of the
// time by a bucket that holds a sixth of the limit; together with a pacer (GCRA) that spreads what exceeds a tenth of
// the limit, it is never throttled by any of them and still uses 99 %. So both are kept, and both must admit.
//
// The log is charged what the provider reserves; the pacer what such charges have turned out to cost, because the
// provider gives the rest back (a pacer charged with reservations wasted 17 % of a quota of 100,000 tokens).
//
// Pure: time is an argument, in whole milliseconds, and never goes backwards. All arithmetic is on integers below
// 2^53, so that an implementation in another language gives the same answers.

import { Learning, type Seen } from "./learning.ts";
import { atOnceMs, type PacedCharge, Pacer } from "./pacer.ts";
import type { LearnedLimit } from "./scheduler.ts";
import type { QuotaConfig } from "./scheduler-configuration.ts";

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;
/** Charges of a day's quota are kept in slots of this length: 288 entries however many calls. */
const daySlotMs = 5 * minuteMs;

export function windowMs(config: { per: "minute" | "day" }): number {
  return config.per === "minute" ? minuteMs : dayMs;
}

interface LogEntry {
  at: number;
  cost: number;
  /** No longer in the log: editing it changes nothing. */
  aged: boolean;
}

/** The trace of one charge, to be given back when it is settled. */
export interface Charge {
  readonly entry: LogEntry;
  /** What the log holds for it now. */
  cost: number;
  /** What was reserved at first. */
  readonly reserved: number;
  readonly paced: PacedCharge;
}

/** What a job that waits for its turn has been promised: others may be charged only if it still fits at that time. */
export interface Booking {
  cost: number;
  at: number;
  /** Of two booked jobs the one with the lower turn need not give way, or each would wait for the other for ever. */
  turn: number;
}

export class Quota {
  config: QuotaConfig;
  learning: Learning;
  readonly bookings = new Map<string, Booking>();

  #guardMs: number;
  #log: LogEntry[] = [];
  #head = 0;
  #used = 0;
  readonly #pacer = new Pacer(this);
  /** For a day's quota that the provider resets at an hour: which day it is, and when it ends. */
  #day: number | undefined;
  #dayEndsAt = Number.POSITIVE_INFINITY;

  /** @param guardMs how long after its charge a call may still reach the provider */
  constructor(config: QuotaConfig, guardMs: number) {
    this.config = config;
    this.learning = new Learning(config);
    this.#guardMs = guardMs;
  }

  /** After learning; between 1 and the configured limit. */
  get effectiveLimit(): number {
    return this.learning.limit;
  }

  /** How long a charge counts: the window, and the guard, because two calls may be that much closer on arrival. */
  get spanMs(): number {
    return windowMs(this.config) + this.#guardMs;
  }

  get isPaced(): boolean {
    return this.config.per === "minute" && this.learning.burst < this.config.limit;
  }

  /** Takes over other numbers. What was learned below the new limit stays. */
  reconfigure(config: QuotaConfig, guardMs: number): void {
    this.learning.reconfigure(config);
    if (config.resetHourUtc !== this.config.resetHourUtc) {
      this.#day = undefined;
      this.#dayEndsAt = Number.POSITIVE_INFINITY;
    }
    this.config = config;
    this.#guardMs = guardMs;
  }

  /** Charged within the current window: reservations of running calls and what ended ones used. */
  used(now: number): number {
    this.#age(now);
    return this.#used;
  }

  /** Whether the cost can be admitted at all, be it into an empty window. */
  everAdmits(cost: number): boolean {
    return cost <= this.config.limit;
  }

  /** Whether the cost may be charged now, without regard to bookings. */
  admits(cost: number, now: number): boolean {
    this.#age(now);
    if (now < this.learning.closedUntil || this.parkedUntil(cost, now) !== undefined) return false;
    return this.#logAdmits(cost, this.#used) && this.#pacer.admits(cost, now);
  }

  /** Until when the cost is not tried, because as much was refused alone; see `Learning.parkedUntil`. */
  parkedUntil(cost: number, now: number): number | undefined {
    return this.learning.parkedUntil(cost, now);
  }

  /** Whether the cost may be charged now and every booked job that the asking one has to respect still fits then. */
  admitsBeside(cost: number, now: number, jobId: string): boolean {
    return this.admits(cost, now) && this.givesWayUntil(cost, now, jobId) === undefined;
  }

  /**
   * When a cost that is admitted now should ask again, because a charge now would push a booked job out of its time:
   * when that has started, or when both fit if it is due and waits for something else. Undefined if there is none.
   * @param jobId the job that asks: its own booking and later ones do not count
   */
  givesWayUntil(cost: number, now: number, jobId: string): number | undefined {
    const turn = this.bookings.get(jobId)?.turn ?? Number.POSITIVE_INFINITY;
    const disconnectedAt = this.#expiryOf(this.#slotOf(now));
    let until: number | undefined;
    for (const booking of this.bookings.values()) {
      if (booking.turn >= turn) continue;
      const at = Math.max(booking.at, now);
      const alive = this.#aliveAt(at) + (disconnectedAt > at ? cost : 0);
      if (this.#logAdmits(booking.cost, alive) && this.#pacer.admitsAfter(cost, now, booking.cost, at)) continue;
      until = Math.max(until ?? now, booking.at > now ? booking.at : this.#bothFitAt(cost, booking.cost, now));
    }
    return until;
  }

  /** The earliest time at which the cost would be admitted if nothing else were charged until then. */
  earliest(cost: number, now: number): number {
    this.#age(now);
    return Math.max(
      now,
      this.learning.closedUntil,
      this.parkedUntil(cost, now) ?? now,
      this.#earliestByLog(cost, now),
      this.#pacer.earliest(cost, now),
    );
  }

  /**
   * When the cost will be admitted if the quota is used to the full and so much goes before it: an estimate, never before
   * what is charged already lets it through.
   */
  freeAfter(ahead: number, cost: number, now: number): number {
    this.#age(now);
    const limit = this.effectiveLimit;
    const whole = this.#pacer.expected(ahead) + cost;
    const wholeWindows = Math.floor(Math.max(0, whole - 1) / limit);
    const rest = whole - wholeWindows * limit;
    let used = this.#used;
    let at = this.earliest(cost, now);
    for (let i = this.#head; i < this.#log.length && used + rest > limit; i++) {
      used -= this.#log[i]!.cost;
      at = Math.max(at, this.#expiry(this.#log[i]!));
    }
    return Math.max(at + wholeWindows * (this.spanMs + 1), this.#pacer.earliest(cost, now, ahead));
  }

  /** When the oldest charge ages out; undefined if there is none. */
  nextFree(now: number): number | undefined {
    this.#age(now);
    const oldest = this.#log[this.#head];
    return oldest && this.#expiry(oldest);
  }

  /** Charges, whether admitted or not (the caller has asked). */
  charge(cost: number, now: number): Charge {
    this.#age(now);
    const entry = this.#append(cost, now);
    this.#used += cost;
    return { entry, cost, reserved: cost, paced: this.#pacer.charge(cost, now) };
  }

  /** Replaces what was reserved by what was used. It may be called again with a better number. */
  settle(charge: Charge, cost: number, now: number): void {
    this.#pacer.observe(charge.reserved, cost);
    this.#edit(charge, cost, now);
  }

  /** Takes a charge back: nothing was sent. The entry stays in the log with no cost. */
  void(charge: Charge, now: number): void {
    this.#edit(charge, 0, now);
  }

  /**
   * The provider says that this quota is exceeded. The charge of the refused call must have been edited before.
   * @param refused what that call had reserved
   * @param isNews see `Seen`
   */
  throttled(now: number, refused: number, retryAfterMs?: number, isNews = true): void {
    this.learning.throttled({ ...this.#seen(now), refused, isNews }, now, this.spanMs, retryAfterMs);
    this.#pacer.restUntil(this.learning.closedUntil);
  }

  /** A call was admitted by the provider. */
  succeeded(now: number): void {
    this.learning.succeeded(() => this.used(now), this.#pacer.burstUsedAt, now, this.spanMs);
  }

  /** Nothing is admitted before that time. */
  park(until: number): void {
    this.learning.park(until);
  }

  /** What was learned elsewhere or before a restart. */
  learn(learned: LearnedLimit, now: number): void {
    this.learning.learn(learned, now);
  }

  /** Forgets what was learned. */
  resetLearnedLimits(): void {
    this.learning = new Learning(this.config);
  }

  /**
   * Tells a quota that the provider resets at an hour which day it is. A new day begins with nothing used. To be called
   * before every charge. A system clock that steps back across the hour and over it again ends the day once.
   */
  rollDay(day: number, endsAt: number): void {
    if (this.#day !== undefined && day > this.#day) {
      for (const entry of this.#log) entry.aged = true;
      this.#log = [];
      this.#head = 0;
      this.#used = 0;
    }
    this.#day = Math.max(this.#day ?? day, day);
    this.#dayEndsAt = endsAt;
  }
  #seen(now: number): Pick<Seen, "used" | "atOnce"> {
    this.#age(now);
    // What was charged before then will be gone by that time.
    return { used: this.#used, atOnce: this.#aliveAt(now - atOnceMs + this.spanMs) };
  }

  // -------------------------------------------------------------- the log

  #expiry(entry: LogEntry): number {
    return this.#expiryOf(entry.at);
  }

  #expiryOf(at: number): number {
    return Math.min(at + this.spanMs + 1, this.#dayEndsAt);
  }

  /** All charges of a day's slot count as if made at its end. */
  #slotOf(now: number): number {
    if (this.config.per === "minute") return now;
    return now - (((now % daySlotMs) + daySlotMs) % daySlotMs) + daySlotMs - 1;
  }

  /** Drops what is older than the window. */
  #age(now: number): void {
    while (this.#head < this.#log.length) {
      const oldest = this.#log[this.#head]!;
      if (this.#expiry(oldest) > now) break;
      this.#used -= oldest.cost;
      oldest.aged = true;
      this.#head += 1;
    }
    if (this.#head > 1024 && this.#head * 2 > this.#log.length) {
      this.#log = this.#log.slice(this.#head);
      this.#head = 0;
    }
  }

  #append(cost: number, now: number): LogEntry {
    const last = this.#log.length > this.#head ? this.#log[this.#log.length - 1] : undefined;
    if (this.config.per === "minute") {
      const entry = { at: Math.max(now, last?.at ?? now), cost, aged: false };
      this.#log.push(entry);
      return entry;
    }
    const at = this.#slotOf(now);
    if (last && last.at >= at) {
      last.cost += cost;
      return last;
    }
    const entry = { at, cost, aged: false };
    this.#log.push(entry);
    return entry;
  }

  #edit(charge: Charge, cost: number, now: number): void {
    this.#age(now);
    const difference = cost - charge.cost;
    charge.cost = cost;
    if (!charge.entry.aged) {
      charge.entry.cost += difference;
      this.#used += difference;
    }
    this.#pacer.correct(charge.paced, cost, now);
  }

  /** An empty window admits one job up to the configured limit, so that a learned limit can never block for ever. */
  #logAdmits(cost: number, used: number): boolean {
    return used + cost <= this.effectiveLimit || (used <= 0 && cost <= this.config.limit);
  }

  #earliestByLog(cost: number, now: number): number {
    let used = this.#used;
    if (this.#logAdmits(cost, used)) return now;
    for (let i = this.#head; i < this.#log.length; i++) {
      const entry = this.#log[i]!;
      used -= entry.cost;
      if (this.#logAdmits(cost, used)) return this.#expiry(entry);
    }
    return Number.POSITIVE_INFINITY;
  }

  /** When two costs fit at once; infinite if time alone does not bring that. */
  #bothFitAt(a: number, b: number, now: number): number {
    const at = Math.max(this.#earliestByLog(a + b, now), this.#pacer.bothFitAt(a, b, now));
    return at > now ? at : Number.POSITIVE_INFINITY;
  }

  /** What of today's charges will still count at a later time. */
  #aliveAt(time: number): number {
    let used = this.#used;
    for (let i = this.#head; i < this.#log.length; i++) {
      const entry = this.#log[i]!;
      if (this.#expiry(entry) > time) break;
      used -= entry.cost;
    }
    return used;
  }
}
