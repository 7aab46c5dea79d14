// The scheduler in Redis against the one in memory. Both run the same random operations with the same time and the same
// tokens, and every answer must be the same. Meanwhile the server's clock is stepped, its scripts are flushed, and
// commands are sent twice. Sometimes Redis loses everything and both are rebuilt.
import fc from "fast-check";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Priority } from "../../src/domain/job.ts";
import { createMemoryScheduler } from "../../src/scheduler/memory/memory-scheduler.ts";
import { createRedisScheduler } from "../../src/scheduler/redis/redis-scheduler.ts";
import type {
  AcquireRequest,
  DeploymentSignal,
  Explanation,
  PauseTarget,
  QueueEntry,
  RestorePart,
  Scheduler,
  Settlement,
} from "../../src/scheduler/scheduler.ts";
import type { SchedulerConfig } from "../../src/scheduler/scheduler-configuration.ts";
import type { TestServer } from "../support/server-process.ts";
import { startRedis, withoutRedis } from "../support/servers.ts";
import { configOf, deployment, job, jobId, quota } from "./harness.ts";

const leaseMs = 10 * 60_000;

const jobNumbers = 40;
const wallAtStart = Date.UTC(2026, 2, 14, 9, 26, 53);

const models = {
  m: { deployments: ["a", "b"], choice: "headroom" },
  n: { deployments: ["c"], choice: "order" },
  o: { deployments: ["b", "c"], choice: "order" },
} as const satisfies SchedulerConfig["models"];

function variant(version: string, scale: number, parts: Partial<SchedulerConfig> = {}): SchedulerConfig {
  return configOf(
    [
      quota("requests", 6 * scale),
      quota("tokens", 200 * scale, { unit: "tokens", burst: 60 * scale }),
      quota("output", 90 * scale, { unit: "output_tokens" }),
      quota("day", 900 * scale, { unit: "input_tokens", per: "day", burst: 900 * scale, resetHourUtc: 10 }),
    ],
    [
      deployment("a", ["requests", "tokens"], { maxConcurrency: Math.ceil(3 * scale), baseModel: "x" }),
      deployment("b", ["tokens", "day"], { region: "eu-west-1", outputBurndown: 5, baseModel: "y" }),
      deployment("c", ["output"], { outputBurndown: 1.5 }),
    ],
    {
      version,
      models,
      leaseMs,
      weights: {
        environments: { PROD: 3 },
        priorities: { interactive: 16, standard: 4, batch: 1 },
        tenants: { heavy: 2.5 },
      },
      ...parts,
    },
  );
}

/** With less, more, and without a model, so that jobs become impossible, and quotas are removed and return. */
const configs = [
  variant("1", 1),
  variant("2", 3),
  variant("3", 0.5, { missingModelWaitMs: 20_000 }),
  variant("4", 1, { models: { m: { deployments: ["a"], choice: "order" } }, networkJitterMs: 2000 }),
  configOf([quota("few", 50)], [deployment("a", ["few"])], { version: "5", leaseMs, missingModelWaitMs: 2000 }),
];

// ---------------------------------------------------------------- actions

const number = fc.integer({ min: 1, max: jobNumbers });
const cost = fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 300 }));
const tokens = fc.record({ input: cost, output: cost });
const delayMs = fc.constantFrom(0, 0, 0, 1, 1000, 30_000);

const entry: fc.Arbitrary<QueueEntry> = fc
  .record({
    n: number,
    environment: fc.constantFrom("PROD", "UAT"),
    tenant: fc.constantFrom("heavy", "light", "__proto__"),
    priority: fc.constantFrom<Priority>("interactive", "standard", "batch"),
    models: fc.constantFrom<string[]>(["m"], ["n"], ["o"], ["m", "n"], ["n", "m", "o"]),
    regions: fc.constantFrom<string[] | undefined>(undefined, ["us-east-1"], ["eu-west-1", "us-east-1"]),
    baseModel: fc.constantFrom<string | undefined>(undefined, undefined, undefined, "x", "y"),
    tokens,
    exact: fc.boolean(),
    order: fc.integer({ min: 0, max: 20 }),
    delayMs,
  })
  .map(({ n, regions, baseModel, ...rest }) => ({
    ...job(n),
    ...rest,
    ...(regions && { regions }),
    ...(baseModel !== undefined && { baseModel }),
  }));

