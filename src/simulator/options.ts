// The options of the simulator: plain data, and two functions for tests (the clock and `fault`). All behaviour follows
// from them, the seed and the order of the calls.
import { type Clock, systemClock } from "../domain/clock.ts";
import type { Fault } from "./faults.ts";
import type { RecordedCall } from "./journal.ts";
import type { SimulatedModel } from "./models.ts";
import type { WindowAlgorithm } from "./quota-engine.ts";

export interface SimulatorOptions {
  /** Address to listen on. Default 127.0.0.1. */
  host?: string;
  /** 0 takes a free one. Default 0. */
  port?: number;
  /** Time of quotas and of the journal. Delays follow real time whatever the clock, as bytes on a socket do. Default: the system's. */
  clock?: Clock;
  /** Varies texts, latencies and jitter. A whole number. Default 1. */
  seed?: number;

  /** Of each model ID or profile in each region; unlimited if absent. */
  requestsPerMinute?: number;
  /** Input and output together, in the simulator's tokens (one per word); unlimited if absent. */
  tokensPerMinute?: number;
  /** How quotas count; see quota-engine.ts. Default `sliding`. */
  window?: WindowAlgorithm;
  /** How long a minute of the quotas is, in ms. Shorter ones are for tests in real time. Default 60,000. */
  windowMs?: number;
  /** For `bucket`: what it holds, as a share of the limit, above 0 and up to 1. Default 1. */
  bucketCapacity?: number;
  /**
   * Models beyond those that it knows, and other traits or quotas for those that it knows. By the bare ID, which then
   * holds for its profiles too, or by the ID of a profile.
   */
  models?: Record<string, SimulatedModel>;

  /** From admission to the first token, in ms; a pair is a range from which each call gets a value. Default 0. */
  latencyMs?: number | readonly [min: number, max: number];
  /** Speed of generation of one call; unlimited if absent. */
  tokensPerSecond?: number;
  /** Each request travels for up to this many ms before it is judged, so that calls may overtake each other. Default 0. */
  jitterMs?: number;
  /** How long an answer is, in tokens, unless max_tokens or a stop sequence ends it; a number or a range. Default [40, 160]. */
  answerTokens?: number | readonly [min: number, max: number];

  /** Every n-th call is refused with ThrottlingException (requests). Calls are counted as in `RecordedCall.n`. */
  throttleEvery?: number;
  /** Every n-th call is refused with ServiceUnavailableException. */
  unavailableEvery?: number;
  /** Every n-th call loses its connection, in a stream after three events. */
  cutEvery?: number;
  /** What is to go wrong with a call, if anything. Asked first, before the three above. */
  fault?: (call: RecordedCall) => Fault | undefined;

  /** How many of the latest calls `Simulator.calls` holds. Default 10,000. */
  journalSize?: number;
}

/** Options with their defaults, checked. */
export interface ResolvedOptions extends SimulatorOptions {
  host: string;
  port: number;
  clock: Clock;
  seed: number;
  window: WindowAlgorithm;
  windowMs: number;
  bucketCapacity: number;
  models: Record<string, SimulatedModel>;
  latencyMs: readonly [number, number];
  jitterMs: number;
  answerTokens: readonly [number, number];
  journalSize: number;
}

/** @throws RangeError that names the option, its value and what is allowed. */
export function resolveOptions(options: SimulatorOptions): ResolvedOptions {
  for (const [key, kind] of Object.entries(numericOptions)) {
    check(key, options[key as keyof SimulatorOptions], kind);
  }
  for (const [id, model] of Object.entries(options.models ?? {})) {
    for (const [key, kind] of Object.entries(numericModelOptions)) {
      check(`models["${id}"].${key}`, model[key as keyof SimulatedModel], kind);
    }
  }
  const window = options.window ?? "sliding";
  if (!["fixed", "sliding", "bucket"].includes(window)) {
    throw new RangeError(`window is ${JSON.stringify(window)}; allowed are fixed, sliding and bucket.`);
  }
  return {
    ...options,
    host: options.host ?? "127.0.0.1",
    port: options.port ?? 0,
    clock: options.clock ?? systemClock,
    seed: options.seed ?? 1,
    window,
    windowMs: options.windowMs ?? 60_000,
    bucketCapacity: options.bucketCapacity ?? 1,
    models: options.models ?? {},
    latencyMs: range("latencyMs", options.latencyMs ?? 0, "notNegative"),
    jitterMs: options.jitterMs ?? 0,
    answerTokens: range("answerTokens", options.answerTokens ?? [40, 160], "count"),
    journalSize: options.journalSize ?? 10_000,
  };
}

type NumberKind = keyof typeof numberKinds;

const numberKinds = {
  count: { test: (n: number) => Number.isSafeInteger(n) && n >= 1, allowed: "a whole number from 1" },
  positive: { test: (n: number) => Number.isFinite(n) && n > 0, allowed: "a number above 0" },
  notNegative: { test: (n: number) => Number.isFinite(n) && n >= 0, allowed: "a number from 0" },
  share: { test: (n: number) => n > 0 && n <= 1, allowed: "a number above 0 and up to 1" },
  integer: { test: (n: number) => Number.isSafeInteger(n), allowed: "a whole number" },
  port: {
    test: (n: number) => Number.isInteger(n) && n >= 0 && n <= 65_535,
    allowed: "a whole number from 0 to 65535",
  },
};

const quotaOptions = { requestsPerMinute: "count", tokensPerMinute: "count" } as const;

const numericOptions: { [K in keyof SimulatorOptions]?: NumberKind } = {
  ...quotaOptions,
  port: "port",
  seed: "integer",
  windowMs: "positive",
  bucketCapacity: "share",
  tokensPerSecond: "positive",
  jitterMs: "notNegative",
  throttleEvery: "count",
  unavailableEvery: "count",
  cutEvery: "count",
  journalSize: "count",
};

const numericModelOptions: { [K in keyof SimulatedModel]?: NumberKind } = {
  ...quotaOptions,
  maxOutputTokens: "count",
  contextTokens: "count",
  outputBurndown: "positive",
};

function check(key: string, value: unknown, kind: NumberKind): void {
  if (value === undefined) return;
  const { test, allowed } = numberKinds[kind];
  if (typeof value !== "number" || !test(value))
    throw new RangeError(`${key} is ${String(value)}; allowed is ${allowed}.`);
}

function range(key: string, value: number | readonly [number, number], kind: NumberKind): readonly [number, number] {
  const [min, max] = typeof value === "number" ? [value, value] : value;
  check(key, min, kind);
  check(key, max, kind);
  if (min > max) throw new RangeError(`${key} is [${min}, ${max}]; the first number must not exceed the second.`);
  return [min, max];
}
