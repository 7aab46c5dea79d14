// Learns from refusals how much a provider really admits in a window and at once, and how long to pause a quota.
//
//   limit   On a refusal it becomes 98 % of what our own log shows, at most halved, once per window.
//   burst   A refusal right after much went at once, while the log shows no more than half of the limit, points to a
//           bucket smaller than our burst, not to a lower limit. The burst becomes half of what went at once. A quota
//           that is not spread is spread first, however much of it was used. Only a refusal of calls at an even pace
//           lowers its limit.
//   pause   1 s after a refusal, doubled with each one that follows within a window, up to 16 s. What comes after it
//           starts without a burst.
//   park    A call that went alone because it costs more than the limit, and was refused, says nothing about the limit:
//           that cost is too large. It is tried again after 15 minutes, doubled up to an hour.
//
// A lowered value is probed: a little more after a window of full use, and more again in doubling steps, while nothing
// is refused. A refused probe returns to the last good value, and the next one waits twice as long. Reasons and figures
// are in docs/decisions/learning.md.
//
// Pure: time is an argument, in whole milliseconds. All arithmetic is on integers below 2^53, so that an implementation
// in another language gives the same answers.

import { atOnceMs } from "./pacer.ts";
import type { LearnedLimit } from "./scheduler.ts";
import type { QuotaConfig } from "./scheduler-configuration.ts";

const pauseMs = 1_000;
const longestPauseMs = 16_000;
const firstParkMs = 15 * 60_000;
const longestParkMs = 60 * 60_000;
/** Maximum number of windows between two probes. */
const longestPatience = 16;
/** The first step of a probe, in thousandths, and the largest step as a multiple of it. */
const limitSteps = { thousandths: 10, most: 8 };
const burstSteps = { thousandths: 100, most: 1 };

/** The smallest burst that is learned is the limit divided by this: half a second of a minute. */
const leastBurst = 120;

/** What the quota's log shows at a refusal, without the refused call. */
export interface Seen {
  used: number;
  /** Charged within the last `atOnceMs`. */
  atOnce: number;
  /** Charged ahead of an even pace. */
  ahead: number;
  /** What the refused call had reserved. */
  refused: number;
  /** The part of `refused` that the log still holds. A refused call still counts as a request. */
  kept: number;
  /** False if the same job was refused again and again. The job may then be the cause, so nothing is lowered. */
  isNews: boolean;
  /** When the refused call was granted. */
  grantedAt: number;
}

export class Learning {
  readonly #limit: Probed;
  readonly #burst: Probed;
  #config: QuotaConfig;
  /** Nothing is admitted before this time. */
  closedUntil = Number.NEGATIVE_INFINITY;
  throttledAt = Number.NEGATIVE_INFINITY;
  #inARow = 0;
  #loweredAt = Number.NEGATIVE_INFINITY;
  /** What the refusals of the present pause show together. */
  #refusals = { isAboutBurst: false, wasSpread: true, since: 0, kept: 0 };
  /** The smallest cost that was refused alone, until when it is parked, and for how long the next time. */
  #tooMuch = Number.POSITIVE_INFINITY;
  #parkedUntil = Number.NEGATIVE_INFINITY;
  #parkMs = firstParkMs;

  constructor(config: QuotaConfig) {
    this.#config = config;
    this.#limit = new Probed(config.limit);
    this.#burst = new Probed(config.burst);
  }

  /** The effective limit: between 1 and the configured one. */
  get limit(): number {
    return this.#limit.value;
  }

  /** What may go at once at the configured limit; proportionally less at a lower one. */
  get burst(): number {
    return this.#burst.value;
  }

  /** Whether what exceeds the burst is spread over the window. */
  get isSpread(): boolean {
    return this.burst < this.#config.limit;
  }

  /** Whether more is being tried than is known to work. */
  get isProbing(): boolean {
    return this.#limit.isProbing || this.#burst.isProbing;
  }