const filter = fc.record(
  {
    environments: fc.constantFrom(["PROD"], ["UAT"], ["UAT", "PROD"], []),
    deployments: fc.constantFrom(["a"], ["b", "c"], ["a", "b", "c"]),
  },
  { requiredKeys: [] },
);

const retryAfterMs = fc.constantFrom({}, {}, { retryAfterMs: 700 }, { retryAfterMs: 90_000 });
const signal: fc.Arbitrary<DeploymentSignal> = fc.oneof(
  { weight: 4, arbitrary: fc.constant({ kind: "ok" } as const) },
  fc.constant({ kind: "none" } as const),
  fc
    .tuple(fc.constantFrom("requests", "tokens", "tokens_per_day", "unknown"), retryAfterMs)
    .map(([throttle, after]) => ({ kind: "throttled" as const, throttle, ...after })),
  retryAfterMs.map((after) => ({ kind: "capacity" as const, ...after })),
  fc.constant({ kind: "misconfigured", reason: "no access" } as const),
  { weight: 3, arbitrary: fc.constantFrom("no", "not you").map((reason) => ({ kind: "refused" as const, reason })) },
);

/** Sometimes a usage so large that virtual time reaches 2^52 and must be rebased. */
const huge = { input: 20_000_000_000, output: 0 };
const charge: fc.Arbitrary<Settlement["charge"]> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ input: cost, output: cost, cacheWrite: cost }, { requiredKeys: ["input", "output"] }),
  },
  { weight: 2, arbitrary: fc.constantFrom("keep", "void") },
  { weight: 1, arbitrary: fc.constant(huge) },
);
const ended = fc.oneof(
  { weight: 3, arbitrary: fc.constant("ended" as const) },
  delayMs.map((requeueAfterMs) => ({ requeueAfterMs })),
);
/** Which of the grants given so far, counted from the last. */
const which = fc.oneof({ weight: 5, arbitrary: fc.nat(3) }, fc.nat(30));

type Action =
  | { do: "add"; entries: QueueEntry[] }
  | { do: "update" | "estimatePosition"; entry: QueueEntry }
  | { do: "acquire"; max: number; filter: Pick<AcquireRequest, "environments" | "deployments">; twice: boolean }
  | { do: "settle"; which: number[]; job: Settlement["job"]; charge: Settlement["charge"]; signal: DeploymentSignal }
  | { do: "recharge"; which: number; twice: boolean; isSent: boolean }
  | { do: "renew"; which: number[] }
  | { do: "remove" | "explain"; numbers: number[] }
  | { do: "setTokenCounts"; numbers: number[]; tokens: { input: number; output: number } }
  | { do: "advance"; ms: number }
  | { do: "stepServerClock"; ms: number }
  | { do: "configure"; config: SchedulerConfig }
  | { do: "forget"; quota: string | undefined }
  | { do: "reinstate"; deployment: string }
  | { do: "pause" | "resume"; target: PauseTarget }
  | { do: "snapshot" | "listUncounted" }
  | { do: "flushScripts" }
  | { do: "rebuild"; losing: boolean; part: RestorePart };

