// The limits of an API key and their use, in words.
import { dollars, number } from "./format.ts";
import type { ApiKey } from "./resources.ts";

/** Returns the limits of a key in words. */
export function limitsOf(key: ApiKey): string {
  const limits = [
    ...(key.daily_tokens === null ? [] : [`${number(key.daily_tokens)} tokens a day`]),
    ...(key.budget_usd === null ? [] : [`$${number(key.budget_usd)} a month`]),
    ...(key.max_waiting === null ? [] : [`${number(key.max_waiting)} jobs`]),
    ...(key.weight === null ? [] : [`weight ${key.weight}`]),
  ];
  return limits.join(", ") || "none";
}

/** Returns what a key has used or reserved of its limits. */
export function usedOf(key: ApiKey): string {
  if (!key.used) return "–";
  const { used } = key;
  const parts = [
    ...(key.daily_tokens === null ? [] : [`${number(used.tokens_today + used.tokens_reserved)} tokens`]),
    ...(key.budget_usd === null ? [] : [dollars(used.usd_this_month + used.usd_reserved)]),
    ...(key.max_waiting === null ? [] : [`${number(used.jobs)} jobs`]),
  ];
  return parts.join(", ") || "–";
}