  /**
   * Learns from a refusal.
   * @param spanMs how long a charge counts, in milliseconds
   */
  throttled(seen: Seen, now: number, spanMs: number, retryAfterMs?: number): void {
    if (now - this.throttledAt > spanMs) this.#inARow = 0;
    this.throttledAt = now;
    // Calls sent before the quota closed show nothing new: 20 simultaneous refusals would close it for long.
    const isNew = seen.grantedAt >= this.closedUntil;
    const pause = isNew ? Math.min(longestPauseMs, pauseMs * 2 ** this.#inARow) : 0;
    if (isNew) this.#inARow = Math.min(16, this.#inARow + 1);
    // After one span no earlier call counts any more, whatever the provider's Retry-After says.
    this.closedUntil = Math.max(this.closedUntil, now + Math.min(spanMs, retryAfterMs ?? pause));
    if (this.#wentAlone(seen)) {
      this.#parkCost(seen.refused, now);
      return;
    }
    if (isNew) this.#refusals = { isAboutBurst: false, wasSpread: this.isSpread, since: now, kept: 0 };
    const refusals = this.#refusals;
    refusals.kept += seen.kept;
    if (!seen.isNews) return;
    // No call was granted since the first of these refusals, so only time has reduced the charges ahead of the pace.
    const ahead = seen.ahead + Math.floor(((now - refusals.since) * this.limit) / spanMs);
    const atOnce = refusals.wasSpread ? seen.atOnce : ahead;
    if (isNew) refusals.isAboutBurst = this.#pointsToBurst(seen, atOnce, spanMs);
    // Each later refusal within a burst shows more exactly how much of the burst was let through.
    if (refusals.isAboutBurst) this.#burst.lower(Math.min(this.burst, this.#halfOf(atOnce - refusals.kept)), now);
    else if (now - this.#loweredAt > spanMs) this.#lower(seen.used, now);
  }

  /**
   * Returns until when a cost is parked although an empty window would admit it, because as much was refused when it
   * went alone. Undefined if it may be tried. Without this, a job above the true limit would empty a window with each
   * try and halve the limit with each refusal. Smaller jobs could then use 0.2 % of what they could have used.
   */
  parkedUntil(cost: number, now: number): number | undefined {
    return cost > this.limit && cost >= this.#tooMuch && now < this.#parkedUntil ? this.#parkedUntil : undefined;
  }

  #wentAlone({ used, refused }: Seen): boolean {
    return refused > this.limit && used * 10 <= this.limit;
  }

  #parkCost(refused: number, now: number): void {
    this.#tooMuch = now < this.#parkedUntil ? Math.min(this.#tooMuch, refused) : refused;
    this.#parkedUntil = now + this.#parkMs;
    this.#parkMs = Math.min(longestParkMs, this.#parkMs * 2);
  }