const pausable = fc.constantFrom<PauseTarget>(
  { model: "m" },
  { model: "n" },
  { deployment: "b" },
  { tenant: "heavy" },
  { tenant: "__proto__", environment: "UAT" },
);
const numbers = fc.array(number, { minLength: 1, maxLength: 4 });
const several = fc.array(which, { minLength: 1, maxLength: 3 });
const held = fc.record({
  n: number,
  deployment: fc.constantFrom("a", "b", "c", "gone"),
  agoMs: fc.nat(100_000),
  tokens,
  settled: fc.boolean(),
});
const restored: fc.Arbitrary<RestorePart> = fc
  .record({
    entries: fc.array(entry, { maxLength: 20 }),
    held: fc.array(held, { maxLength: 4 }),
    learned: fc.record(
      {
        quota: fc.constantFrom("tokens", "requests", "day"),
        effectiveLimit: fc.nat(300),
        effectiveBurst: fc.nat(80),
        throttledAgoMs: fc.nat(100_000),
        closedForMs: fc.nat(20_000),
      },
      { requiredKeys: ["quota", "effectiveLimit"] },
    ),
  })
  .map(({ entries, held, learned }) => ({
    entries,
    learned: [learned],
    charges: held
      .map((h) => ({
        deployment: h.deployment,
        agoMs: h.agoMs,
        tokens: h.tokens,
        settled: h.settled,
        grant: `held-${h.n}`,
      }))
      .sort((a, b) => b.agoMs - a.agoMs),
    leases: held.map((h) => ({ jobId: jobId(h.n), grant: `held-${h.n}`, deployment: h.deployment })),
  }));

const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant("add"), entries: fc.array(entry, { minLength: 1, maxLength: 8 }) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom("update", "estimatePosition"), entry }) },
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant("acquire"),
      max: fc.integer({ min: 1, max: 8 }),
      filter,
      twice: fc.boolean(),
    }),
  },
  { weight: 8, arbitrary: fc.record({ do: fc.constant("settle"), which: several, job: ended, charge, signal }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("advance"),
      ms: fc.constantFrom(1, 499, 1000, 9_000, 10_001, 20_000, 60_801, leaseMs, 3_600_000),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("recharge"), which, twice: fc.boolean(), isSent: fc.boolean() }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("renew"), which: several }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("remove", "explain"), numbers }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("setTokenCounts"), numbers, tokens }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("stepServerClock"),
      ms: fc.constantFrom(-3_600_000, -60_000, 60_000, 86_400_000),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("configure"), config: fc.constantFrom(...configs) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("forget"), quota: fc.constantFrom("tokens", undefined) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("reinstate"), deployment: fc.constantFrom("a", "b", "gone") }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("snapshot", "listUncounted") }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("pause"), target: pausable }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("resume"), target: pausable }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("flushScripts") }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("rebuild"), losing: fc.boolean(), part: restored }) },
) as fc.Arbitrary<Action>;

// ---------------------------------------------------------------- in large numbers

/** Large enough for several segments of a log, and for queues of many chunks. */
const largeConfig = configOf(
  [quota("tokens", 30_000, { unit: "tokens", burst: 5000 }), quota("requests", 2000)],
  [deployment("a", ["tokens", "requests"])],
  { leaseMs },
);
const largeNumber = fc.integer({ min: 1, max: 3000 });
const largeEntry = fc
  .record({
    n: largeNumber,
    order: fc.nat(500),
    cost: fc.oneof({ weight: 500, arbitrary: fc.nat(12) }, fc.nat(25_000)),
  })
  .map(({ n, order, cost }) => ({ ...job(n, { cost }), order }));
const manyGrants = fc.uniqueArray(fc.nat(150), { minLength: 1, maxLength: 60 });

const largeCharge: fc.Arbitrary<Settlement["charge"]> = fc.oneof(
  fc.record({ input: fc.nat(20), output: fc.constant(0) }),
  fc.constantFrom("keep", "void"),
);

const largeAction: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("add"),
      entries: fc.array(largeEntry, { minLength: 100, maxLength: 400, size: "max" }),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("acquire"),
      max: fc.constant(100),
      filter: fc.constant({}),
      twice: fc.constant(false),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("settle"),
      which: manyGrants,
      job: ended,
      charge: largeCharge,
      signal: fc.constant({ kind: "ok" }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("advance"), ms: fc.constantFrom(700, 5_000, 20_000, 45_000) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("remove"),
      numbers: fc.array(largeNumber, { maxLength: 200, size: "max" }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("snapshot", "listUncounted") }) },
) as fc.Arbitrary<Action>;

