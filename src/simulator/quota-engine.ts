// Quotas of one model as Bedrock applies them. A call reserves its input and its max_tokens when it is admitted, is
// refused if that does not fit, and is settled to what it really used when it ends; the rest is given back. Other
// programs may draw on the same quotas, and the tokens of a day are a quota that all models share.
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
  /** What other programs take out of the same quotas. Default: nothing. */
  foreign?: readonly ForeignLoad[];
  /** The quota of the day, which other models draw on too. Default: none. */
  day?: Meter;
  /** What one of this model's tokens costs there. Default 1. */
  dayWeight?: number;
}

export interface QuotaStats {
  admitted: number;
  requests: MeterStats;
  tokens: MeterStats;
  foreign: ForeignStats;
}

/** Which quota refused a call. */
export type ExceededQuota = "requests" | "tokens" | "tokens_per_day";

/** An admitted call. Given back to `settle` when it ends. */
export interface Admission {
  readonly tokens: Charge;
  readonly day?: Charge;
}

export interface QuotaEngine {
  /** Charges a call or says which quota refuses it; a refused call charges nothing. */
  admit(now: number, call: { input: number; maxTokens: number }): Admission | ExceededQuota;
  /**
   * Replaces a reservation by what was used, which may be more (burndown). What is given back counts from now on, in
   * the window that it was taken from.
   * @returns what the call is charged with
   */
  settle(now: number, admission: Admission, used: { input: number; output: number }): number;
  /** Lets the other programs' calls come that are due by now. Admitting and settling do so too. */
  advance(now: number): void;
  /** How long a call that was refused would have to wait, in ms, if nothing else came. Infinity if it never fits. */
  waitMs(now: number, call: { input: number; maxTokens: number }): number;
  /** What is left of the minute's quotas; absent where there is no limit. */
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
    // The day first: whoever is told of a minute's quota would come back in a minute.
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
