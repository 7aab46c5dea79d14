// What a job may use at most, and what refuses it: the arithmetic of limits. Pure.
import type { Settings } from "../config/settings.ts";
import { SluiceError } from "../domain/errors.ts";
import type { Job } from "../domain/job.ts";
import { costNanoUsd, toUsd } from "../domain/money.ts";
import type { KeyLimits } from "./caller.ts";
import { servedBy } from "./served-by.ts";

/** What is set aside for jobs until they have ended, or what they have used. */
export interface Claim {
  jobs: number;
  /** Input and output. */
  tokens: number;
  /** Billionths of a US dollar. */
  nanoUsd: number;
  /** The parts of `tokens` and `nanoUsd` that calls used whose real usage is not known; absent: none. */
  estimated?: { tokens: number; nanoUsd: number };
}

export const nothing: Claim = { jobs: 0, tokens: 0, nanoUsd: 0 };

export function plus(a: Claim, b: Claim, sign: 1 | -1 = 1): Claim {
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
 * What one call of the job would cost at most: at the price of the dearest deployment that may serve it.
 * @throws SluiceError `forbidden` if that is not known, and the key has a budget to keep
 */
export function claimOf(settings: Pick<Settings, "models">, job: Job, limits: KeyLimits): Claim {
  const { input, output } = job.tokens;
  return { jobs: 1, tokens: input + output, nanoUsd: limits.budgetUsd === undefined ? 0 : dearest(settings, job) };
}

function dearest(settings: Pick<Settings, "models">, { model, fallbackModels, regions, tokens, request }: Job): number {
  let most = 0;
  for (const name of [model, ...fallbackModels]) {
    for (const { traits } of servedBy(settings, { model: name, regions })) {
      const cost = traits.prices && costNanoUsd(traits.prices, tokens, { tier: request.serviceTier });
      if (cost === undefined) {
        throw new SluiceError(
          "forbidden",
          `The API key has a budget, and the price of ${name} is not known. Prices can stand in the configuration, under catalogue.`,
          { field: "model" },
        );
      }
      most = Math.max(most, cost);
    }
  }
  return most;
}

export interface KeyUsage {
  /** Set aside for jobs that have not ended. */
  open: Claim;
  /** Used on this UTC day, and in this calendar month. */
  today: Claim;
  month: Claim;
}

/** Why the claim is too much; undefined if it is not. */
export function refusalOf(limits: KeyLimits, { open, today, month }: KeyUsage, claim: Claim): SluiceError | undefined {
  const { maxWaiting, dailyTokens, budgetUsd } = limits;
  if (maxWaiting !== undefined && open.jobs + claim.jobs > maxWaiting) {
    return new SluiceError(
      "limit_exceeded",
      `The API key may have ${counted(maxWaiting, "job")} waiting or running at a time; ${open.jobs} wait or run now.`,
    );
  }
  if (dailyTokens !== undefined && today.tokens + open.tokens + claim.tokens > dailyTokens) {
    return new SluiceError(
      "limit_exceeded",
      `The API key may use ${counted(dailyTokens, "token")} per UTC day; ${today.tokens} are used${ofWhich(today.estimated?.tokens)}, ${open.tokens} set aside ` +
        `for its waiting jobs, and this would take up to ${claim.tokens}.`,
    );
  }
  if (budgetUsd !== undefined && toUsd(month.nanoUsd + open.nanoUsd + claim.nanoUsd) > budgetUsd) {
    return new SluiceError(
      "budget_exceeded",
      `The API key may spend ${usd(budgetUsd)} per month (UTC); ${usd(toUsd(month.nanoUsd))} are spent${ofWhich(month.estimated?.nanoUsd, (n) => usd(toUsd(n)))}, ${usd(toUsd(open.nanoUsd))} set ` +
        `aside for its waiting jobs, and this would take up to ${usd(toUsd(claim.nanoUsd))}.`,
    );
  }
  return undefined;
}

/** Marks what is an estimate: calls that were cut off have no known usage. */
function ofWhich(estimated: number | undefined, print: (n: number) => string = String): string {
  return estimated ? ` (${print(estimated)} of that is an estimate)` : "";
}

function counted(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? "" : "s"}`;
}

function usd(amount: number): string {
  return `$${Number(amount.toPrecision(6))}`;
}
