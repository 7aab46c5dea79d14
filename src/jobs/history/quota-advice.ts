// Works out from the history which quotas hold up work, and which limit to ask the provider for. Pure.
// docs/decisions/quota-advice.md has the formula and its reasons.
import type { QuotaSettings } from "../../config/settings.ts";
import { addHistogram, type LogHistogram, percentile } from "../../domain/log-histogram.ts";
import { hourMs, minuteMs, type TimedPeriod } from "./history-records.ts";
import type { Period, QuotaUse } from "./period.ts";

/** A quota, its present limits, and the models that use it. */
export interface AdvisedQuota extends Pick<QuotaSettings, "name" | "unit" | "per"> {
  configuredLimit: number;
  /** The limit after learning. */
  effectiveLimit: number;
  /** Aliases whose deployments have this quota. */
  models: readonly string[];
}

export interface AdviceOptions {
  /** Time within which accepted work should be done, in whole hours. A quota per day always counts 24. */
  targetWaitHours: number;
  /** Time by which a charge counts longer than a minute, in milliseconds. */
  guardMs: number;
}

/**
 * What to do about a quota:
 * - `no_history`: nothing was recorded that shows its demand
 * - `enough`: it never held up work for a notable part of an hour
 * - `bursts`: it held up work, but is high enough for all work of the target time
 * - `restore`: the provider refuses below the configured limit, which would be enough
 * - `increase`: work needs a higher limit
 */
export type AdviceStatus = "no_history" | "enough" | "bursts" | "restore" | "increase";

/** Half of the busy minutes have at most `p50`, nine of ten have at most `p90`. Busy minutes have a request. */
export interface MinuteSpread {
  p50: number;
  p90: number;
}

export interface QuotaAdvice {
  quota: AdvisedQuota;
  status: AdviceStatus;
  /** The limit to ask for, in the quota's unit and period. Absent if none is needed or known. */
  requestedLimit?: number;
  /** Amount that the busiest work would have used per minute or day, had nothing held it up. */
  demand?: number;
  /** Start of that busiest time, in milliseconds since the epoch. */
  busiestAt?: number;
  /** Recorded minutes in which the quota existed. */
  minutes: number;
  /** Share of the time in which the quota held up waiting jobs, 0 to 1. */
  limitedShare: number;
  /** Mean and maximum of the amount in the quota's window. */
  used: { mean: number; max: number };
  requests: number;
  throttles: number;
  /** Minutes with at least one request. */
  busyMinutes: number;
  requestsPerMinute?: MinuteSpread;
  /** Input and output tokens. */
  tokensPerMinute?: MinuteSpread;
  /** Averages over requests whose tokens are known. Absent if there are none. */
  average?: { inputTokens: number; outputTokens: number; longInputShare: number };
}

/** Share of a window in which the quota must hold up work to count as limited. Less is the pace of a burst. */
const limitedFrom = 0.05;
/** Spare room in a requested limit: for estimates, growth, and because waits grow without bound at full use. */
const headroom = 1.25;
/** A learned limit below this share of the configured one is not noise of learning. */
const learnedBelow = 0.95;

/**
 * Returns the advice for one quota.
 * @param hours the history, in order
 */
export function adviseQuota(quota: AdvisedQuota, hours: readonly TimedPeriod[], options: AdviceOptions): QuotaAdvice {
  const own = hours.flatMap(({ at, period }) => {
    const use = period.quotas.find(({ name }) => name === quota.name);
    return use ? [{ at, minutes: period.minutes, use, jobs: jobsOf(period, quota.models) }] : [];
  });
  const facts = factsOf(quota, own);
  if (facts.samples === 0) return { ...facts.advice, status: "no_history" };
  const demand = demandOf(quota, own, options);
  if (demand === undefined) return { ...facts.advice, status: facts.limited === 0 ? "enough" : "no_history" };
  if (demand === null) return { ...facts.advice, status: "enough" };

  const advice = { ...facts.advice, demand: Math.ceil(demand.amount), busiestAt: demand.at };
  const needed = demand.amount * headroom;
  const { configuredLimit, effectiveLimit } = quota;
  if (needed > configuredLimit) return { ...advice, status: "increase", requestedLimit: rounded(needed) };
  if (effectiveLimit < learnedBelow * configuredLimit && needed > effectiveLimit) {
    return { ...advice, status: "restore", requestedLimit: configuredLimit };
  }
  return { ...advice, status: "bursts" };
}

interface Hour {
  at: number;
  minutes: number;
  use: QuotaUse;
  jobs: Jobs;
}

interface Jobs {
  /** Jobs that were accepted and not cancelled. */
  offered: number;
  /** Jobs that ended after they could run. */
  done: number;
  waitingMax: number;
}

function jobsOf({ queues }: Period, models: readonly string[]): Jobs {
  const jobs = { offered: 0, done: 0, waitingMax: 0 };
  for (const { model, submitted, cancelled, completed, failed, waitingMax } of queues) {
    if (!models.includes(model)) continue;
    jobs.offered += submitted - cancelled;
    jobs.done += completed + failed;
    jobs.waitingMax += waitingMax;
  }
  return jobs;
}

