// The other side: a simulated Bedrock with one quota, and what its journal says about how well the quota was used.
import { type Simulator, startSimulator } from "../../src/simulator/simulator.ts";

export type Algorithm = "fixed" | "sliding" | "bucket";

export interface Quota {
  unit: "requests" | "tokens";
  limit: number;
  /** Tokens of a job's prompt, at least and at most. (In answers they would be as many events to read: of both sides.) */
  sizes: readonly [least: number, most: number];
  /** Whether the configuration sets `burst`, to a tenth of the limit. Default: true. */
  hasBurst?: boolean;
}

export const modelId = "us.meta.llama4-maverick-17b-instruct-v1:0";
const minuteMs = 60_000;

export function startUpstream(
  { unit, limit }: Quota,
  window: Algorithm,
  { jitterMs = 300, bucketCapacity = 1 } = {},
): Promise<Simulator> {
  return startSimulator({
    window,
    bucketCapacity,
    ...(unit === "requests" ? { requestsPerMinute: limit } : { tokensPerMinute: limit }),
    latencyMs: [500, 2_000],
    jitterMs,
    answerTokens: maxTokens,
    journalSize: 1_000_000,
  });
}

export interface Use {
  calls: number;
  /** Shares, from 0 to 1: of the calls, those that were throttled; and of the limit, what it held in flight and settled. */
  throttled: number;
  held: number;
  settled: number;
}

/**
 * Over whole minutes after the first: of the calls that arrived in the minute before each moment, what they had
 * reserved, or used if they had ended by then, as a share of the limit.
 * @param from, to of the simulator's clock
 */
export function useOf(simulator: Simulator, { unit, limit }: Quota, from: number, to: number): Use {
  const calls = simulator.calls.filter((call) => call.arrivedAt >= from && call.arrivedAt <= to);
  const admitted = calls.filter((call) => call.outcome !== "throttled" && call.outcome !== "refused");
  let held = 0;
  let settled = 0;
  let moments = 0;
  for (let t = from + minuteMs; t <= to; t += 250) {
    for (const call of admitted) {
      if (call.arrivedAt <= t - minuteMs || call.arrivedAt > t) continue;
      const ended = call.endedAt !== undefined && call.endedAt <= t;
      const used = unit === "requests" ? 1 : call.inputTokens + call.outputTokens;
      held += ended || unit === "requests" ? used : call.inputTokens + call.maxTokens;
      if (ended) settled += used;
    }
    moments++;
  }
  const throttled = calls.filter((call) => call.outcome === "throttled").length;
  return {
    calls: calls.length,
    throttled: calls.length === 0 ? 0 : throttled / calls.length,
    held: held / moments / limit,
    settled: settled / moments / limit,
  };
}

/** Sizes of every order of magnitude, the same in every run. */
export function sizesOf({ sizes: [least, most] }: Quota): () => number {
  let state = 7;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.round(least * (most / least) ** (((t ^ (t >>> 14)) >>> 0) / 2 ** 32));
  };
}

/** What every job asks for, and gets. */
export const maxTokens = 16;

/** As many tokens for the simulator, which counts words, as for a tokenizer. */
export function promptOf(tokens: number): string {
  return `water${" water".repeat(tokens - 1)}`;
}

export function meanCost({ sizes: [least, most] }: Quota): number {
  return maxTokens + (most > least ? (most - least) / Math.log(most / least) : most);
}
