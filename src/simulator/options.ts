// The options of the simulator: plain data, and two functions for tests (the clock and `fault`). All behaviour follows
// from them, the seed and the order of the calls.
import { type Clock, systemClock } from "../domain/clock.ts";
import type { AuthenticationOptions } from "./aws-authentication.ts";
import { checkFaultRule } from "./fault-rules.ts";
import type { Fault, FaultRule } from "./faults.ts";
import type { RecordedCall } from "./journal.ts";
import type { WindowAlgorithm } from "./meter.ts";
import { credentialsList, foreignTraffic, optionCheck, optionFields, readFields, section } from "./option-schema.ts";
import type { SimulatedAccount } from "./simulated-account.ts";
import type { SimulatedModel } from "./simulated-models.ts";

/** Limits of each model ID or profile in a region, and of the region's day. */
export interface RegionOptions extends SimulatedQuotas {
  tokensPerDay?: number;
  /** Limits by the bare ID or the ID of a profile. */
  models?: Record<string, SimulatedQuotas>;
}

interface SimulatedQuotas {
  requestsPerMinute?: number;
  tokensPerMinute?: number;
}

/** Another program of the account, which sends requests at an even pace. */
export interface ForeignTrafficOptions {
  /**
   * Model whose quotas it uses. A bare ID includes its profiles. Absent model, region or account: every one that is
   * called.
   */
  modelId?: string;
  region?: string;
  account?: string;
  requestsPerMinute: number;
  /** Quota tokens that each of its requests is charged at once. Default 0. */
  tokensPerRequest?: number;
  /** Begin, in milliseconds since the simulator's start. Default 0. */
  fromMs?: number;
  /** End, in milliseconds since the simulator's start. Default: never. */
  untilMs?: number;
}

/** Options of a simulator. */
export interface SimulatorOptions extends AuthenticationOptions {
  /** Address to listen on. Default 127.0.0.1. */
  host?: string;
  /** Port to listen on; 0 picks a free one. Default 0. */
  port?: number;
  /**
   * Clock of quotas and journal. Default: the system's. Delays follow real time, whatever the clock, because sockets
   * do.
   */
  clock?: Clock;
  /** Varies texts, latencies and jitter. A whole number. Default 1. */
  seed?: number;

  /** Limit of each model ID or profile in each region. Default: unlimited. */
  requestsPerMinute?: number;
  /** Limit of input and output together, in the simulator's tokens (one per word). Default: unlimited. */
  tokensPerMinute?: number;
  /** Limit of all models of an account in a region together, weighted by `dayWeight`. Default: unlimited. */
  tokensPerDay?: number;
  /**
   * `sliding`: the last `dayMs`. `utc`: since midnight UTC (since the last multiple of `dayMs` in the epoch). Default
   * `sliding`.
   */
  dayWindow?: "sliding" | "utc";
  /** Length of a day of the quotas, in milliseconds. Default 86,400,000. */
  dayMs?: number;
  /**
   * Limits that differ in a region. A model's limit in `models` precedes a region's. The region's own `models` precede
   * both.
   */
  regions?: Record<string, RegionOptions>;
  /** What other programs take from the same quotas. Default: nothing. */
  foreignTraffic?: readonly ForeignTrafficOptions[];
  /** How quotas per minute count; see meter.ts. Default `sliding`. */
  window?: WindowAlgorithm;
  /** Length of a minute of the quotas, in milliseconds. Shorter ones are for tests in real time. Default 60,000. */
  windowMs?: number;
  /** Capacity of a `bucket`, as a share of the limit, above 0 and up to 1. Default 1. */
  bucketCapacity?: number;
  /**
   * Additional models, and other traits or quotas for known models. The key is the bare ID, which then includes its
   * profiles, or the ID of a profile.
   */
  models?: Record<string, SimulatedModel>;

  /** What is listed for the account, and what it may do. Default: everything known, any role. */
  account?: SimulatedAccount;

  /**
   * Time from admission to the first token, in milliseconds. A pair is a range, from which each call gets a value.
   * Default 0.
   */
  latencyMs?: number | readonly [min: number, max: number];
  /** Speed of generation of one call. Default: unlimited. */
  tokensPerSecond?: number;
  /**
   * Maximum delay of each request before it is checked, in milliseconds, so that calls may overtake each other. Default
   * 0.
   */
  jitterMs?: number;
  /**
   * Length of an answer in tokens, a number or a range, unless max_tokens or a stop sequence ends it. Default [40,
   * 160].
   */
  answerTokens?: number | readonly [min: number, max: number];

