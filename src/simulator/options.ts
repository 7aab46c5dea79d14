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
  /** By the bare ID or that of a profile. */
  models?: Record<string, SimulatedQuotas>;
}

interface SimulatedQuotas {
  requestsPerMinute?: number;
  tokensPerMinute?: number;
}

/** Another program of the account, which sends requests at an even pace. */
export interface ForeignTrafficOptions {
  /** Whose quotas it draws on; absent: those of every model, region and account that is called. The bare ID stands for its profiles too. */
  modelId?: string;
  region?: string;
  account?: string;
  requestsPerMinute: number;
  /** Quota tokens that each of its requests is charged with at once. Default 0. */
  tokensPerRequest?: number;
  /** From when and until when, in ms since the simulator's start. Default: always. */
  fromMs?: number;
  untilMs?: number;
}

export interface SimulatorOptions extends AuthenticationOptions {
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
  /** Of all models of an account in a region together, weighed by `dayWeight`; unlimited if absent. */
  tokensPerDay?: number;
  /** Default `sliding`: the last `dayMs`. `utc`: since midnight of UTC (since the last multiple of `dayMs` in the epoch). */
  dayWindow?: "sliding" | "utc";
  /** How long a day of the quotas is, in ms. Default 86,400,000. */
  dayMs?: number;
  /** Limits that differ in a region. A model's own limit in `models` goes before a region's, and the region's own `models` before both. */
  regions?: Record<string, RegionOptions>;
  /** What others take out of the same quotas. Default: nothing. */
  foreignTraffic?: readonly ForeignTrafficOptions[];
  /** How quotas of a minute count; see meter.ts. Default `sliding`. */
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

  /** What is listed for the account, and what may be done in it. Default: everything that is known, any role. */
  account?: SimulatedAccount;

  /** From admission to the first token, in ms; a pair is a range from which each call gets a value. Default 0. */
  latencyMs?: number | readonly [min: number, max: number];
  /** Speed of generation of one call; unlimited if absent. */
  tokensPerSecond?: number;
  /** Each request travels for up to this many ms before it is judged, so that calls may overtake each other. Default 0. */
  jitterMs?: number;
  /** How long an answer is, in tokens, unless max_tokens or a stop sequence ends it; a number or a range. Default [40, 160]. */
  answerTokens?: number | readonly [min: number, max: number];

  /** What is to go wrong, and when: the first rule that strikes. */
  faults?: readonly FaultRule[];
  /** Every n-th call is refused with ThrottlingException (requests). Only calls that are valid and signed count. */
  throttleEvery?: number;
  /** Every n-th call is refused with ServiceUnavailableException. */
  unavailableEvery?: number;
  /** Every n-th call loses its connection, in a stream after three events. */
  cutEvery?: number;
  /** What is to go wrong with a call, if anything. Asked first; then `faults`, then the three above. */
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
  dayWindow: "sliding" | "utc";
  dayMs: number;
  regions: Record<string, RegionOptions>;
  foreignTraffic: readonly ForeignTrafficOptions[];
  models: Record<string, SimulatedModel>;
  latencyMs: readonly [number, number];
  jitterMs: number;
  answerTokens: readonly [number, number];
  /** `faults`, and the rules that the shorter options stand for. */
  faults: readonly FaultRule[];
  journalSize: number;
}

/** @throws RangeError that names the option, its value and what is allowed. */
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

/** Every option that is plain data: what a file may hold. */
export const dataOptions: readonly string[] = Object.keys(optionFields);

const checkOptions = optionCheck(section(optionFields));
const checkCredentials = optionCheck(credentialsList);
const checkForeignTraffic = optionCheck(foreignTraffic);

function check({ clock, fault, ...data }: SimulatorOptions): void {
  checkOptions(data);
  if (fault !== undefined && typeof fault !== "function") {
    throw new RangeError("fault must be a function; rules that are data are the option faults.");
  }
  for (const [i, rule] of (data.faults ?? []).entries()) checkFaultRule(`faults[${i}]`, rule);
  checkCredentials([data.verifySignatures ?? []].flat(), "verifySignatures");
}

/**
 * Traffic in one line, as in `requestsPerMinute=60,tokensPerRequest=1000,region=us-east-1`.
 * @throws RangeError
 */
export function parseForeignTraffic(text: string): ForeignTrafficOptions {
  const traffic = readFields(text, foreignTraffic);
  checkForeignTraffic(traffic, "foreign");
  return traffic as unknown as ForeignTrafficOptions;
}

function range(key: string, value: number | readonly [number, number]): readonly [number, number] {
  const [min, max] = typeof value === "number" ? [value, value] : value;
  if (min > max) throw new RangeError(`${key} is [${min}, ${max}]; the first number must not exceed the second.`);
  return [min, max];
}
