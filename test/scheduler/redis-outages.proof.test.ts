// What the scheduler in Redis does when Redis is emptied, restarted, restored from an old snapshot, unreachable, silent
// or a replica, and when several processes share it. Uses real servers; a proxy breaks connections.
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { Redis } from "ioredis";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { newToken } from "../../src/domain/ids.ts";
import { createRedisScheduler } from "../../src/scheduler/redis/redis-scheduler.ts";
import type { Scheduler } from "../../src/scheduler/scheduler.ts";
import { type FaultProxy, startFaultProxy } from "../support/fault-proxy.ts";
import type { TestServer } from "../support/server-process.ts";
import { startRedis, withoutRedis } from "../support/servers.ts";
import { configOf, job, jobId, jobs, numberOf, ok, quota } from "./harness.ts";

const config = configOf([quota("q", 1000)]);
const timeoutMs = 1000;

describe.skipIf(withoutRedis())("the scheduler in Redis", () => {
  let server: TestServer;
  let admin: Redis;
  const open: { close(): unknown }[] = [];

  beforeEach(async () => {
    server = await startRedis();
    admin = new Redis(server.url);
    admin.on("error", () => {});
  });
  afterEach(async () => {
    for (const each of open.splice(0).reverse()) await each.close();
    admin.disconnect();
    await server.close();
  });

  async function process(url = server.url): Promise<Scheduler> {
    const scheduler = await createRedisScheduler({ redis: url, config, timeoutMs });
    open.push(scheduler);
    return scheduler;
  }

  async function rebuild(scheduler: Scheduler, numbers: readonly number[] = []): Promise<void> {
    const ticket = (await scheduler.beginRebuild())!;
    await scheduler.restore(ticket, { entries: numbers.map((n) => job(n)) });
    await scheduler.finishRebuild(ticket);
  }

  const acquire = (scheduler: Scheduler, max = 10) => scheduler.acquire({ operation: newToken(), worker: "w", max });
  const answersAgain = (scheduler: Scheduler) =>
    expect
      .poll(
        () =>
          scheduler.snapshot().then(
            () => true,
            () => false,
          ),
        { timeout: 10_000 },
      )
      .toBe(true);

  async function proxied(): Promise<{ proxy: FaultProxy; scheduler: Scheduler }> {
    const proxy = await startFaultProxy(server.port);
    open.push(proxy);
    const scheduler = await process(proxy.through(server.url));
    await rebuild(scheduler, [1, 2, 3]);
    return { proxy, scheduler };
  }

  // ------------------------------------------------------------ losing what it held

  test("an emptied Redis is closed until a rebuild, and running calls keep their leases", async () => {
    const scheduler = await process();
    await rebuild(scheduler, [1, 2]);
    const [grant] = (await acquire(scheduler, 1)).grants;
    await admin.flushall();
    expect(await scheduler.renew([grant!])).toEqual(["renewed"]);
    expect(await acquire(scheduler)).toEqual({ grants: [], impossible: [], closed: "rebuild" });
    expect(await scheduler.explain(jobId(2))).toEqual({ state: "absent" });
    await rebuild(scheduler, [1, 2]);
    expect((await acquire(scheduler)).grants.map(numberOf)).toEqual([1, 2]);
  });

  test("a configuration that another process stored survives an emptied Redis", async () => {
    const [first, second] = [await process(), await process()];
    await first.configure({ ...config, version: "newer" });
    await second.snapshot();
    await expect.poll(async () => (await admin.get("{sluice}:config_json"))?.includes("newer")).toBe(true);
    await second.snapshot();
    await admin.flushall();
    // The reply of the second process's last script made it fetch the newer one before this.
    expect((await second.snapshot()).configVersion).toBe("newer");
  });

  test("a restarted server is closed even if it kept all data", async () => {
    const keeping = await startRedis(["--appendonly", "yes", "--appendfsync", "always"]);
    open.push(keeping);
    const scheduler = await process(keeping.url);
    await rebuild(scheduler, [1]);
    await keeping.kill();
    await expect(acquire(scheduler)).rejects.toThrow("Redis is unavailable");
    await keeping.restart();
    await answersAgain(scheduler);
    expect((await acquire(scheduler)).closed).toBe("rebuild");
    await rebuild(scheduler, [1]);
    expect((await acquire(scheduler)).grants.map(numberOf)).toEqual([1]);
  });

  test("an old snapshot is detected without a sign from the server, and grants nothing", async () => {
    const [scheduler, other] = [await process(), await process()];
    await rebuild(scheduler, [1, 2, 3]);
    const saved = new Map<string, Buffer>();
    for (const key of await admin.keys("*")) saved.set(key, (await admin.dumpBuffer(key))!);
    expect((await acquire(scheduler, 2)).grants).toHaveLength(2);
    await admin.flushall();
    for (const [key, value] of saved) await admin.restore(key, 0, value);
    expect((await acquire(scheduler)).closed).toBe("rebuild");
    expect((await acquire(other)).closed).toBe("rebuild");
    await rebuild(other, [1, 2, 3]);
    expect((await acquire(scheduler)).grants).toHaveLength(3);
  });

  test("deleted keys close admission, and a rebuild repairs that", async () => {
    const scheduler = await process();
    await rebuild(scheduler, [1, 2]);
    await admin.del(await admin.keys("*:entries:*"));
    await expect(acquire(scheduler)).rejects.toThrow();
    expect((await acquire(scheduler)).closed).toBe("rebuild");
    await rebuild(scheduler, [1, 2]);
    expect((await acquire(scheduler)).grants.map(numberOf)).toEqual([1, 2]);
  });

  test("a rebuild deletes the keys of earlier generations", async () => {
    const scheduler = await process();
    await rebuild(scheduler);
    await scheduler.enqueue(jobs(1, 300));
    await acquire(scheduler, 100);
    await rebuild(scheduler, [1]);
    const generations = async () => new Set((await admin.keys("*")).map((key) => /^\{sluice\}:(\d+):/.exec(key)?.[1]));
    await expect.poll(generations, { timeout: 10_000 }).toEqual(new Set([undefined, "3"]));
    expect((await acquire(scheduler)).grants.map(numberOf)).toEqual([1]);
  });

  test("scripts that the server flushed are sent again", async () => {
    const scheduler = await process();
    await rebuild(scheduler, [1]);
    await admin.script("FLUSH");
    expect((await acquire(scheduler)).grants.map(numberOf)).toEqual([1]);
  });

  // ------------------------------------------------------------ away

  test("while Redis is unavailable every operation fails at once, and recovers by itself", async () => {
    const { proxy, scheduler } = await proxied();
    await proxy.refuse();
    proxy.cut();
    await expect
      .poll(() => acquire(scheduler).then(() => "", String), { timeout: 5000 })
      .toMatch(/Redis is unavailable/);
    await expect(scheduler.enqueue([job(9)])).rejects.toThrow("Redis is unavailable");
    let told = 0;
    scheduler.onWork(() => {
      told += 1;
    });
    await proxy.heal();
    await answersAgain(scheduler);
    await expect.poll(() => told, { timeout: 5000 }).toBeGreaterThan(0);
    expect((await acquire(scheduler)).grants.map(numberOf)).toEqual([1, 2, 3]);
  });

  test("a scheduler can be created while Redis is unavailable", async () => {
    const proxy = await startFaultProxy(server.port);
    open.push(proxy);
    await proxy.refuse();
    const scheduler = await process(proxy.through(server.url));
    // The answer to a call that needs the queue: no fault of the caller, and worth a retry.
    await expect(scheduler.snapshot()).rejects.toMatchObject({
      code: "unavailable",
      status: 503,
      message: expect.stringMatching(/^Redis is unavailable/),
    });
    await proxy.heal();
    await answersAgain(scheduler);
    expect((await acquire(scheduler)).closed).toBe("rebuild");
  });

  test("a connection that stops answering is replaced, and the repeated acquire gets the same grants", async () => {
    const { proxy, scheduler } = await proxied();
    proxy.slow(1);
    const request = { operation: "once", worker: "w", max: 2 };
    const expected = (await scheduler.acquire(request)).grants;
    proxy.stall();
    await expect(scheduler.acquire(request)).rejects.toThrow("Redis is unavailable");
    await proxy.heal();
    await answersAgain(scheduler);
    expect((await scheduler.acquire(request)).grants).toEqual(expected);
    expect((await acquire(scheduler)).grants).toHaveLength(1);
  });

  test("a half-open connection is replaced by a new one", async () => {
    const proxy = await startDeafProxy(server.port);
    open.push(proxy);
    const scheduler = await process(server.url.replace(String(server.port), String(proxy.port)));
    await rebuild(scheduler, [1]);
    proxy.deafen();
    await expect(acquire(scheduler)).rejects.toThrow("Redis is unavailable");
    await answersAgain(scheduler);
    expect((await acquire(scheduler)).grants.map(numberOf)).toEqual([1]);
  });

  test("operations fail while the server is a replica", async () => {
    const scheduler = await process();
    await rebuild(scheduler, [1]);
    await admin.replicaof("127.0.0.1", "1");
    await expect(acquire(scheduler)).rejects.toThrow("Redis is unavailable");
    await admin.replicaof("NO", "ONE");
    await answersAgain(scheduler);
    expect((await acquire(scheduler)).grants.map(numberOf)).toEqual([1]);
  });

  // ------------------------------------------------------------ several processes

  test("only one of two processes rebuilds", async () => {
    const [first, second] = [await process(), await process()];
    const tickets = await Promise.all([first.beginRebuild(), second.beginRebuild()]);
    expect(tickets.filter((ticket) => ticket !== undefined)).toHaveLength(1);
    expect((await acquire(first)).closed).toBe("rebuilding");
    await second.finishRebuild(tickets.find((ticket) => ticket !== undefined)!);
    expect(await acquire(first)).toEqual({ grants: [], impossible: [] });
  });

  test("a job that one process adds wakes the others", async () => {
    const [first, second] = [await process(), await process()];
    await rebuild(first);
    let woken = 0;
    second.onWork(() => {
      woken += 1;
    });
    expect((await acquire(second)).grants).toEqual([]);
    await first.enqueue([job(1)]);
    await expect.poll(() => woken, { timeout: 5000 }).toBeGreaterThan(0);
    expect((await acquire(second)).grants).toHaveLength(1);
  });

  test("with two concurrent processes no job is granted twice, and the quota is kept", async () => {
    const both = [await process(), await process()];
    await rebuild(both[0]!);
    await both[1]!.enqueue(jobs(1, 3000));
    const granted: number[] = [];
    const work = async (scheduler: Scheduler) => {
      for (;;) {
        const { grants } = await acquire(scheduler, 7);
        if (grants.length === 0) return;
        granted.push(...grants.map(numberOf));
        await scheduler.settle(
          grants
            .slice(1)
            .map(({ jobId: id, grant }) => ({ jobId: id, grant, job: "ended", charge: "keep", signal: ok })),
        );
      }
    };
    await Promise.all(both.flatMap((scheduler) => [work(scheduler), work(scheduler), work(scheduler)]));
    expect(granted).toHaveLength(1000);
    expect(new Set(granted).size).toBe(1000);
  });

  test("Redis holds no prompt, and every key has the same hash tag", async () => {
    const scheduler = await process();
    await rebuild(scheduler, [1, 2]);
    await acquire(scheduler, 1);
    const keys = await admin.keys("*");
    expect(keys.length).toBeGreaterThan(5);
    expect(keys.filter((key) => !key.startsWith("{sluice}:"))).toEqual([]);
  });
});

/** A proxy to the server that can make its open connections silent for good; new ones work. */
async function startDeafProxy(targetPort: number) {
  let open: Socket[] = [];
  const server = createServer((client) => {
    const target = connect(targetPort, "127.0.0.1");
    client.pipe(target).pipe(client);
    for (const socket of [client, target]) socket.on("error", () => {});
    open.push(client, target);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  let deaf: Socket[] = [];
  return {
    port: (server.address() as AddressInfo).port,
    deafen() {
      for (const socket of open) socket.unpipe().pause();
      deaf = [...deaf, ...open];
      open = [];
    },
    close() {
      for (const socket of [...open, ...deaf]) socket.destroy();
      server.close();
    },
  };
}
