// One quota: an exact log of what was charged within its window, and a pacer. A charge needs both to admit it.
//
// A provider may count in fixed windows, in a sliding log or in a token bucket, and does not say which. Both parts are
// kept because of a simulation with 300 ms of jitter. A sliding log over window + guard was never throttled by fixed
// windows or a log. A bucket that holds a sixth of the limit throttled it 83 % of the time. With a pacer (GCRA) that
// spreads what exceeds a tenth of the limit, none of the three throttled it, and it still used 99 %.
//
// The log is charged what the provider reserves. The pacer is charged what such reservations turned out to cost,
// because the provider gives the rest back. A pacer charged with reservations wasted 17 % of a quota of 100,000 tokens.
//
// Pure: time is an argument, in whole milliseconds, and never goes backwards. All arithmetic is on integers below 2^53,
// so that an implementation in another language gives the same answers.

import { Learning, type Seen } from "./learning.ts";
import { atOnceMs, type PacedCharge, Pacer } from "./pacer.ts";
import type { LearnedLimit } from "./scheduler.ts";
import type { QuotaConfig } from "./scheduler-configuration.ts";

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;
/** Slot length of a daily quota's log, in milliseconds: 288 entries however many calls. */
const daySlotMs = 5 * minuteMs;

export function windowMs(config: { per: "minute" | "day" }): number {
  return config.per === "minute" ? minuteMs : dayMs;
}

interface LogEntry {
  at: number;
  cost: number;
  /** The part of the cost that was charged for running calls. */
  reserved: number;
  /** Whether the entry has left the log. Editing it then changes nothing. */
  aged: boolean;
}

/** The trace of one charge. Pass it to `settle` or `void`. */
export interface Charge {
  readonly entry: LogEntry;
  /** The cost that the log holds for the charge now. */
  cost: number;
  /** The cost that was reserved at first. */
  readonly reserved: number;
  /** Whether the call is running, as far as is known. */
  isOpen: boolean;
  readonly paced: PacedCharge;
}

/** A start that is kept free for a waiting job. Others may be charged only if that job still fits at that time. */
export interface Booking {
  cost: number;
  at: number;
  /** Of two booked jobs the one booked first need not give way; otherwise each would wait for the other forever. */
  order: number;
}

export class Quota {
  config: QuotaConfig;
  learning: Learning;
  readonly bookings = new Map<string, Booking>();

  #guardMs: number;
  #log: LogEntry[] = [];
  #head = 0;
  #used = 0;
  #reserved = 0;
  readonly #pacer = new Pacer(this);
  /** For a daily quota that the provider resets at a fixed hour: the current day, and when it ends. */
  #day: number | undefined;
  #dayEndsAt = Number.POSITIVE_INFINITY;

  /** @param guardMs time after its charge within which a call may still reach the provider, in milliseconds */
  constructor(config: QuotaConfig, guardMs: number) {
    this.config = config;
    this.learning = new Learning(config);
    this.#guardMs = guardMs;
  }

  /** The limit after learning; between 1 and the configured limit. */
  get effectiveLimit(): number {
    return this.learning.limit;
  }

  /**
   * How long a charge counts, in milliseconds: the window plus the guard, by which two calls may get closer on the way.
   */
  get spanMs(): number {
    return windowMs(this.config) + this.#guardMs;
  }

  get isPaced(): boolean {
    return this.config.per === "minute" && this.learning.isSpread;
  }

  /** Replaces the quota's configuration. Keeps what was learned below the new limit. */
  reconfigure(config: QuotaConfig, guardMs: number): void {
    this.learning.reconfigure(config);
    if (config.resetHourUtc !== this.config.resetHourUtc) {
      this.#day = undefined;
      this.#dayEndsAt = Number.POSITIVE_INFINITY;
    }
    this.config = config;
    this.#guardMs = guardMs;
  }

  /** Returns what is charged within the current window: reservations of running calls, and real usage of ended ones. */
  used(now: number): number {
    this.#age(now);
    return this.#used;
  }

  /** Returns the part of `used` that was charged for running calls. */
  reserved(now: number): number {
    this.#age(now);
    return this.#reserved;
  }

  /** Whether the cost fits into an empty window. */
  everAdmits(cost: number): boolean {
    return cost <= this.config.limit;
  }

  /** Whether the cost may be charged now, ignoring bookings. */
  admits(cost: number, now: number): boolean {
    this.#age(now);
    if (now < this.learning.closedUntil || this.parkedUntil(cost, now) !== undefined) return false;
    return this.#logAdmits(cost, this.#used) && this.#pacer.admits(cost, now);
  }

  /** Returns until when the cost is parked, because as much was refused alone; see `Learning.parkedUntil`. */
  parkedUntil(cost: number, now: number): number | undefined {
    return this.learning.parkedUntil(cost, now);
  }

  /** Whether the cost may be charged now and every booking that has precedence over this job still fits. */
  admitsBeside(cost: number, now: number, jobId: string): boolean {
    return this.admits(cost, now) && this.givesWayUntil(cost, now, jobId) === undefined;
  }

