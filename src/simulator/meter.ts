// How one quota counts. Which window AWS uses is not documented, so there are three to choose from:
// - `fixed`    windows [k * windowMs, (k + 1) * windowMs); a call counts in the window in which it was admitted
// - `sliding`  a call counts for windowMs from its admission
// - `bucket`   a bucket that holds capacity x limit and fills up at limit / windowMs; a call takes out of it
//
// Pure: the time is an argument, in milliseconds, and never goes backwards.

export type WindowAlgorithm = "fixed" | "sliding" | "bucket";

export interface MeterRules {
  /** Undefined means that there is no limit; what counts is still measured. */
  limit: number | undefined;
  algorithm: WindowAlgorithm;
  windowMs: number;
  /** For `bucket`: what it holds, as a share of the limit. */
  bucketCapacity: number;
}

/** What was seen of one quota. */
export interface MeterStats {
  limit: number | undefined;
  /** Refused because of this quota. */
  refused: number;
  /** The most that ever counted at once: in one fixed window, in any sliding window, or taken out of the bucket. */
  peak: number;
}

export interface Meter {
  /** Whether so much more may be charged now. */
  fits(now: number, amount: number): boolean;
  charge(now: number, amount: number): Charge;
  /** Replaces the amount of a charge; what is given back counts from now on, in the window that it was taken from. */
  change(now: number, charge: Charge, amount: number): void;
  /** Counts a refusal. */
  refuse(): void;
  /** How long until so much more fits if nothing else is charged, in ms. Infinity if it never will. */
  waitMs(now: number, amount: number): number;
  /** What is left; undefined without a limit. `resetMs`: until all of it is, in ms. */
  remaining(now: number): Remaining | undefined;
  stats(): MeterStats;
}

export interface Remaining {
  limit: number;
  remaining: number;
  resetMs: number;
}

export interface Charge {
  readonly at: number;
  amount: number;
}

/** What counts now under one algorithm, for one quota. */
interface Window {
  used(now: number): number;
  add(now: number, charge: Charge): void;
  /** Tells that a charge made earlier has changed by so much. */
  adjust(now: number, charge: Charge, by: number): void;
  /** How long until no more than this counts if nothing is charged, in ms. */
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

/** What may count at once. */
function ceilingOf({ algorithm, bucketCapacity, limit }: MeterRules): number {
  if (limit === undefined) return Number.POSITIVE_INFINITY;
  // A sixth of three requests would be a bucket that never admits anything.
  return algorithm === "bucket" ? Math.max(1, limit * bucketCapacity) : limit;
}

function createWindow({ algorithm, windowMs, limit }: MeterRules): Window {
  // Without a limit nothing is refused, but the peak is still worth knowing: then of any sliding window.
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
  // A queue in an array: what lies before `head` has aged out.
  let log: Charge[] = [];
  let head = 0;
  let used = 0;
  const expire = (now: number) => {
    for (let oldest = log[head]; oldest && now - oldest.at >= windowMs; oldest = log[head]) {
      used -= oldest.amount;
      head++;
    }
    // Amortised: 100,000 calls within a window would make a shift() per call the slowest line of the simulator.
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
      // The charge has its new amount already: it must be counted before anything is taken off by age.
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
  // Counted in units of 1 / windowMs, so that whole milliseconds and whole limits stay whole numbers: a bucket that
  // refills by fractions is a hair below the full token at the very moment when it is due.
  let taken = 0;
  let last = Number.NEGATIVE_INFINITY;
  const refill = (now: number) => {
    // A full bucket stays full, by time and by refunds alike.
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
