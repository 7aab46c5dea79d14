// Who is notified of work in Redis: one idle process for each job, and another one if that process cannot take it.
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { newToken } from "../../src/domain/ids.ts";
import { createRedisScheduler } from "../../src/scheduler/redis/redis-scheduler.ts";
import type { AcquireRequest, Grant, Scheduler } from "../../src/scheduler/scheduler.ts";
import { sharedRedisUrl, withoutRedis } from "../support/servers.ts";
import { configOf, deployment, job, jobs, numberOf, ok, quota } from "./harness.ts";

const config = configOf([quota("q", 100_000)], [deployment("d", ["q"]), deployment("e", ["q"])]);

/** One worker process: asks when it is notified, for as many jobs as it has free slots. */
interface Process {
  scheduler: Scheduler;
  notices: number;
  acquires: number;
  taken: number[];
  grants: Grant[];
  stop(): void;
  /** Asks now. */
  ask(): Promise<void>;
}

describe.skipIf(withoutRedis())("processes that share a queue in Redis", () => {
  let keyPrefix: string;
  const open: Scheduler[] = [];

  beforeEach(async () => {
    keyPrefix = newToken();
    const first = await connect();
    await first.finishRebuild((await first.beginRebuild())!);
  });
  afterEach(async () => {
    await Promise.all(open.splice(0).map((scheduler) => scheduler.close()));
  });

  async function connect(): Promise<Scheduler> {
    const scheduler = await createRedisScheduler({ redis: sharedRedisUrl(), keyPrefix, config, timeoutMs: 20_000 });
    open.push(scheduler);
    return scheduler;
  }

  /** Starts a process that is idle. With `deaf` it does nothing when it is notified, as if it had just been killed. */
  async function start(
    slots: number,
    { deaf = false, ...filter }: { deaf?: boolean } & Pick<AcquireRequest, "environments" | "deployments"> = {},
  ): Promise<Process> {
    const scheduler = await connect();
    const process: Process = {
      ...{ scheduler, notices: 0, acquires: 0, taken: [], grants: [] },
      async ask() {
        const max = slots - process.taken.length;
        if (max <= 0) return;
        process.acquires += 1;
        const { grants } = await scheduler.acquire({ operation: newToken(), worker: "w", max, ...filter });
        process.grants.push(...grants);
        process.taken.push(...grants.map(numberOf));
      },
      stop: scheduler.onWork(() => {
        process.notices += 1;
        if (!deaf) void process.ask();
      }),
    };
    await process.ask();
    return process;
  }

  const takenBy = (all: readonly Process[]) => all.flatMap(({ taken }) => taken).sort((a, b) => a - b);
  const untilTaken = (all: readonly Process[], count: number) =>
    expect.poll(() => takenBy(all).length, { interval: 2, timeout: 5000 }).toBe(count);

  test("each job that comes alone wakes one of four idle processes, in turn", async () => {
    const all = [await start(100), await start(100), await start(100), await start(100)];
    const api = await connect();
    for (let n = 1; n <= 20; n++) {
      await api.enqueue([job(n)]);
      await untilTaken(all, n);
    }
    expect(takenBy(all)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
    // One each at the start, and one for each job.
    expect(all.map(({ acquires }) => acquires)).toEqual([6, 6, 6, 6]);
    expect(all.map(({ notices }) => notices)).toEqual([5, 5, 5, 5]);
  });

  test("under load notices are few, because a process that was notified takes what has gathered", async () => {
    const all = [await start(10_000), await start(10_000)];
    const api = await connect();
    await Promise.all(Array.from({ length: 2000 }, (_, i) => api.enqueue([job(i + 1)])));
    await untilTaken(all, 2000);
    const notices = all.reduce((sum, process) => sum + process.notices, 0);
    expect(notices).toBeLessThan(100);
  });

  test("a process without free slots is not notified, and hands over to an idle one", async () => {
    const full = await start(1);
    const idle = await start(100);
    await (await connect()).enqueue(jobs(1, 5));
    await untilTaken([full, idle], 5);
    expect([full.taken, idle.taken.length]).toEqual([[1], 4]);
    await (await connect()).enqueue([job(6)]);
    await untilTaken([full, idle], 6);
    expect([full.notices, idle.notices]).toEqual([1, 2]);
  });

  test("a process whose connection has ended is passed over", async () => {
    const dead = await start(100);
    const idle = await start(100);
    await dead.scheduler.close();
    await (await connect()).enqueue([job(1)]);
    await untilTaken([idle], 1);
    expect(dead.notices).toBe(0);
  });

  test("a process that dies between its notice and its acquire loses nothing: the process that asks next takes the job", async () => {
    const dying = await start(100, { deaf: true });
    const idle = await start(100);
    const api = await connect();
    await api.enqueue([job(1)]);
    await expect.poll(() => dying.notices, { interval: 2 }).toBe(1);
    expect(idle.notices).toBe(0);
    // As a worker does every five seconds.
    await idle.ask();
    expect(idle.taken).toEqual([1]);
    await api.enqueue([job(2)]);
    await untilTaken([idle], 2);
    expect([dying.notices, idle.notices]).toEqual([1, 1]);
  });

  test("a process that stops listening passes on a notice and what waits", async () => {
    const stopping = await start(100);
    const idle = await start(100);
    stopping.stop();
    await (await connect()).enqueue([job(1)]);
    await untilTaken([idle], 1);
    expect(stopping.taken).toEqual([]);
  });

  test("a process is not notified of an environment that it does not serve", async () => {
    const uat = await start(100, { environments: ["UAT"] });
    const prod = await start(100, { environments: ["PROD"] });
    await (await connect()).enqueue([job(1, { environment: "PROD" })]);
    await untilTaken([prod], 1);
    expect(uat.notices).toBe(0);
    await (await connect()).enqueue([job(2, { environment: "UAT" })]);
    await untilTaken([uat], 1);
    expect(prod.notices).toBe(1);
  });

  test("a job wakes a process of its environment even while jobs of another environment wait", async () => {
    const uat = await start(100, { environments: ["UAT"] });
    const prod = await start(100, { environments: ["PROD"] });
    const api = await connect();
    await api.enqueue([job(1, { environment: "UAT", delayMs: 3_600_000 })]);
    // After each of them, the other process has been idle longer.
    for (let n = 2; n <= 5; n++) {
      await api.enqueue([job(n, { environment: "PROD" })]);
      await untilTaken([prod], n - 1);
    }
    expect(uat.taken).toEqual([]);
  });

  test("a new configuration notifies every process", async () => {
    const all = [await start(100), await start(100), await start(100)];
    await all[0]!.scheduler.configure({ ...config, version: "2" });
    await expect.poll(() => all.map(({ notices }) => notices), { interval: 2 }).toEqual([1, 1, 1]);
  });

  test("a process without all deployments is notified together with one that has them", async () => {
    const partial = await start(100, { deployments: ["unknown"] });
    const idle = await start(100);
    await (await connect()).enqueue([job(1)]);
    await untilTaken([idle], 1);
    expect(partial.notices).toBe(1);
  });

  test("an ended call wakes no second process for a job whose notice is under way", async () => {
    const all = [await start(100), await start(100, { deaf: true }), await start(100)];
    const api = await connect();
    await api.enqueue([job(1)]);
    await untilTaken(all, 1);
    await api.enqueue([job(2)]);
    await expect.poll(() => all[1]!.notices, { interval: 2 }).toBe(1);
    const { jobId, grant } = all[0]!.grants[0]!;
    await all[0]!.scheduler.settle([{ jobId, grant, job: "ended", charge: "keep", signal: ok }]);
    await Promise.all(all.map(({ scheduler }) => scheduler.snapshot()));
    expect(all.map(({ notices }) => notices)).toEqual([1, 1, 0]);
    // Once another process has asked, the notice counts as lost.
    await all[0]!.ask();
    expect(all[0]!.taken).toEqual([1, 2]);
  });

  test("a job that is requeued wakes one process", async () => {
    const all = [await start(100), await start(100)];
    await (await connect()).enqueue([job(1)]);
    await untilTaken(all, 1);
    const owner = all.find(({ taken }) => taken.length === 1)!;
    const { jobId, grant } = owner.grants[0]!;
    await owner.scheduler.settle([{ jobId, grant, job: { requeueAfterMs: 0 }, charge: "void", signal: ok }]);
    await untilTaken(all, 2);
    // A notice of the settlement arrives before a later answer.
    await Promise.all(all.map(({ scheduler }) => scheduler.snapshot()));
    expect(all.reduce((sum, { acquires }) => sum + acquires, 0)).toBe(4);
  });
});