/**
 * Returns the largest demand among the windows in which the quota held up work; null if it never did, and undefined if
 * no job has ended, so that the cost of a job is unknown.
 */
function demandOf(
  { unit, per }: AdvisedQuota,
  hours: readonly Hour[],
  { targetWaitHours, guardMs }: AdviceOptions,
): { amount: number; at: number } | null | undefined {
  const windowHours = per === "day" ? 24 : targetWaitHours;
  const minutes = sum(hours, (hour) => hour.minutes);
  const windowMinutes = Math.min(windowHours * 60, minutes);
  const used = per === "day" ? tokensUsed(unit, hours) : minutes * ratePerMinute(hours, guardMs);
  const costOfJob = used / sum(hours, ({ jobs }) => jobs.done);
  if (!(costOfJob > 0) || !Number.isFinite(costOfJob)) return undefined;

  let most: { amount: number; at: number } | null = null;
  for (const [i, { at }] of hours.entries()) {
    const window = hours.slice(i).filter((hour) => hour.at < at + windowHours * hourMs);
    const limited = sum(window, ({ use }) => use.limited) / sum(window, ({ use }) => use.samples);
    if (!(limited >= limitedFrom)) continue;
    const offered = sum(window, ({ jobs }) => jobs.offered);
    // What waited when the history began was accepted before, and has to be done too.
    const jobs = i === 0 ? Math.max(offered, window[0]!.jobs.waitingMax) : Math.max(0, offered);
    const perMinute = (jobs * costOfJob) / windowMinutes;
    const amount = per === "day" ? perMinute * 24 * 60 : perMinute;
    if (most === null || amount > most.amount) most = { amount, at };
  }
  return most;
}

/** Returns what a quota per minute was charged on average in a minute, from the samples of its longer window. */
function ratePerMinute(hours: readonly Hour[], guardMs: number): number {
  const mean = sum(hours, ({ use }) => use.usedSum) / sum(hours, ({ use }) => use.samples);
  return (mean * minuteMs) / (minuteMs + guardMs);
}

/** Returns what a quota per day was charged. Its samples overlap, so requests are added up instead. */
function tokensUsed(unit: AdvisedQuota["unit"], hours: readonly Hour[]): number {
  return sum(hours, ({ use }) => {
    if (unit === "requests") return use.requests;
    return (unit === "output_tokens" ? 0 : use.inputTokens) + (unit === "input_tokens" ? 0 : use.outputTokens);
  });
}

// ---------------------------------------------------------------- facts

function factsOf(
  quota: AdvisedQuota,
  hours: readonly Hour[],
): { samples: number; limited: number; advice: Omit<QuotaAdvice, "status"> } {
  const total = (name: "samples" | "limited" | "usedSum" | "requests" | "answered" | "throttles" | "longInputs") =>
    sum(hours, ({ use }) => use[name]);
  const samples = total("samples");
  const answered = total("answered");
  const requestsPerMinute: LogHistogram = {};
  const tokensPerMinute: LogHistogram = {};
  for (const { use } of hours) {
    addHistogram(requestsPerMinute, use.requestsPerMinute);
    addHistogram(tokensPerMinute, use.tokensPerMinute);
  }
  const requests = spreadOf(requestsPerMinute);
  const tokens = spreadOf(tokensPerMinute);
  return {
    samples,
    limited: total("limited"),
    advice: {
      quota,
      minutes: sum(hours, ({ minutes }) => minutes),
      limitedShare: samples === 0 ? 0 : total("limited") / samples,
      used: {
        mean: samples === 0 ? 0 : Math.round(total("usedSum") / samples),
        max: Math.max(0, ...hours.map(({ use }) => use.usedMax)),
      },
      requests: total("requests"),
      throttles: total("throttles"),
      busyMinutes: Object.values(requestsPerMinute).reduce((a, b) => a + b, 0),
      ...(requests && { requestsPerMinute: requests }),
      ...(tokens && { tokensPerMinute: tokens }),
      ...(answered > 0 && {
        average: {
          inputTokens: Math.round(sum(hours, ({ use }) => use.inputTokens) / answered),
          outputTokens: Math.round(sum(hours, ({ use }) => use.outputTokens) / answered),
          longInputShare: total("longInputs") / answered,
        },
      }),
    },
  };
}

function spreadOf(histogram: LogHistogram): MinuteSpread | undefined {
  const p50 = percentile(histogram, 0.5);
  const p90 = percentile(histogram, 0.9);
  return p50 === undefined || p90 === undefined ? undefined : { p50: Math.round(p50), p90: Math.round(p90) };
}

function sum<T>(items: readonly T[], amountOf: (item: T) => number): number {
  return items.reduce((total, item) => total + amountOf(item), 0);
}

/** Rounds up to two significant digits. */
function rounded(value: number): number {
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(value)) - 1);
  return Math.ceil(value / unit) * unit;
}
