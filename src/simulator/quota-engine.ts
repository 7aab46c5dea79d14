// Quotas of one model as Bedrock applies them. A call reserves its input and its max_tokens when it is admitted, is
// refused if that does not fit, and is settled to what it really used when it ends; the rest is given back.
//
// Which window AWS uses is not documented, so there are three to choose from:
// - `fixed`    windows [k * windowMs, (k + 1) * windowMs); a call counts in the window in which it was admitted
// - `sliding`  a call counts for windowMs from its admission
// - `bucket`   a bucket that holds capacity x limit and fills up at limit / windowMs; a call takes out of it
//
// Pure: the time is an argument, in milliseconds, and never goes backwards.

export type WindowAlgorithm = "fixed" | "sliding" | "bucket";

export interface QuotaRules {
  /** Undefined means no such quota. */
  requestsPerWindow?: number;
  tokensPerWindow?: number;
  algorithm: WindowAlgorithm;
  windowMs: number;
  /** For `bucket`: what it holds, as a share of the limit. */
  bucketCapacity: number;
  /** Quota tokens that one output token costs when a call is settled. */
  outputBurndown: number;
}

/** What was seen of one quota. */
export interface MeterStats {
  limit: number | undefined;
  /** Refused because of this quota. */
  refused: number;
  /** The most that ever counted at once: in one fixed window, in any sliding window, or taken out of the bucket. */
  peak: number;
}

export interface QuotaStats {
  admitted: number;
  requests: MeterStats;
  tokens: MeterStats;
}

/** An admitted call. Given back to `settle` when it ends. */
export interface Admission {
  readonly tokens: Charge;
}

export interface QuotaEngine {
  /** Charges a call or says which quota refuses it; a refused call charges nothing. */
  admit(now: number, call: { input: number; maxTokens: number }): Admission | "requests" | "tokens";
  /**
   * Replaces a reservation by what was used, which may be more (burndown). What is given back counts from now on, in
   * the window that it was taken from.
   */
  settle(now: number, admission: Admission, used: { input: number; output: number }): void;
  stats(): QuotaStats;
}

export function createQuotaEngine(rules: QuotaRules): QuotaEngine {
  const requests = createMeter(rules, rules.requestsPerWindow);
  const tokens = createMeter(rules, rules.tokensPerWindow);
  let admitted = 0;
  return {
    admit(now, call) {
      const cost = call.input + call.maxTokens;
      if (!requests.fits(now, 1)) return "requests";
      if (!tokens.fits(now, cost)) return "tokens";
      admitted++;
      requests.charge(now, 1);
      return { tokens: tokens.charge(now, cost) };
    },
    settle(now, admission, used) {
      tokens.change(now, admission.tokens, used.input + used.output * rules.outputBurndown);
    },
    stats: () => ({ admitted, requests: requests.stats(), tokens: tokens.stats() }),
  };
}

interface Charge {
  readonly at: number;
  amount: number;
}

/** What counts now under one algorithm, for one quota. */
interface Window {
  used(now: number): number;
  add(now: number, charge: Charge): void;
  /** Tells that a charge made earlier has changed by so much. */
  adjust(now: number, charge: Charge, by: number): void;
}

function createMeter(rules: QuotaRules, limit: number | undefined) {
  const window = createWindow(rules, limit);
  const ceiling = ceilingOf(rules, limit);
  let refused = 0;
  let peak = 0;
  return {
    fits(now: number, amount: number): boolean {
      const fits = window.used(now) + amount <= ceiling;
      if (!fits) refused++;
      return fits;
    },
    charge(now: number, amount: number): Charge {
      const charge = { at: now, amount };
      window.add(now, charge);
      peak = Math.max(peak, window.used(now));
      return charge;
    },
    change(now: number, charge: Charge, amount: number): void {
      const by = amount - charge.amount;
      charge.amount = amount;
      window.adjust(now, charge, by);
      peak = Math.max(peak, window.used(now));
    },
    stats: (): MeterStats => ({ limit, refused, peak }),
  };
}

/** What may count at once. */
function ceilingOf(rules: QuotaRules, limit: number | undefined): number {
  if (limit === undefined) return Number.POSITIVE_INFINITY;
  // A sixth of three requests would be a bucket that never admits anything.
  return rules.algorithm === "bucket" ? Math.max(1, limit * rules.bucketCapacity) : limit;
}

function createWindow(rules: QuotaRules, limit: number | undefined): Window {
  // Without a limit nothing is refused, but the peak is still worth knowing: then of any sliding window.
  if (rules.algorithm === "sliding" || limit === undefined) return slidingLog(rules.windowMs);
  return rules.algorithm === "fixed" ? fixedWindow(rules.windowMs) : bucket(rules.windowMs, limit);
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
  };
}