  /**
   * Returns when a job that is admitted now should try again, because a charge now would delay a booked job. That is
   * when the booked job has started. If the booked job is due but waits for something else, it is when both fit.
   * Undefined if no booking is in the way.
   * @param jobId the job that wants to be charged; its own booking and later ones do not count
   */
  givesWayUntil(cost: number, now: number, jobId: string): number | undefined {
    const order = this.bookings.get(jobId)?.order ?? Number.POSITIVE_INFINITY;
    const expiresAt = this.#expiryOf(this.#slotOf(now));
    let until: number | undefined;
    for (const booking of this.bookings.values()) {
      if (booking.order >= order) continue;
      const at = Math.max(booking.at, now);
      const alive = this.#aliveAt(at) + (expiresAt > at ? cost : 0);
      if (this.#logAdmits(booking.cost, alive) && this.#pacer.admitsAfter(cost, now, booking.cost, at)) continue;
      until = Math.max(until ?? now, booking.at > now ? booking.at : this.#bothFitAt(cost, booking.cost, now));
    }
    return until;
  }

  /** Returns the earliest time at which the cost would be admitted if nothing else were charged until then. */
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
   * Estimates when the cost will be admitted if the quota is fully used and `ahead` goes before it. Never earlier than
   * what is already charged allows.
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

  /** Returns when the oldest charge ages out, or undefined if there is none. */
  nextFree(now: number): number | undefined {
    this.#age(now);
    const oldest = this.#log[this.#head];
    return oldest && this.#expiry(oldest);
  }

  /**
   * Charges the cost without checking whether it is admitted; the caller has checked.
   * @param isOpen whether the call is running; default true
   */
  charge(cost: number, now: number, isOpen = true): Charge {
    this.#age(now);
    const entry = this.#append(cost, now);
    this.#used += cost;
    if (isOpen) this.#reserve(entry, cost);
    return { entry, cost, reserved: cost, isOpen, paced: this.#pacer.charge(cost, now) };
  }

  /** Records that the call has ended. Its charge stays as it is. */
  close(charge: Charge): void {
    if (charge.isOpen) this.#reserve(charge.entry, -charge.cost);
    charge.isOpen = false;
  }

  /** Replaces a reservation by real usage. May be called again with a better number. */
  settle(charge: Charge, cost: number, now: number): void {
    this.#pacer.observe(charge.reserved, cost);
    this.#edit(charge, cost, now);
  }

  /** Cancels a charge because nothing was sent. The entry stays in the log at no cost. */
  void(charge: Charge, now: number): void {
    this.#edit(charge, 0, now);
  }

  /**
   * Records that the provider says this quota is exceeded. The charge of the refused call must have been edited before.
   * @param refused what the refused call had reserved
   * @param grantedAt when the refused call was granted
   * @param isNews see `Seen`
   */
  throttled(now: number, refused: number, grantedAt: number, retryAfterMs?: number, isNews = true): void {
    const kept = this.config.unit === "requests" ? refused : 0;
    const seen = { ...this.#seen(now), refused, kept, grantedAt, isNews };
    this.learning.throttled(seen, now, this.spanMs, retryAfterMs);
    this.#pacer.restUntil(this.learning.closedUntil);
  }

  /** Records that the provider admitted a call. */
  succeeded(now: number): void {
    this.learning.succeeded(() => this.used(now), this.#pacer.burstUsedAt, now, this.spanMs);
  }

  /** Admits nothing before `until`. */
  park(until: number): void {
    this.learning.park(until);
  }

  /** Restores what was learned in another process or before a restart. */
  learn(learned: LearnedLimit, now: number): void {
    this.learning.learn(learned, now);
  }

  /** Resets what was learned. */
  resetLearnedLimits(): void {
    this.learning = new Learning(this.config);
  }

  /**
   * Sets the current day of a quota that the provider resets at a fixed hour. A new day begins with nothing used. Call
   * it before every charge. A system clock that steps back across the hour and over it again ends the day once.
   */
  rollDay(day: number, endsAt: number): void {
    if (this.#day !== undefined && day > this.#day) {
      for (const entry of this.#log) entry.aged = true;
      this.#log = [];
      this.#head = 0;
      this.#used = 0;
      this.#reserved = 0;
    }
    this.#day = Math.max(this.#day ?? day, day);
    this.#dayEndsAt = endsAt;
  }

  #seen(now: number): Pick<Seen, "used" | "atOnce" | "ahead"> {
    this.#age(now);
    // Charges made before then will have aged out by that time.
    const atOnce = this.#aliveAt(now - atOnceMs + this.spanMs);
    return { used: this.#used, atOnce, ahead: this.#pacer.ahead(now) };
  }

  // -------------------------------------------------------------- the log

  #expiry(entry: LogEntry): number {
    return this.#expiryOf(entry.at);
  }

  #expiryOf(at: number): number {
    return Math.min(at + this.spanMs + 1, this.#dayEndsAt);
  }

  /** Returns the time at which a charge counts: for daily quotas, the end of its slot. */
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
      this.#reserved -= oldest.reserved;
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
      const entry = { at: Math.max(now, last?.at ?? now), cost, reserved: 0, aged: false };
      this.#log.push(entry);
      return entry;
    }
    const at = this.#slotOf(now);
    if (last && last.at >= at) {
      last.cost += cost;
      return last;
    }
    const entry = { at, cost, reserved: 0, aged: false };
    this.#log.push(entry);
    return entry;
  }

  #reserve(entry: LogEntry, difference: number): void {
    if (entry.aged) return;
    entry.reserved += difference;
    this.#reserved += difference;
  }

  #edit(charge: Charge, cost: number, now: number): void {
    this.#age(now);
    this.close(charge);
    const difference = cost - charge.cost;
    charge.cost = cost;
    if (!charge.entry.aged) {
      charge.entry.cost += difference;
      this.#used += difference;
    }
    this.#pacer.correct(charge.paced, cost, now);
  }

  /** An empty window admits one job up to the configured limit, so that a learned limit can never block it forever. */
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

  /** Returns when two costs fit at once; infinite if waiting alone does not make them fit. */
  #bothFitAt(a: number, b: number, now: number): number {
    const at = Math.max(this.#earliestByLog(a + b, now), this.#pacer.bothFitAt(a, b, now));
    return at > now ? at : Number.POSITIVE_INFINITY;
  }

  /** Returns how much of the present charges will still count at a later time. */
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
