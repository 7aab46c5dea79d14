// The pacer of a quota (GCRA): lets a burst go at once and spreads the rest evenly over the window.
// Each charge adds time to a queue. A cost is admitted while the queued time and its own are no longer than the burst,
// and always while the queue is empty.
//
// The pacer is charged what reservations have turned out to cost, and corrected when the real cost is known. Pure:
// queued time is counted in whole microseconds.

/** Calls within this time count as sent at once, in milliseconds. */
export const atOnceMs = 2_000;

/** The part of a quota that the pacer follows. */
export interface Paced {
  readonly isPaced: boolean;
  /** Time to work off `effectiveLimit`, in milliseconds. */
  readonly spanMs: number;
  readonly effectiveLimit: number;
  readonly config: { readonly limit: number };
  readonly learning: { readonly burst: number };
}

/** The trace of one charge, needed to correct it. */
export interface PacedCharge {
  /** Microseconds that the charge occupies in the queue, and where in the queue it ends. */
  time: number;
  readonly end: number;
  readonly refundsBefore: number;
}

/** The ratio of settled to reserved cost is counted in these fractions and adapts with this inertia. */
const ratioUnit = 100_000;
const ratioInertia = 16;

export class Pacer {
  readonly #quota: Paced;
  /** When everything charged so far will have been worked off, in microseconds. */
  #busyUntil = Number.NEGATIVE_INFINITY;
  #refunds = 0;
  #ratio = ratioUnit;
  /** Since when the queue has not been empty, in milliseconds. */
  #busySince = Number.NEGATIVE_INFINITY;
  /** When the whole burst was last used at once, in milliseconds. */
  burstUsedAt = Number.NEGATIVE_INFINITY;

  constructor(quota: Paced) {
    this.#quota = quota;
  }

  /** Learns what a reservation turned out to cost. */
  observe(reserved: number, cost: number): void {
    // A refused call costs nothing, which says nothing about calls that are not refused.
    if (reserved <= 0 || cost <= 0) return;
    const sample = Math.floor((Math.min(cost, 8 * reserved) * ratioUnit) / reserved);
    this.#ratio = Math.max(1, this.#ratio + Math.floor((sample - this.#ratio) / ratioInertia));
  }

  /** Returns what reservations of this sum are expected to cost. */
  expected(reserved: number): number {
    return Math.ceil((reserved * this.#ratio) / ratioUnit);
  }

  admits(cost: number, now: number): boolean {
    return !this.#quota.isPaced || this.#admits(cost, now, this.#busyUntil);
  }

  /** Whether `cost` would be admitted at `at` if `other` were charged now. */
  admitsAfter(other: number, now: number, cost: number, at: number): boolean {
    if (!this.#quota.isPaced) return true;
    return this.#admits(cost, at, Math.max(this.#busyUntil, now * 1000) + this.#timeOf(other));
  }

  /** Returns when the cost is admitted if nothing but `ahead` is charged before it. */
  earliest(cost: number, now: number, ahead = 0): number {
    if (!this.#quota.isPaced) return now;
    const busyUntil = ahead === 0 ? this.#busyUntil : Math.max(this.#busyUntil, now * 1000) + this.#timeOf(ahead);
    const time = this.#timeOf(cost);
    const at = time <= this.#tolerance ? busyUntil + time - this.#tolerance : busyUntil;
    return Math.max(now, Math.ceil(at / 1000));
  }

  /** Returns when two costs are admitted one right after the other; infinite if together they exceed the burst. */
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
   * Corrects a charge to its real cost. A higher cost is always debited in full. A lower cost is credited only for the
   * part of the charge that is not worked off yet. Time that passed while the pacer was idle has already been credited
   * once.
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

  /** Returns how much was charged ahead of an even pace. */
  ahead(now: number): number {
    const { spanMs, effectiveLimit } = this.#quota;
    return Math.floor((Math.max(0, this.#busyUntil - now * 1000) * effectiveLimit) / (spanMs * 1000));
  }

  /** Admits what comes after `time` without a burst. */
  restUntil(time: number): void {
    if (!this.#quota.isPaced) return;
    this.#busyUntil = Math.max(this.#busyUntil, time * 1000 + this.#tolerance);
  }

  #admits(cost: number, now: number, busyUntil: number): boolean {
    const backlog = busyUntil - now * 1000;
    return backlog <= 0 || backlog + this.#timeOf(cost) <= this.#tolerance;
  }

  /** Returns how long a reservation is expected to occupy the queue, in microseconds. */
  #timeOf(reserved: number): number {
    return this.#realTimeOf(this.expected(reserved));
  }

  #realTimeOf(cost: number): number {
    return Math.ceil((cost * this.#quota.spanMs * 1000) / this.#quota.effectiveLimit);
  }

  /**
   * Returns the burst as microseconds; a learned burst narrows it in proportion. A millisecond is added because the
   * time of every charge is rounded up: six charges of a sixth of the burst must fit.
   */
  get #tolerance(): number {
    const { config, learning, spanMs } = this.#quota;
    return Math.floor((learning.burst * spanMs * 1000) / config.limit) + 1000;
  }
}
