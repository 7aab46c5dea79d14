// Learning how models count tokens from calls, and sharing it between processes through the store.
import { pino } from "pino";
import { expect, test } from "vitest";
import { TokenRatios } from "../../src/jobs/tokens/token-ratios.ts";
import { createUsageMeter, resumeTokenRatios, shareTokenRatios } from "../../src/worker/token-usage.ts";

const request = { messages: [], parameters: { maxTokens: 100 } } as never;
const usage = { input: 150, output: 20 };

function contextOf(checkpoints: Map<string, unknown>, wall = { now: 1_000_000 }) {
  let now = 0;
  const store = {
    saveCheckpoint: async (name: string, value: unknown) =>
      void checkpoints.set(name, JSON.parse(JSON.stringify(value))),
    loadCheckpoint: async (name: string) => checkpoints.get(name),
  };
  const counted: unknown[] = [];
  return {
    store: store as never,
    tokenRatios: new TokenRatios(),
    tokenCounter: { count: async (requests: readonly unknown[]) => requests.map((each) => counted.push(each) && 100) },
    clock: { now: () => now, wall: () => wall.now },
    log: pino({ level: "silent" }),
    counted,
    advance: (ms: number) => {
      now += ms;
    },
  };
}

async function measure(context: ReturnType<typeof contextOf>, calls = 64): Promise<void> {
  const meter = createUsageMeter(context);
  for (let n = 0; n < calls; n++) {
    meter.observe(request, "m", usage);
    await meter.idle();
    context.advance(101);
  }
}

test("calls are measured, ten a second at most", async () => {
  const context = contextOf(new Map());
  const meter = createUsageMeter(context);
  for (let n = 0; n < 50; n++) {
    meter.observe(request, "m", usage);
    await meter.idle();
  }
  expect(context.counted).toHaveLength(1);
  await measure(context);
  expect(context.tokenRatios.factor("m", 100, 1)).toBeCloseTo(1.5 * 1.02);
  expect(context.tokenRatios.learned("m")).toEqual({ input: 1.5, output: 0.2 });
});

test("a prompt that cannot be counted teaches nothing and harms nothing", async () => {
  const context = { ...contextOf(new Map()), tokenCounter: { count: () => Promise.reject(new Error("busy")) } };
  const meter = createUsageMeter(context);
  meter.observe(request, "m", usage);
  await meter.idle();
  expect(context.tokenRatios.learned("m")).toBeUndefined();
});

test("what one process learns the others hear of, a process without calls too, and one that starts later", async () => {
  const checkpoints = new Map<string, unknown>();
  const wall = { now: 1_000_000 };
  const [first, second, api] = [
    contextOf(checkpoints, wall),
    contextOf(checkpoints, wall),
    contextOf(checkpoints, wall),
  ];
  await measure(first);
  await shareTokenRatios(second, "second");
  await shareTokenRatios(first, "first");
  await shareTokenRatios(second, "second");
  await shareTokenRatios(api);
  for (const { tokenRatios } of [second, api]) expect(tokenRatios.factor("m", 100, 1)).toBeCloseTo(1.53);

  // The first process ended a while ago: its ratios no longer count, and its entry is removed.
  wall.now += 61_000;
  const late = contextOf(checkpoints, wall);
  await resumeTokenRatios(late);
  expect(late.tokenRatios.factor("m", 100, 1)).toBeCloseTo(1.53);
  await shareTokenRatios(second, "second");
  expect(second.tokenRatios.factor("m", 100, 1)).toBe(1);
  expect(Object.keys(checkpoints.get("token-ratios") as object)).toEqual(["second"]);
});

test.each(["nonsense", 7, null, { w: null }, { w: { savedAt: 1, ratios: { m: 3 } } }])(
  "a checkpoint that makes no sense is ignored: %j",
  async (value) => {
    const context = contextOf(new Map([["token-ratios", value]]));
    await resumeTokenRatios(context);
    await shareTokenRatios(context, "w");
    expect(context.tokenRatios.learned("m")).toBeUndefined();
  },
);