  /** Faults to inject, with their conditions. The first rule that applies wins. Default: none. */
  faults?: readonly FaultRule[];
  /** Refuses every n-th call with ThrottlingException (requests). Only valid, signed calls count. */
  throttleEvery?: number;
  /** Refuses every n-th call with ServiceUnavailableException. */
  unavailableEvery?: number;
  /** Closes the connection of every n-th call, in a stream after three events. */
  cutEvery?: number;
  /** Returns the fault of a call, if any. Takes precedence over `faults` and the three options above. */
  fault?: (call: RecordedCall) => Fault | undefined;

  /** Number of the latest calls that `Simulator.calls` holds. Default 10,000. */
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
  dayWindow: "sliding" | "utc";
  dayMs: number;
  regions: Record<string, RegionOptions>;
  foreignTraffic: readonly ForeignTrafficOptions[];
  models: Record<string, SimulatedModel>;
  latencyMs: readonly [number, number];
  jitterMs: number;
  answerTokens: readonly [number, number];
  /** `faults`, and the rules of the shorter options. */
  faults: readonly FaultRule[];
  journalSize: number;
}

/**
 * Checks the options and adds defaults.
 * @throws RangeError that names the option, what is allowed and what was found
 */
export function resolveOptions(options: SimulatorOptions): ResolvedOptions {
  check(options);
  return {
    ...options,
    host: options.host ?? "127.0.0.1",
    port: options.port ?? 0,
    clock: options.clock ?? systemClock,
    seed: options.seed ?? 1,
    window: options.window ?? "sliding",
    windowMs: options.windowMs ?? 60_000,
    bucketCapacity: options.bucketCapacity ?? 1,
    dayWindow: options.dayWindow ?? "sliding",
    dayMs: options.dayMs ?? 86_400_000,
    regions: options.regions ?? {},
    foreignTraffic: options.foreignTraffic ?? [],
    models: options.models ?? {},
    latencyMs: range("latencyMs", options.latencyMs ?? 0),
    jitterMs: options.jitterMs ?? 0,
    answerTokens: range("answerTokens", options.answerTokens ?? [40, 160]),
    faults: [...(options.faults ?? []), ...recurring(options)],
    journalSize: options.journalSize ?? 10_000,
  };
}

function recurring({ throttleEvery, unavailableEvery, cutEvery }: SimulatorOptions): FaultRule[] {
  return [
    ...(throttleEvery ? [{ kind: "error", error: "ThrottlingException", every: throttleEvery } as const] : []),
    ...(unavailableEvery
      ? [{ kind: "error", error: "ServiceUnavailableException", every: unavailableEvery } as const]
      : []),
    ...(cutEvery ? [{ kind: "cut", afterEvents: 3, every: cutEvery } as const] : []),
  ];
}

/** Names of the options that are plain data, which a file may hold. */
export const dataOptions: readonly string[] = Object.keys(optionFields);

const checkOptions = optionCheck(section(optionFields));
const checkCredentials = optionCheck(credentialsList);
const checkForeignTraffic = optionCheck(foreignTraffic);

function check({ clock, fault, ...data }: SimulatorOptions): void {
  checkOptions(data);
  if (fault !== undefined && typeof fault !== "function") {
    throw new RangeError("fault must be a function. For rules that are data, use the option faults.");
  }
  for (const [i, rule] of (data.faults ?? []).entries()) checkFaultRule(`faults[${i}]`, rule);
  checkCredentials([data.verifySignatures ?? []].flat(), "verifySignatures");
}

/**
 * Parses traffic in one line, as in `requestsPerMinute=60,tokensPerRequest=1000,region=us-east-1`.
 * @throws RangeError if the line is invalid
 */
export function parseForeignTraffic(text: string): ForeignTrafficOptions {
  const traffic = readFields(text, foreignTraffic);
  checkForeignTraffic(traffic, "foreign");
  return traffic as unknown as ForeignTrafficOptions;
}

function range(key: string, value: number | readonly [number, number]): readonly [number, number] {
  const [min, max] = typeof value === "number" ? [value, value] : value;
  if (min > max)
    throw new RangeError(`${key} must be a range whose first number does not exceed the second; got [${min}, ${max}].`);
  return [min, max];
}
