// Computes what a call costs. Prices are US dollars per million tokens. Amounts are whole billionths of a dollar, so
// that sums of any number of calls are exact. Pure.
import type { Usage } from "./job.ts";
import { isNative, type JobRequest } from "./request.ts";

/** US dollars per 1,000,000 tokens, on the provider's default tier. An absent price is unknown. */
export interface TokenPrices {
  input?: number;
  output?: number;
  /** Price of input that was read from a prompt cache. */
  cacheRead?: number;
  /** Price of input that was written to a prompt cache. */
  cacheWrite?: number;
  /** Price of input that is written to the cache for an hour. */
  cacheWriteHour?: number;
  /** Factors by which prices of a tier differ from those of the default tier. */
  tiers: { priority?: number; flex?: number };
}

const nanoPerUsd = 1_000_000_000;
/**
 * Trillionths of a dollar per token for a price of 1. Prices are rounded to whole trillionths, finer than any published
 * price.
 */
const picoPerToken = 1_000_000;
/** Factors are rounded to whole millionths. */
const factorUnits = 1_000_000;

/**
 * Returns the cost in billionths of a dollar, half of one rounded up. Undefined if a needed price is unknown.
 * @param tier service tier that the provider used. Default: the default tier
 * @param keptForAnHour whether the request asks for an hour's cache. Applies if the usage does not report it
 */
export function costNanoUsd(
  prices: TokenPrices,
  usage: Usage,
  { tier = "default", keptForAnHour = false }: { tier?: string; keptForAnHour?: boolean } = {},
): number | undefined {
  // The provider names the tier. It may be any string, even the name of a property that every object has.
  const factor = tier === "default" ? 1 : tier === "priority" || tier === "flex" ? prices.tiers[tier] : undefined;
  const { input, output, cacheRead, cacheWrite = 0 } = usage;
  // What the provider reports, or else what the request asked for.
  const hour = usage.cacheWriteHour ?? (keptForAnHour ? cacheWrite : 0);
  const parts: [tokens: number | undefined, price: number | undefined][] = [
    [input, prices.input],
    [output, prices.output],
    [cacheRead, prices.cacheRead],
    [Math.max(0, cacheWrite - hour), prices.cacheWrite],
    [hour, prices.cacheWriteHour],
  ];
  const amounts: [tokens: number, picoUsd: number][] = [];
  for (const [tokens, price] of parts) {
    if (!tokens) continue;
    if (price === undefined) return undefined;
    amounts.push([wholeTokens(tokens), Math.round(price * picoPerToken)]);
  }
  if (factor === undefined) return undefined;
  const rounded = amounts.reduce((sum, [tokens, picoUsd]) => sum + tokens * picoUsd, 500);
  // Numbers are exact below 2^53, and faster than large integers.
  if (factor === 1 && Number.isSafeInteger(rounded)) return (rounded - (rounded % 1000)) / 1000;
  const pico = amounts.reduce((sum, [tokens, picoUsd]) => sum + BigInt(tokens) * BigInt(picoUsd), 0n);
  const scale = 1000n * BigInt(factorUnits);
  return Number((pico * BigInt(Math.round(factor * factorUnits)) + scale / 2n) / scale);
}

/** Makes a whole number of tokens. Usage that was stored before usage was checked may be any number. */
function wholeTokens(tokens: number): number {
  return Number.isFinite(tokens) ? Math.max(0, Math.ceil(tokens)) : 0;
}

/** Converts billionths of a dollar to dollars. */
export function toUsd(nanoUsd: number): number {
  return nanoUsd / nanoPerUsd;
}

/** Whether a request asks to cache anything for an hour, which has its own price. */
export function keepsForAnHour(request: JobRequest): boolean {
  if (isNative(request)) return /"ttl"\s*:\s*"1h"/.test(request.native.body);
  const { systemCachePoint, messages } = request;
  return (
    systemCachePoint?.ttl === "1h" ||
    messages.some(({ content }) => content.some((block) => block.type === "cache_point" && block.cache.ttl === "1h"))
  );
}
