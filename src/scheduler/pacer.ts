// The pacer of a quota (GCRA): a burst may go at once, what exceeds it is spread evenly over the window. Time charged
// queues up; a cost is admitted while what is queued, with the cost itself, is no longer than the burst, and always
// when nothing is queued.
//
// It is charged what reservations have turned out to cost, and corrected when the real cost is known. Pure; time in
// the queue is counted in whole microseconds.

/** What goes within this time is counted as sent at once. */
export const atOnceMs = 2_000;

/** What the pacer follows. */
export interface Paced {
  readonly isPaced: boolean;
  /** How long it takes to work off `effectiveLimit`. */
  readonly spanMs: number;
  readonly effectiveLimit: number;
  readonly config: { readonly limit: number };
  readonly learning: { readonly burst: number };
}

/** The trace of one charge. */
export interface PacedCharge {
  /** What the queue holds for it, and where in the queue the charge ends. */
  time: number;
  readonly end: number;
  readonly refundsBefore: number;
}

/** The ratio of settled to reserved cost is counted in these fractions and follows with this inertia. */
const ratioUnit = 100_000;
const ratioInertia = 16;

export class Pacer {
  readonly #quota: Paced;
  /** When, in microseconds, everything charged so far will have been worked off. */
  #busyUntil = Number.NEGATIVE_INFINITY;
  #refunds = 0;
  #ratio = ratioUnit;
  /** Since when the queue has not been empty. */
  #busySince = Number.NEGATIVE_INFINITY;
  /** When the whole burst had been used at once, last. */
  burstUsedAt = Number.NEGATIVE_INFINITY;

  constructor(quota: Paced) {
    this.#quota = quota;
  }

  /** Learns what a reservation turned out to cost. */
  observe(reserved: number, cost: number): void {
    // A call that was refused cost nothing, which says nothing about those that are not.
    if (reserved <= 0 || cost <= 0) return;
    const sample = Math.floor((Math.min(cost, 8 * reserved) * ratioUnit) / reserved);
    this.#ratio = Math.max(1, this.#ratio + Math.floor((sample - this.#ratio) / ratioInertia));
  }

  /** What reservations of this sum are expected to cost. */
  expected(reserved: number): number {
    return Math.ceil((reserved * this.#ratio) / ratioUnit);
  }

  admits(cost: number, now: number): boolean {
    return !this.#quota.isPaced || this.#admits(cost, now, this.#busyUntil);
  }

  /** Whether a cost would be admitted at that time if another one were charged now. */
  admitsAfter(other: number, now: number, cost: number, at: number): boolean {
    if (!this.#quota.isPaced) return true;
    return this.#admits(cost, at, Math.max(this.#busyUntil, now * 1000) + this.#timeOf(other));
  }

  /** When the cost is admitted if, from now on, nothing but so much is charged before it. */
  earliest(cost: number, now: number, ahead = 0): number {
    if (!this.#quota.isPaced) return now;
    const busyUntil = ahead === 0 ? this.#busyUntil : Math.max(this.#busyUntil, now * 1000) + this.#timeOf(ahead);
    const time = this.#timeOf(cost);
    const at = time <= this.#tolerance ? busyUntil + time - this.#tolerance : busyUntil;
    return Math.max(now, Math.ceil(at / 1000));
  }

  /** When two costs are admitted one right after the other; infinite if together they exceed the burst. */
  bothFitAt(a: number, b: number, now: number): number {
    if (!this.#quota.isPaced) return now;
    const time = this.#timeOf(a) + this.#timeOf(b);
    if (time > this.#tolerance) return Number.POSITIVE_INFINITY;
    return Math.max(now, Math.ceil((this.#busyUntil + time - this.#tolerance) / 1000));
  }

  charge(cost: number, now: number): PacedCharge {
    const time = this.#timeOf(cost);
    if (this.#busyUntil <= now * 1000) this.#busySince = now;
    this.#busyUntil = Math.max(this.#busyUntil, now * 1000) + time;
    const isFull = (this.#busyUntil - now * 1000) * 10 >= this.#tolerance * 9;
    if (isFull && now - this.#busySince <= atOnceMs) this.burstUsedAt = now;
    return { time, end: this.#busyUntil, refundsBefore: this.#refunds };
  }

  /**
   * Corrects a charge to its real cost. More is always debited. Less is credited only for the part of the charge that
   * has not been worked off yet: time that went by while the pacer was idle has been credited once already.
   */
  correct(charge: PacedCharge, cost: number, now: number): void {
    const real = this.#realTimeOf(cost);
    const difference = real - charge.time;
    charge.time = real;
    if (difference >= 0) {
      this.#busyUntil = Math.max(this.#busyUntil, now * 1000) + difference;
      return;
    }
    const end = charge.end - (this.#refunds - charge.refundsBefore);
    const refund = Math.min(-difference, Math.max(0, end - now * 1000));
    this.#busyUntil -= refund;
    this.#refunds += refund;
  }

  /** What is admitted after that time starts without a burst. */
  restUntil(time: number): void {
    this.#busyUntil = Math.max(this.#busyUntil, time * 1000 + this.#tolerance);
  }

  #admits(cost: number, now: number, busyUntil: number): boolean {
    const backlog = busyUntil - now * 1000;
    return backlog <= 0 || backlog + this.#timeOf(cost) <= this.#tolerance;
  }

  /** For how long a reservation is expected to occupy the queue. */
  #timeOf(reserved: number): number {
    return this.#realTimeOf(this.expected(reserved));
  }

  #realTimeOf(cost: number): number {
    return Math.ceil((cost * this.#quota.spanMs * 1000) / this.#quota.effectiveLimit);
  }

  /**
   * The burst, as time; what is learned narrows it in proportion. A millisecond more, because the time of every charge
   * is rounded up: six charges of a sixth of the burst are to fit.
   */
  get #tolerance(): number {
    const { config, learning, spanMs } = this.#quota;
    return Math.floor((learning.burst * spanMs * 1000) / config.limit) + 1000;
  }
}
