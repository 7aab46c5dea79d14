// Decides which calls share a quota. A model or profile has its own quotas in each account and region. The tokens of a
// day are one quota for all models of an account in a region.
import type { Caller } from "./aws-authentication.ts";
import { createMeter, type Meter, type MeterStats } from "./meter.ts";
import type { ResolvedOptions } from "./options.ts";
import { createQuotaEngine, type QuotaEngine, type QuotaStats } from "./quota-engine.ts";
import { bareModelId, type CalledModel } from "./simulated-models.ts";

/** The quotas of a model ID or profile, as seen so far. */
export interface DeploymentQuotas extends QuotaStats, Caller {
  modelId: string;
}

/** A quota of tokens per day, as seen so far. */
export interface DailyQuota extends MeterStats, Caller {}

/** The quotas of all models, regions and accounts. */
export interface Pools {
  of(model: CalledModel, caller: Caller): QuotaEngine;
  report(now: number): DeploymentQuotas[];
  daily(): DailyQuota[];
}

/**
 * Creates the quotas of all models.
 * @param startedAt start of the simulator, on the options' clock
 */
export function createPools(options: ResolvedOptions, startedAt: number): Pools {
  const pools = new Map<string, { names: Caller & { modelId: string }; engine: QuotaEngine }>();
  const days = new Map<string, { names: Caller; meter: Meter }>();

  const dayOf = (caller: Caller): Meter | undefined => {
    const limit = optionsOf(options, caller).tokensPerDay;
    if (limit === undefined) return undefined;
    const key = keyOf(caller);
    let day = days.get(key);
    if (!day) {
      day = { names: caller, meter: createDay(options, limit) };
      days.set(key, day);
    }
    return day.meter;
  };

  return {
    of(model, caller) {
      const key = `${keyOf(caller)} ${model.id}`;
      let pool = pools.get(key);
      if (!pool) {
        const engine = createEngine(options, model, caller, startedAt, dayOf(caller));
        pool = { names: { modelId: model.id, ...caller }, engine };
        pools.set(key, pool);
      }
      // What others take from the day through another model counts for this one too.
      if (options.foreignTraffic.length > 0)
        for (const { engine } of pools.values()) engine.advance(options.clock.now());
      return pool.engine;
    },
    report: (now) =>
      [...pools.values()].map(({ names, engine }) => {
        engine.advance(now);
        return { ...names, ...engine.stats() };
      }),
    daily: () => [...days.values()].map(({ names, meter }) => ({ ...names, ...meter.stats() })),
  };
}

function keyOf({ account = "", region = "" }: Caller): string {
  return `${account} ${region}`;
}

function createEngine(
  options: ResolvedOptions,
  model: CalledModel,
  caller: Caller,
  startedAt: number,
  day: Meter | undefined,
): QuotaEngine {
  const { requestsPerMinute, tokensPerMinute } = optionsOf(options, caller, model);
  const foreign = options.foreignTraffic
    .filter(
      (load) =>
        (load.modelId === undefined || load.modelId === model.id || load.modelId === bareModelId(model.id)) &&
        (load.region === undefined || load.region === caller.region) &&
        (load.account === undefined || load.account === caller.account),
    )
    .map((load) => ({
      intervalMs: options.windowMs / load.requestsPerMinute,
      tokensPerRequest: load.tokensPerRequest ?? 0,
      fromMs: startedAt + (load.fromMs ?? 0),
      ...(load.untilMs !== undefined && { untilMs: startedAt + load.untilMs }),
    }));
  return createQuotaEngine({
    ...(requestsPerMinute !== undefined && { requestsPerWindow: requestsPerMinute }),
    ...(tokensPerMinute !== undefined && { tokensPerWindow: tokensPerMinute }),
    algorithm: options.window,
    windowMs: options.windowMs,
    bucketCapacity: options.bucketCapacity,
    outputBurndown: model.outputBurndown,
    foreign,
    ...(day && { day, dayWeight: model.dayWeight }),
  });
}

/**
 * Returns the limits of a caller. The region's limits for the model come first, then the model's, the region's, and the
 * general ones.
 */
function optionsOf(options: ResolvedOptions, { region = "" }: Caller, model?: CalledModel) {
  const regional = Object.hasOwn(options.regions, region) ? options.regions[region]! : {};
  const ofModel = model && (regional.models?.[model.id] ?? regional.models?.[bareModelId(model.id)]);
  return {
    requestsPerMinute:
      ofModel?.requestsPerMinute ?? model?.requestsPerMinute ?? regional.requestsPerMinute ?? options.requestsPerMinute,
    tokensPerMinute:
      ofModel?.tokensPerMinute ?? model?.tokensPerMinute ?? regional.tokensPerMinute ?? options.tokensPerMinute,
    tokensPerDay: regional.tokensPerDay ?? options.tokensPerDay,
  };
}

/** Creates the meter of a day. UTC days count in time since the epoch, so that they begin at midnight. */
function createDay({ clock, dayMs, dayWindow }: ResolvedOptions, limit: number): Meter {
  const algorithm = dayWindow === "utc" ? "fixed" : "sliding";
  const meter = createMeter({ limit, algorithm, windowMs: dayMs, bucketCapacity: 1 });
  const shift = dayWindow === "utc" ? clock.wall() - clock.now() : 0;
  let latest = Number.NEGATIVE_INFINITY;
  // One of several models may report late what others took from it.
  const time = (now: number) => {
    latest = Math.max(latest, now + shift);
    return latest;
  };
  return {
    ...meter,
    fits: (now, amount) => meter.fits(time(now), amount),
    charge: (now, amount) => meter.charge(time(now), amount),
    change: (now, charge, amount) => meter.change(time(now), charge, amount),
    waitMs: (now, amount) => meter.waitMs(time(now), amount),
    remaining: (now) => meter.remaining(time(now)),
  };
}
