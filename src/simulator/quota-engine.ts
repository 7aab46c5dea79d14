// Applies the quotas of one model as Bedrock does. An admitted call reserves its input and its max_tokens. A call that
// does not fit is refused. When a call ends, its reservation is settled to its real use, and the rest is released.
// Other programs may use the same quotas, and the tokens of a day are a quota that all models share.
//
// Pure: the time is an argument, in milliseconds, and never goes backwards.
import { createForeignTraffic, type ForeignLoad, type ForeignStats } from "./foreign-traffic.ts";
import {
  type Charge,
  createMeter,
  type Meter,
  type MeterStats,
  type Remaining,
  type WindowAlgorithm,
} from "./meter.ts";

/** Rules of one model's quotas. */
export interface QuotaRules {
  /** Undefined: no such quota. */
  requestsPerWindow?: number;
  tokensPerWindow?: number;
  algorithm: WindowAlgorithm;
  windowMs: number;
  /** Capacity of a `bucket`, as a share of the limit. */
  bucketCapacity: number;
  /** Quota tokens charged per output token when a call is settled. */
  outputBurndown: number;
  /** What other programs take from the same quotas. Default: nothing. */
  foreign?: readonly ForeignLoad[];
  /** The quota of the day, which other models use too. Default: none. */
  day?: Meter;
  /** Cost of one of this model's tokens in the quota of the day. Default 1. */
  dayWeight?: number;
}

/** Statistics of one model's quotas. */
export interface QuotaStats {
  admitted: number;
  requests: MeterStats;
  tokens: MeterStats;
  foreign: ForeignStats;
}

/** The quota that refused a call. */
export type ExceededQuota = "requests" | "tokens" | "tokens_per_day";

/** An admitted call. Pass it to `settle` when the call ends. */
export interface Admission {
  readonly tokens: Charge;
  readonly day?: Charge;
}

/** The quotas of one model. */
export interface QuotaEngine {
  /** Charges a call, or returns the quota that refuses it. A refused call is not charged. */
  admit(now: number, call: { input: number; maxTokens: number }): Admission | ExceededQuota;
  /**
   * Replaces a reservation by the real use, which may be higher (burndown). What is released counts from now on, in the
   * window that it was charged to.
   * @returns the charge of the call
   */
  settle(now: number, admission: Admission, used: { input: number; output: number }): number;
  /** Makes the other programs' calls that are due by now. Admitting and settling do so too. */
  advance(now: number): void;
  /**
   * Returns how long a refused call would have to wait if no other call came, in milliseconds. Infinity if it never
   * fits.
   */
  waitMs(now: number, call: { input: number; maxTokens: number }): number;
  /** Returns what is left of the quotas per minute. Absent without a limit. */
  remaining(now: number): { requests?: Remaining; tokens?: Remaining };
  stats(): QuotaStats;
}

export function createQuotaEngine(rules: QuotaRules): QuotaEngine {
  const requests = createMeter({ ...rules, limit: rules.requestsPerWindow });
  const tokens = createMeter({ ...rules, limit: rules.tokensPerWindow });
  const { day, dayWeight = 1, outputBurndown } = rules;
  const foreign = createForeignTraffic(rules.foreign ?? []);
  let admitted = 0;

  const exceeded = (now: number, cost: number): ExceededQuota | undefined => {
    // The day comes first: a caller that hears of a quota per minute would retry in a minute.
    if (day && !day.fits(now, cost * dayWeight)) return "tokens_per_day";
    if (!requests.fits(now, 1)) return "requests";
    return tokens.fits(now, cost) ? undefined : "tokens";
  };
  const charge = (now: number, cost: number): Admission => {
    requests.charge(now, 1);
    return { tokens: tokens.charge(now, cost), ...(day && { day: day.charge(now, cost * dayWeight) }) };
  };
  const advance = (now: number) =>
    foreign.advance(now, (at, cost) => {
      if (exceeded(at, cost)) return false;
      charge(at, cost);
      return true;
    });

  return {
    admit(now, call) {
      advance(now);
      const cost = call.input + call.maxTokens;
      const quota = exceeded(now, cost);
      if (quota) {
        ({ requests, tokens, tokens_per_day: day })[quota]?.refuse();
        return quota;
      }
      admitted++;
      return charge(now, cost);
    },
    settle(now, admission, used) {
      advance(now);
      const cost = used.input + used.output * outputBurndown;
      tokens.change(now, admission.tokens, cost);
      if (admission.day) day?.change(now, admission.day, cost * dayWeight);
      return cost;
    },
    advance,
    waitMs(now, call) {
      const cost = call.input + call.maxTokens;
      return Math.max(requests.waitMs(now, 1), tokens.waitMs(now, cost), day?.waitMs(now, cost * dayWeight) ?? 0);
    },
    remaining(now) {
      const left = { requests: requests.remaining(now), tokens: tokens.remaining(now) };
      return { ...(left.requests && { requests: left.requests }), ...(left.tokens && { tokens: left.tokens }) };
    },
    stats: () => ({ admitted, requests: requests.stats(), tokens: tokens.stats(), foreign: foreign.stats() }),
  };
}
