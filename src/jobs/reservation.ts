// What a job may use at most, and what refuses it: the arithmetic of limits. Pure.
import type { Settings } from "../config/settings.ts";
import { SluiceError } from "../domain/errors.ts";
import type { Job } from "../domain/job.ts";
import { costNanoUsd, toUsd } from "../domain/money.ts";
import type { KeyLimits } from "./caller.ts";
import { servedBy } from "./served-by.ts";

/** The parts of a job that limits need. */
export type LimitedJob = Pick<
  Job,
  | "id"
  | "environment"
  | "keyId"
  | "batchId"
  | "model"
  | "fallbackModels"
  | "regions"
  | "baseModel"
  | "tokens"
  | "totalTokens"
  | "request"
>;

/** What is reserved for jobs that have not ended, or what jobs have used. */
export interface Amounts {
  jobs: number;
  /** Input and output. */
  tokens: number;
  /** Billionths of a US dollar. */
  nanoUsd: number;
  /** The parts of `tokens` and `nanoUsd` that calls used whose real usage is not known; absent: none. */
  estimated?: { tokens: number; nanoUsd: number };
}

export const nothing: Amounts = { jobs: 0, tokens: 0, nanoUsd: 0 };

/** Adds two amounts. With `sign` -1 it takes the second away from the first. */
export function plus(a: Amounts, b: Amounts, sign: 1 | -1 = 1): Amounts {
  const sum = {
    jobs: a.jobs + sign * b.jobs,
    tokens: a.tokens + sign * b.tokens,
    nanoUsd: a.nanoUsd + sign * b.nanoUsd,
  };
  if (!a.estimated && !b.estimated) return sum;
  const tokens = (a.estimated?.tokens ?? 0) + sign * (b.estimated?.tokens ?? 0);
  const nanoUsd = (a.estimated?.nanoUsd ?? 0) + sign * (b.estimated?.nanoUsd ?? 0);
  return { ...sum, estimated: { tokens, nanoUsd } };
}

/**
 * Returns what a job reserves of its key's limits: what its calls would cost at most if none of them failed, at the price of the dearest
 * deployment that may serve it.
 * @throws SluiceError `forbidden` if that price is not known, and the key has a budget to keep
 */
export function reservationOf(settings: Pick<Settings, "models">, job: LimitedJob, limits: KeyLimits): Amounts {
  const { input, output } = job.totalTokens ?? job.tokens;
  return { jobs: 1, tokens: input + output, nanoUsd: limits.budgetUsd === undefined ? 0 : dearest(settings, job) };
}

function dearest(
  settings: Pick<Settings, "models">,
  { model, fallbackModels, tokens, totalTokens = tokens, request, ...where }: LimitedJob,
): number {
  let most = 0;
  for (const name of [model, ...fallbackModels]) {
    for (const { traits } of servedBy(settings, { ...where, model: name })) {
      const cost = traits.prices && costNanoUsd(traits.prices, totalTokens, { tier: request.serviceTier });
      if (cost === undefined) {
        throw new SluiceError(
          "forbidden",
          `The API key has a budget, but the price of ${name} is not known. Set its prices in the configuration, under catalogue.`,
          { field: "model" },
        );
      }
      most = Math.max(most, cost);
    }
  }
  return most;
}

/** What counts against the limits of a key. */
export interface KeyUsage {
  /** For jobs that have not ended. */
  reserved: Amounts;
  /** Used on this UTC day, and in this calendar month. */
  today: Amounts;
  month: Amounts;
}

/** The used part of one limit of a key; 1 is all of it. Reservations for unfinished jobs are included. */
export interface UsedShare {
  limit: "max_waiting" | "daily_tokens" | "budget_usd";
  ratio: number;
}

export function usedShares(limits: KeyLimits, { reserved, today, month }: KeyUsage): UsedShare[] {
  const { maxWaiting, dailyTokens, budgetUsd } = limits;
  const used: [limit: UsedShare["limit"], most: number | undefined, amount: number][] = [
    ["max_waiting", maxWaiting, reserved.jobs],
    ["daily_tokens", dailyTokens, today.tokens + reserved.tokens],
    ["budget_usd", budgetUsd, toUsd(month.nanoUsd + reserved.nanoUsd)],
  ];
  // Nothing of a limit of 0 is left, so all of it counts as used.
  return used.flatMap(([limit, most, amount]) =>
    most === undefined ? [] : [{ limit, ratio: most > 0 ? amount / most : 1 }],
  );
}

/** Returns why so much more is too much; undefined if it is not. */
export function refusalOf(
  limits: KeyLimits,
  { reserved, today, month }: KeyUsage,
  wanted: Amounts,
): SluiceError | undefined {
  const { maxWaiting, dailyTokens, budgetUsd } = limits;
  if (maxWaiting !== undefined && reserved.jobs + wanted.jobs > maxWaiting) {
    return new SluiceError(
      "limit_exceeded",
      `The API key may have ${counted(maxWaiting, "job")} waiting or running at a time; it has ${reserved.jobs} now.`,
    );
  }
  if (dailyTokens !== undefined && today.tokens + reserved.tokens + wanted.tokens > dailyTokens) {
    return new SluiceError(
      "limit_exceeded",
      `The API key may use ${counted(dailyTokens, "token")} per UTC day; ${today.tokens} are used${ofWhich(today.estimated?.tokens)}, ${reserved.tokens} are reserved ` +
        `for unfinished jobs, and this request needs up to ${wanted.tokens}.`,
    );
  }
  if (budgetUsd !== undefined && toUsd(month.nanoUsd + reserved.nanoUsd + wanted.nanoUsd) > budgetUsd) {
    return new SluiceError(
      "budget_exceeded",
      `The API key may spend ${usd(budgetUsd)} per month (UTC); ${usd(toUsd(month.nanoUsd))} are spent${ofWhich(month.estimated?.nanoUsd, (n) => usd(toUsd(n)))}, ${usd(toUsd(reserved.nanoUsd))} are ` +
        `reserved for unfinished jobs, and this request needs up to ${usd(toUsd(wanted.nanoUsd))}.`,
    );
  }
  return undefined;
}

/** Returns how much of an amount is an estimate. Calls that were cut off have no known usage. */
function ofWhich(estimated: number | undefined, print: (n: number) => string = String): string {
  return estimated ? ` (${print(estimated)} of that is an estimate)` : "";
}

function counted(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? "" : "s"}`;
}

function usd(amount: number): string {
  return `$${Number(amount.toPrecision(6))}`;
}
