// What a call costs. Prices are US dollars per million tokens; amounts are whole billionths of a dollar, so that sums of
// any number of calls are exact. Pure.
import type { Usage } from "./job.ts";
import type { CanonicalRequest } from "./request.ts";

/** US dollars per 1,000,000 tokens, on the provider's default tier. What is absent is not known. */
export interface TokenPrices {
  input?: number;
  output?: number;
  /** Of input that was read from a prompt cache, and of input that was written to it. */
  cacheRead?: number;
  cacheWrite?: number;
  /** Of input that was written to be kept for an hour. */
  cacheWriteHour?: number;
  /** The prices of a tier are those of the default one times this. */
  tiers: { priority?: number; flex?: number };
}

const nanoPerUsd = 1_000_000_000;
/** Prices are turned into whole trillionths of a dollar per token, factors into millionths: finer than any that is published. */
const picoPerToken = 1_000_000;
const factorUnits = 1_000_000;

/**
 * Billionths of a dollar, half of one rounded up; undefined if a price that it takes is not known.
 * @param tier the service tier that the provider used; absent means the default one
 * @param keptForAnHour whether the request asks for an hour's cache: counts where the usage does not say what was kept for how long
 */
export function costNanoUsd(
  prices: TokenPrices,
  usage: Usage,
  { tier = "default", keptForAnHour = false }: { tier?: string; keptForAnHour?: boolean } = {},
): number | undefined {
  // The provider names the tier: it may be anything, also a name that every object has.
  const factor = tier === "default" ? 1 : tier === "priority" || tier === "flex" ? prices.tiers[tier] : undefined;
  const { input, output, cacheRead, cacheWrite = 0 } = usage;
  // What the provider says, or else what the request asked for.
  const hour = usage.cacheWriteHour ?? (keptForAnHour ? cacheWrite : 0);
  const parts: [tokens: number | undefined, price: number | undefined][] = [
    [input, prices.input],
    [output, prices.output],
    [cacheRead, prices.cacheRead],
    [Math.max(0, cacheWrite - hour), prices.cacheWrite],
    [hour, prices.cacheWriteHour],
  ];
  let pico = 0n;
  for (const [tokens, price] of parts) {
    if (!tokens) continue;
    if (price === undefined) return undefined;
    pico += BigInt(wholeTokens(tokens)) * BigInt(Math.round(price * picoPerToken));
  }
  if (factor === undefined) return undefined;
  const scale = 1000n * BigInt(factorUnits);
  return Number((pico * BigInt(Math.round(factor * factorUnits)) + scale / 2n) / scale);
}

/** What was stored before usage was checked may be any number. */
function wholeTokens(tokens: number): number {
  return Number.isFinite(tokens) ? Math.max(0, Math.ceil(tokens)) : 0;
}

export function toUsd(nanoUsd: number): number {
  return nanoUsd / nanoPerUsd;
}

/** Whether a request asks for anything to be kept in the cache for an hour, which has a price of its own. */
export function keepsForAnHour({ systemCachePoint, messages }: CanonicalRequest): boolean {
  return (
    systemCachePoint?.ttl === "1h" ||
    messages.some(({ content }) => content.some((block) => block.type === "cache_point" && block.cache.ttl === "1h"))
  );
}