// ---------------------------------------------------------------- the run

/** Both schedulers and their common state. */
interface World {
  now: number;
  skewMs: number;
  operations: number;
  grants: { jobId: string; grant: string }[];
  memory: Scheduler;
  redis: Scheduler;
  config: SchedulerConfig;
}

function granted(world: World, places: readonly number[]) {
  return places.map((place) => world.grants.at(-1 - place)).filter((grant) => grant !== undefined);
}

async function rebuild(scheduler: Scheduler, part: RestorePart): Promise<void> {
  const ticket = (await scheduler.beginRebuild())!;
  const { entries = [], ...rest } = part;
  await scheduler.restore(ticket, rest.charges ? { charges: rest.charges } : {});
  await scheduler.restore(ticket, { ...rest, charges: [], entries });
  await scheduler.finishRebuild(ticket);
}

/** Position and start come from summaries that are up to a second old, and not of the same second. */
function placeless(said: Explanation) {
  if (said.state !== "waiting") return said;
  const { kind } = said.waitingOn;
  return { state: said.state, waitingOn: kind === "turn" || kind === "fairness" ? "others" : said.waitingOn };
}

/** Sorts the parts of an answer whose order does not matter. */
async function perform(scheduler: Scheduler, action: Action, world: World): Promise<unknown> {
  const operation = `operation-${world.operations}`;
  switch (action.do) {
    case "add":
      return scheduler.enqueue(action.entries);
    case "update":
      return scheduler.update(action.entry);
    case "estimatePosition":
      return placeless(await scheduler.estimatePosition(action.entry));
    case "acquire": {
      const request = { operation, worker: "w", max: action.max, ...action.filter };
      if (action.twice) await scheduler.acquire(request);
      return scheduler.acquire(request);
    }
    case "settle": {
      const { job: after, charge, signal } = action;
      return scheduler.settle(granted(world, action.which).map((g) => ({ ...g, job: after, charge, signal })));
    }
    case "recharge": {
      const [grant] = granted(world, [action.which]);
      if (!grant) return undefined;
      const request = { operation, ...grant, isSent: action.isSent };
      if (action.twice) await scheduler.recharge(request);
      return scheduler.recharge(request);
    }
    case "renew":
      return scheduler.renew(granted(world, action.which));
    case "remove":
      return scheduler.remove(action.numbers.map(jobId));
    case "explain":
      return Promise.all(
        action.numbers.map(async (n) => {
          return placeless(await scheduler.explain(jobId(n)));
        }),
      );
    case "setTokenCounts":
      return scheduler.setTokenCounts(action.numbers.map((n) => ({ jobId: jobId(n), tokens: action.tokens })));
    case "listUncounted":
      return (await scheduler.listUncounted(jobNumbers)).sort((a, b) => a.jobId.localeCompare(b.jobId));
    case "configure":
      return scheduler.configure(action.config);
    case "forget":
      return scheduler.resetLearnedLimits(action.quota);
    case "pause":
      return scheduler.pause(action.target);
    case "resume":
      return scheduler.resume(action.target);
    case "reinstate":
      return scheduler.reinstate(action.deployment);
    case "snapshot":
      return scheduler.snapshot();
    case "rebuild":
      return rebuild(scheduler, action.part);
  }
}

