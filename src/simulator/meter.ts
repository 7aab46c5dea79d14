// Counts one quota. AWS does not document its window, so there are three algorithms:
// - `fixed`: windows [k * windowMs, (k + 1) * windowMs); a call counts in the window in which it was admitted
// - `sliding`: a call counts for windowMs from its admission
// - `bucket`: a bucket that holds capacity x limit and refills at limit / windowMs; a call takes from it
//
// Pure: the time is an argument, in milliseconds, and never goes backwards.

/** How a quota counts over time. */
export type WindowAlgorithm = "fixed" | "sliding" | "bucket";

/** Rules of one quota. */
export interface MeterRules {
  /** Limit per window. Undefined: unlimited, but use is still measured. */
  limit: number | undefined;
  algorithm: WindowAlgorithm;
  windowMs: number;
  /** Capacity of a `bucket`, as a share of the limit. */
  bucketCapacity: number;
}

/** Statistics of one quota. */
export interface MeterStats {
  limit: number | undefined;
  /** Number of calls that this quota refused. */
  refused: number;
  /** Highest use at once: in one fixed window, in any sliding window, or taken from the bucket. */
  peak: number;
}

/** The state of one quota. */
export interface Meter {
  /** Returns whether this much more may be charged now. */
  fits(now: number, amount: number): boolean;
  charge(now: number, amount: number): Charge;
  /** Replaces the amount of a charge. What is released counts from now on, in the window that it was charged to. */
  change(now: number, charge: Charge, amount: number): void;
  /** Counts a refusal. */
  refuse(): void;
  /**
   * Returns the time until this much more fits if nothing else is charged, in milliseconds. Infinity if it never will.
   */
  waitMs(now: number, amount: number): number;
  /**
   * Returns what is left, or undefined without a limit. `resetMs` is the time until everything is available, in
   * milliseconds.
   */
  remaining(now: number): Remaining | undefined;
  stats(): MeterStats;
}

/** What is left of a quota. */
export interface Remaining {
  limit: number;
  remaining: number;
  resetMs: number;
}

/** A charge to a quota. */
export interface Charge {
  readonly at: number;
  amount: number;
}

/** Current use of one quota under one algorithm. */
interface Window {
  used(now: number): number;
  add(now: number, charge: Charge): void;
  /** Updates the use after an earlier charge has changed by an amount. */
  adjust(now: number, charge: Charge, by: number): void;
  /** Returns the time until use falls to this amount if nothing is charged, in milliseconds. */
  fallsToMs(now: number, amount: number): number;
}

export function createMeter(rules: MeterRules): Meter {
  const { limit } = rules;
  const window = createWindow(rules);
  const ceiling = ceilingOf(rules);
  let refused = 0;
  let peak = 0;
  return {
    fits: (now, amount) => window.used(now) + amount <= ceiling,
    charge(now, amount) {
      const charge = { at: now, amount };
      window.add(now, charge);
      peak = Math.max(peak, window.used(now));
      return charge;
    },
    change(now, charge, amount) {
      const by = amount - charge.amount;
      charge.amount = amount;
      window.adjust(now, charge, by);
      peak = Math.max(peak, window.used(now));
    },
    refuse() {
      refused++;
    },
    waitMs: (now, amount) => (amount > ceiling ? Number.POSITIVE_INFINITY : window.fallsToMs(now, ceiling - amount)),
    remaining: (now) =>
      limit === undefined
        ? undefined
        : { limit, remaining: Math.max(0, ceiling - window.used(now)), resetMs: window.fallsToMs(now, 0) },
    stats: () => ({ limit, refused, peak }),
  };
}

/** Returns how much may count at once. */
function ceilingOf({ algorithm, bucketCapacity, limit }: MeterRules): number {
  if (limit === undefined) return Number.POSITIVE_INFINITY;
  // A sixth of three requests would be a bucket that never admits anything.
  return algorithm === "bucket" ? Math.max(1, limit * bucketCapacity) : limit;
}

function createWindow({ algorithm, windowMs, limit }: MeterRules): Window {
  // Without a limit nothing is refused, but the peak is still useful: then of any sliding window.
  if (algorithm === "sliding" || limit === undefined) return slidingLog(windowMs);
  return algorithm === "fixed" ? fixedWindow(windowMs) : bucket(windowMs, limit);
}

function fixedWindow(windowMs: number): Window {
  let current = Number.NEGATIVE_INFINITY;
  let used = 0;
  const turn = (now: number) => {
    const window = Math.floor(now / windowMs);
    if (window !== current) used = 0;
    current = window;
  };
  return {
    used(now) {
      turn(now);
      return used;
    },
    add(now, charge) {
      turn(now);
      used += charge.amount;
    },
    adjust(now, charge, by) {
      turn(now);
      if (Math.floor(charge.at / windowMs) === current) used += by;
    },
    fallsToMs(now, amount) {
      turn(now);
      return used <= amount ? 0 : (current + 1) * windowMs - now;
    },
  };
}

function slidingLog(windowMs: number): Window {
  // A queue in an array. Entries before `head` have expired.
  let log: Charge[] = [];
  let head = 0;
  let used = 0;
  const expire = (now: number) => {
    for (let oldest = log[head]; oldest && now - oldest.at >= windowMs; oldest = log[head]) {
      used -= oldest.amount;
      head++;
    }
    // Amortised: with 100,000 calls in a window, a shift() per call would be the slowest line of the simulator.
    if (head > 1_000 && head * 2 > log.length) {
      log = log.slice(head);
      head = 0;
    }
  };
  return {
    used(now) {
      expire(now);
      return used;
    },
    add(_now, charge) {
      log.push(charge);
      used += charge.amount;
    },
    adjust(now, charge, by) {
      // The charge already has its new amount, so count the difference before expired charges are subtracted.
      if (head < log.length && log[head]!.at <= charge.at) used += by;
      expire(now);
    },
    fallsToMs(now, amount) {
      expire(now);
      let left = used;
      for (let i = head; left > amount && i < log.length; i++) {
        left -= log[i]!.amount;
        if (left <= amount) return log[i]!.at + windowMs - now;
      }
      return 0;
    },
  };
}

function bucket(windowMs: number, limit: number): Window {
  // Counts in units of 1 / windowMs, so that whole milliseconds and whole limits remain whole numbers. A bucket that
  // refills by fractions is slightly below the full token at the very moment when it is due.
  let taken = 0;
  let last = Number.NEGATIVE_INFINITY;
  const refill = (now: number) => {
    // A full bucket stays full, whether by time or by refunds.
    taken = Math.max(0, taken - (now - last) * limit);
    last = now;
  };
  return {
    used(now) {
      refill(now);
      return taken / windowMs;
    },
    add(now, charge) {
      refill(now);
      taken += charge.amount * windowMs;
    },
    adjust(now, _charge, by) {
      refill(now);
      taken += by * windowMs;
    },
    fallsToMs(now, amount) {
      refill(now);
      return Math.max(0, taken - amount * windowMs) / limit;
    },
  };
}