  #pointsToBurst({ used, ahead }: Seen, atOnce: number, spanMs: number): boolean {
    const pace = Math.floor((this.limit * atOnceMs) / spanMs);
    // A refused probe of one value says nothing about the other value.
    if (this.isProbing) return !this.#limit.isProbing && (ahead >= 1 || atOnce >= 2);
    if (!this.isSpread) return atOnce >= 2 && atOnce > pace;
    if (atOnce < 2 || used * 2 > this.limit) return false;
    return atOnce > 2 * pace && this.#halfOf(atOnce) < this.burst;
  }

  #halfOf(atOnce: number): number {
    const least = Math.floor(this.#config.limit / leastBurst);
    return Math.max(1, least, Math.floor((atOnce * this.#config.limit) / (2 * this.limit)));
  }

  #lower(used: number, now: number): void {
    this.#loweredAt = now;
    const seen = Math.floor((used * 98) / 100);
    const half = Math.floor(this.limit / 2);
    this.#limit.lower(Math.max(1, Math.min(this.limit, Math.max(seen, half))), now);
  }

  /**
   * Learns from a call that was let through.
   * @param used returns what the log shows; called only when a higher limit is due for a probe
   * @param burstUsedAt when a whole burst last went at once, in milliseconds
   */
  succeeded(used: () => number, burstUsedAt: number, now: number, spanMs: number): void {
    const { limit, burst } = this.#config;
    if (this.#limit.isDue(limit, now, spanMs) && used() * 10 >= this.limit * 9) {
      this.#limit.probe(limit, limitSteps, now);
    }
    if (this.#burst.isDue(burst, now, spanMs)) {
      // By now a refusal would have arrived.
      const isProven = burstUsedAt > this.#burst.changedAt && now - burstUsedAt > atOnceMs;
      if (isProven) this.#burst.probe(burst, burstSteps, now);
    }
  }

  /** Admits nothing before `until`. */
  park(until: number): void {
    this.closedUntil = Math.max(this.closedUntil, until);
  }

  /** Admits at once, whatever the provider said. */
  reopen(): void {
    this.closedUntil = Number.NEGATIVE_INFINITY;
  }

  /** Restores what was learned in another process or before a restart. */
  learn(learned: LearnedLimit, now: number): void {
    const { limit, burst } = this.#config;
    this.#limit.value = Math.max(1, Math.min(limit, Math.floor(learned.effectiveLimit ?? limit)));
    this.#burst.value = Math.max(1, Math.min(burst, Math.floor(learned.effectiveBurst ?? burst)));
    for (const probed of [this.#limit, this.#burst]) probed.good = probed.value;
    if (learned.throttledAgoMs !== undefined) this.throttledAt = now - Math.max(0, Math.floor(learned.throttledAgoMs));
    if (learned.closedForMs !== undefined) this.park(now + Math.max(0, Math.ceil(learned.closedForMs)));
  }

  /** Replaces the configuration. Keeps what was learned below its numbers. */
  reconfigure(config: QuotaConfig): void {
    const before = this.#config;
    const burst = Math.max(1, Math.floor((this.burst * config.limit) / before.limit));
    this.#limit.follow(before.limit, config.limit, this.limit);
    this.#burst.follow(before.burst, config.burst, burst);
    if (config.limit !== before.limit) this.#parkedUntil = Number.NEGATIVE_INFINITY;
    this.#config = config;
  }
}

/** A value that was lowered and is probed upwards again. */
class Probed {
  value: number;
  good: number;
  changedAt = Number.NEGATIVE_INFINITY;
  #patience = 1;
  #step = 1;

  constructor(value: number) {
    this.value = value;
    this.good = value;
  }

  get isProbing(): boolean {
    return this.value > this.good;
  }

  lower(to: number, now: number): void {
    this.changedAt = now;
    this.#step = 1;
    if (this.isProbing) {
      this.value = this.good;
      this.#patience = Math.min(longestPatience, this.#patience * 2);
      return;
    }
    this.value = to;
    this.good = to;
    this.#patience = 1;
  }

  /** Whether it is time to try more, or to accept that what is being tried works. */
  isDue(ceiling: number, now: number, spanMs: number): boolean {
    if (this.value >= ceiling && !this.isProbing) return false;
    return now - this.changedAt > spanMs * (this.isProbing ? 1 : this.#patience);
  }

  probe(ceiling: number, { thousandths, most }: { thousandths: number; most: number }, now: number): void {
    if (this.isProbing) {
      this.#patience = Math.max(1, Math.floor(this.#patience / 2));
      this.#step = Math.min(most, this.#step * 2);
    }
    this.good = this.value;
    this.changedAt = now;
    this.value = Math.min(
      ceiling,
      this.value + Math.max(1, Math.floor((this.value * this.#step * thousandths) / 1000)),
    );
  }

  /** Adapts to a new ceiling. */
  follow(before: number, ceiling: number, value: number): void {
    this.value = this.value < before ? Math.min(value, ceiling) : ceiling;
    this.good = this.value;
  }
}