describe.skipIf(withoutRedis())("the scheduler in Redis answers like the one in memory", () => {
  let server: TestServer;
  let client: Redis;
  beforeAll(async () => {
    server = await startRedis();
    client = new Redis(server.url);
  });
  afterAll(async () => {
    client?.disconnect();
    await server?.close();
  });

  async function newWorld(config: SchedulerConfig): Promise<World> {
    await client.flushall();
    const world = { now: 5_000_000, skewMs: 0, operations: 0, grants: [], config } as Partial<World> as World;
    const clock = { now: () => world.now, wall: () => wallAtStart + world.now };
    const tokensOf = () => {
      let made = 0;
      return () => `token-${++made}`;
    };
    world.memory = createMemoryScheduler({ config, clock, token: tokensOf() });
    world.redis = await createRedisScheduler({
      redis: client,
      config,
      clock,
      serverTime: () => world.now + world.skewMs,
      token: tokensOf(),
    });
    for (const scheduler of [world.memory, world.redis]) await rebuild(scheduler, {});
    return world;
  }

  async function step(world: World, action: Action): Promise<void> {
    world.operations += 1;
    if (action.do === "advance") world.now += action.ms;
    else if (action.do === "stepServerClock") world.skewMs += action.ms;
    else if (action.do === "flushScripts") await client.script("FLUSH");
    else if (!("which" in action) || granted(world, [action.which].flat()).length > 0) {
      let given = action;
      if (action.do === "rebuild" && action.losing) {
        // As from its checkpoint: no record in the store says what is paused.
        given = { ...action, part: { ...action.part, paused: (await world.memory.snapshot()).paused } };
        await client.flushall();
        // The time of the last configuration change is lost as well: for both it is now.
        await world.memory.configure({ ...world.config, version: "lost" });
        await world.memory.configure(world.config);
      }
      if (action.do === "configure") world.config = action.config;
      const [ours, reference] = [await perform(world.redis, given, world), await perform(world.memory, given, world)];
      expect(ours).toEqual(reference);
      if (action.do === "acquire")
        world.grants.push(
          ...(ours as { grants: World["grants"] }).grants.map(({ jobId, grant }) => ({ jobId, grant })),
        );
      if (action.do === "rebuild")
        world.grants.push(...(action.part.leases ?? []).map(({ jobId, grant }) => ({ jobId, grant })));
    }
  }

  async function run(actions: readonly Action[], config = configs[0]!): Promise<void> {
    const world = await newWorld(config);
    try {
      for (const each of actions) await step(world, each);
      await step(world, { do: "snapshot" });
    } finally {
      await world.redis.close();
    }
  }

  test("for random operations on both", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(action, { minLength: 20, maxLength: 150, size: "max" }), (actions) => run(actions)),
      { numRuns: Number(process.env.MODEL_RUNS ?? 30) },
    );
  }, 600_000);

  test("for hundreds of jobs and charges, out of order", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(largeAction, { minLength: 10, maxLength: 40, size: "max" }), (actions) =>
        run(actions, largeConfig),
      ),
      { numRuns: 15 },
    );
  }, 600_000);

  test("virtual time is rebased before 2^53 without a visible effect", async () => {
    // Each such call is 2 x 10^15 microseconds of its quota's time.
    const world = await newWorld(configOf([quota("q", 600, { unit: "tokens" })]));
    try {
      const entries = Array.from({ length: 60 }, (_, i) => ({ ...job(i + 1), tenant: `t${i % 3}` }));
      await step(world, { do: "add", entries });
      for (let round = 0; round < 40; round++) {
        await step(world, { do: "acquire", max: 1, filter: {}, twice: false });
        await step(world, { do: "settle", which: [0], job: "ended", charge: huge, signal: { kind: "ok" } });
        await step(world, { do: "advance", ms: 61_000 });
      }
      const times = `local found = { tostring(cmsgpack.unpack(redis.call('GET', KEYS[1])).current < 2^53) }
        for _, flow in ipairs(redis.call('HVALS', KEYS[2])) do
          table.insert(found, tostring(cmsgpack.unpack(flow).virtualTime < 2^53))
        end
        return found`;
      expect(await client.eval(times, 2, "{sluice}:state", "{sluice}:2:flows")).toEqual(Array(4).fill("true"));
    } finally {
      await world.redis.close();
    }
  });
});
