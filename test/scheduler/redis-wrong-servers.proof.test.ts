// Servers that answer and cannot hold the queue, or that may lose it.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { pino } from "pino";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import { systemClock } from "../../src/domain/clock.ts";
import { readinessOf } from "../../src/jobs/read/readiness.ts";
import { createRedisScheduler } from "../../src/scheduler/redis/redis-scheduler.ts";
import { openQueue } from "../../src/service/backends.ts";
import { Teardown } from "../../src/service/teardown.ts";
import { openTestContext, testSettings } from "../support/jobs-context.ts";
import { startRedis, withoutRedis } from "../support/servers.ts";
import { configOf, quota } from "./harness.ts";

const config = configOf([quota("q", 10)]);

async function whyNotStarted(url: string): Promise<{ name: string; message: string }> {
  const scheduler = await createRedisScheduler({ redis: url, config }).catch((error: Error) => error);
  if (scheduler instanceof Error) return scheduler;
  await scheduler.close();
  throw new Error("it started");
}

async function startOwn(args: string[] = []) {
  const server = await startRedis(args);
  const client = new Redis(server.port, { maxRetriesPerRequest: null });
  onTestFinished(async () => {
    client.disconnect();
    await server.close();
  });
  return { server, client };
}

async function openQueueLogged(redisUrl: string) {
  const lines: { level: number; msg: string }[] = [];
  const log = pino({ base: null }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const teardown = new Teardown(log);
  onTestFinished(() => teardown.run());
  const settings = { ...testSettings(), distributed: { redisUrl, mongoUrl: "" } };
  const queue = await openQueue(settings, { clock: systemClock, log }, teardown);
  return { ...queue, lines, settings };
}

describe.skipIf(withoutRedis())("a server instead of Redis", () => {
  test("F7: the wrong node of a Redis Cluster fails the start, and the error names the right node", {
    timeout: 60_000,
  }, async () => {
    const args = [
      "--cluster-enabled",
      "yes",
      "--cluster-config-file",
      "nodes.conf",
      "--cluster-announce-ip",
      "127.0.0.1",
    ];
    const [holder, other] = await Promise.all([startOwn(args), startOwn(args)]);
    await holder.client.cluster("ADDSLOTSRANGE", 0, 8191);
    await other.client.cluster("ADDSLOTSRANGE", 8192, 16_383);
    await other.client.cluster("MEET", "127.0.0.1", holder.server.port);
    const stateOf = async ({ client }: typeof other) => String(await client.cluster("INFO"));
    for (const node of [holder, other]) {
      await expect.poll(() => stateOf(node), { timeout: 30_000 }).toContain("cluster_state:ok");
    }
    expect(await whyNotStarted(other.server.url)).toMatchObject({
      name: "RedisRefusedError",
      message:
        "REDIS_URL names a node of a Redis Cluster that does not hold the queue, which is on one node. " +
        `Name this node instead: 127.0.0.1:${holder.server.port}.`,
    });
    const scheduler = await createRedisScheduler({ redis: holder.server.url, config });
    onTestFinished(() => scheduler.close());
    expect((await scheduler.snapshot()).open).toBe(false);
    // The queue moves to the other node meanwhile.
    const id = String(await other.client.cluster("MYID"));
    const queueSlot = Number(await holder.client.cluster("KEYSLOT", "{sluice}:"));
    await holder.client.flushall();
    for (const node of [other, holder]) {
      await node.client.cluster("SETSLOT", queueSlot, "NODE", id);
    }
    await expect(scheduler.snapshot()).rejects.toMatchObject({ name: "RedisUnavailableError" });
  });

  test("F7: a Sentinel fails the start with an explanation", async () => {
    const { server } = await startOwn();
    const folder = mkdtempSync(join(tmpdir(), "sluice-sentinel-"));
    const file = join(folder, "sentinel.conf");
    const port = await freePort();
    writeFileSync(file, `port ${port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 ${server.port} 1\n`);
    const sentinel = spawn(inject("redis")!.launch.file, [file, "--sentinel"], { stdio: "ignore" });
    const client = new Redis(port, { maxRetriesPerRequest: null });
    client.on("error", () => {});
    onTestFinished(() => {
      client.disconnect();
      sentinel.kill("SIGKILL");
      rmSync(folder, { recursive: true, force: true });
    });
    await client.ping();
    expect(await whyNotStarted(`redis://127.0.0.1:${port}`)).toMatchObject({
      name: "RedisRefusedError",
      message: expect.stringMatching(
        /^REDIS_URL names a server that runs no scripts, such as a Sentinel\. Name the Redis/,
      ),
    });
  });

  test("F7: an eviction policy that drops keys is a warning in the log and in readiness until it is changed", async () => {
    const { server, client } = await startOwn();
    await client.config("SET", "maxmemory-policy", "allkeys-lru");
    const { scheduler, lines } = await openQueueLogged(server.url);
    const advice = "Redis may drop parts of the queue: its maxmemory-policy is allkeys-lru; set it to noeviction";
    expect(lines).toContainEqual({
      level: 40,
      time: expect.any(Number),
      advice,
      msg: "found a Redis setting that puts the queue at risk",
    });
    const ticket = (await scheduler.beginRebuild())!;
    await scheduler.finishRebuild(ticket);
    const context = await openTestContext();
    onTestFinished(() => context.close());
    expect((await readinessOf({ ...context, scheduler })).degraded).toContain(advice);
    await client.config("SET", "maxmemory-policy", "noeviction");
    const later = await openQueueLogged(server.url);
    expect(later.lines.filter(({ msg }) => msg.includes("at risk"))).toEqual([]);
    expect((await later.scheduler.snapshot()).advice).toBeUndefined();
  });

  test("F16: a full Redis does not fail the start, and the error says why", async () => {
    const { server, client } = await startOwn();
    await client.config("SET", "maxmemory", "1");
    const { unavailable } = await openQueueLogged(server.url);
    expect(unavailable).toMatch(/^Redis is unavailable \(OOM command not allowed/);
  });

  test("F7: a server that is not Redis does not fail the start, and the error says why", async () => {
    const web: Server = createServer((_request, response) => response.end("hello")).listen(0, "127.0.0.1");
    onTestFinished(() => void web.close());
    await new Promise((listening) => web.once("listening", listening));
    const { unavailable } = await openQueueLogged(`redis://127.0.0.1:${(web.address() as AddressInfo).port}`);
    expect(unavailable).toMatch(/^Redis is unavailable \(\w+: .*\)/);
  });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((listening) => server.once("listening", listening));
  const { port } = server.address() as AddressInfo;
  await new Promise((closed) => server.close(closed));
  return port;
}
