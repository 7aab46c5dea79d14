// Concurrent calls of the scheduler in Redis share a script, and each still gets its own answer.
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { newToken } from "../../src/domain/ids.ts";
import { createRedisScheduler } from "../../src/scheduler/redis/redis-scheduler.ts";
import type { Scheduler } from "../../src/scheduler/scheduler.ts";
import { sharedRedisUrl, withoutRedis } from "../support/servers.ts";
import { configOf, job, jobs, ok, quota } from "./harness.ts";

describe.skipIf(withoutRedis())("concurrent calls of one process", () => {
  let scheduler: Scheduler;
  let scripts: Record<string, number>;

  beforeEach(async () => {
    scripts = {};
    scheduler = await createRedisScheduler({
      redis: sharedRedisUrl(),
      keyPrefix: newToken(),
      config: configOf([quota("q", 1000)]),
      timeoutMs: 20_000,
      onScript: (script) => {
        scripts[script] = (scripts[script] ?? 0) + 1;
      },
    });
    await scheduler.finishRebuild((await scheduler.beginRebuild())!);
  });
  afterEach(() => scheduler.close());

  test("jobs that are added meanwhile go into one script, and each call counts its own new jobs", async () => {
    await scheduler.enqueue([job(3)]);
    const added = await Promise.all([
      scheduler.enqueue([job(1)]),
      scheduler.enqueue([job(1), job(2)]),
      scheduler.enqueue([]),
      scheduler.enqueue([job(3)]),
      ...Array.from({ length: 60 }, (_, i) => scheduler.enqueue([job(4 + i)])),
      scheduler.enqueue(jobs(64, 700)),
    ]);
    expect(added).toEqual([1, 1, 0, 0, ...Array(60).fill(1), 637]);
    // 700 jobs, at most 250 in a script.
    expect(scripts.enqueue).toBeLessThanOrEqual(1 + 4);
  });

  test("settlements that are sent meanwhile go into one script, and each call gets its own answers", async () => {
    await scheduler.enqueue(jobs(1, 40));
    const { grants } = await scheduler.acquire({ operation: newToken(), worker: "w", max: 40 });
    const settle = (at: number) => scheduler.settle([{ ...grants[at]!, job: "ended", charge: "keep", signal: ok }]);
    const stranger = { jobId: grants[0]!.jobId, grant: newToken(), job: { requeueAfterMs: 0 } } as const;
    const lost = scheduler.settle([{ ...stranger, charge: "keep", signal: ok }]);
    const answers = await Promise.all([lost, ...grants.map((_, at) => settle(at)), settle(1)]);
    expect(answers).toEqual([["lost"], ...Array(40).fill(["settled"]), ["settled"]]);
    expect(scripts.settle).toBe(1);
    expect((await scheduler.snapshot()).running).toBe(0);
  });

  test("a call on its own sends its script at once", async () => {
    for (let n = 1; n <= 5; n++) await scheduler.enqueue([job(n)]);
    expect(scripts.enqueue).toBe(5);
  });
});
