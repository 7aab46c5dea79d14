// The event bus over Redis: the conformance suite, and what only this adapter does. It remembers listeners after a
// reconnect, drops events instead of waiting, and sends no text without listeners.
import { Redis } from "ioredis";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { newJobId } from "../../src/domain/ids.ts";
import type { JobEvent } from "../../src/events/event-bus.ts";
import { createRedisEventBus, type RedisEventBus } from "../../src/events/redis/redis-event-bus.ts";
import { type FaultProxy, startFaultProxy } from "../support/fault-proxy.ts";
import { sharedRedisUrl, startRedis, withoutRedis } from "../support/servers.ts";

const state = (jobId: string, at = 0): JobEvent => ({
  type: "state",
  jobId,
  environment: "UAT",
  state: "completed",
  at,
});
const piece = (jobId: string, index: number): JobEvent => ({
  type: "tokens",
  jobId,
  attempt: 1,
  index,
  text: "secret",
});

async function open(options: Partial<Parameters<typeof createRedisEventBus>[0]> = {}): Promise<RedisEventBus> {
  const bus = await createRedisEventBus({ url: sharedRedisUrl(), heartbeatMs: 50, timeoutMs: 300, ...options });
  onTestFinished(() => bus.close());
  return bus;
}

/** Records everything on the job's channel, as an outside subscriber receives it. */
async function overhear(jobId: string): Promise<string[]> {
  const redis = new Redis(sharedRedisUrl());
  onTestFinished(() => redis.disconnect());
  const heard: string[] = [];
  redis.on("message", (_channel, text: string) => heard.push(text));
  await redis.subscribe(`sluice:events:${jobId}`);
  return heard;
}

let probes = 1000;

/** Publishes new events again and again until one is received. */
async function untilHeard(sender: RedisEventBus, jobId: string, heard: JobEvent[]): Promise<void> {
  const probe = state(jobId, probes++);
  await vi.waitFor(
    () => {
      sender.publish(probe);
      expect(heard).toContainEqual(probe);
    },
    { timeout: 10_000 },
  );
}

describe.skipIf(withoutRedis())("events over Redis", () => {
  describe("between two processes", async () => {
    const { eventBusConformance } = await import("./conformance.ts");
    eventBusConformance("redis", async () => ({
      here: await createRedisEventBus({ url: sharedRedisUrl() }),
      there: await createRedisEventBus({ url: sharedRedisUrl() }),
    }));
  });

  test("text without listeners in other processes stays in the process", async () => {
    const job = newJobId();
    const [bus, overheard] = [await open(), await overhear(job)];
    const heard: JobEvent[] = [];
    bus.subscribe(job, (e) => heard.push(e));
    bus.publish(piece(job, 0));
    bus.publish(state(job));
    expect(heard).toEqual([piece(job, 0), state(job)]);
    await vi.waitFor(() => expect(overheard.join()).toContain("completed"));
    expect(overheard.join()).not.toContain("secret");
  });

  test("an event for this process only reaches its listeners and no other process", async () => {
    const job = newJobId();
    const [bus, overheard] = [await open(), await overhear(job)];
    const heard: JobEvent[] = [];
    bus.subscribe(job, (e) => heard.push(e));
    bus.publish(state(job, 1), "process");
    bus.publish(state(job, 2));
    expect(heard).toEqual([state(job, 1), state(job, 2)]);
    await vi.waitFor(() => expect(overheard.join()).toContain('"at":2'));
    expect(overheard.join()).not.toContain('"at":1');
  });

  test("a published batch notifies the other processes that listen, and also one that listens again", async () => {
    const [api, worker] = [await open(), await open()];
    let [own, notices] = [0, 0];
    api.onBatch(() => {
      own += 1;
    });
    const listen = () =>
      worker.onBatch(() => {
        notices += 1;
      });
    const stop = listen();
    // Once when the channel is heard, because a message may have been lost before.
    await vi.waitFor(() => expect([own, notices]).toEqual([1, 1]));
    api.publishBatch();
    await vi.waitFor(() => expect(notices).toBe(2));
    stop();
    listen();
    await vi.waitFor(() => {
      api.publishBatch();
      expect(notices).toBeGreaterThan(3);
    });
    expect(own).toBe(1);
  });

  test("a wish for text lasts 30 s from its last message, and is repeated meanwhile", async () => {
    const job = newJobId();
    let now = 0;
    const worker = await open({ clock: { now: () => now } });
    // Repeated every 100 ms here. The worker's own 30 s use a clock that only the test moves.
    const listener = await open({ wantedMs: 300 });
    worker.subscribe(job, () => {}, "states");
    const leave = listener.subscribe(job, () => {});
    await vi.waitFor(() => expect(worker.hasListeners(job)).toBe(true));
    now += 30_001;
    await vi.waitFor(() => expect(worker.hasListeners(job)).toBe(true));

    leave();
    // An earlier message may still be under way, so the clock advances until nothing arrives any more.
    await vi.waitFor(() => {
      now += 30_001;
      expect(worker.hasListeners(job)).toBe(false);
    });
  });

  test("a process that ended its own listening forgets which processes wanted text", async () => {
    const job = newJobId();
    const [worker, listener] = [await open(), await open()];
    const leave = worker.subscribe(job, () => {}, "states");
    listener.subscribe(job, () => {});
    await vi.waitFor(() => {
      worker.publish({ type: "restart", jobId: job, attempt: 1 });
      expect(worker.hasListeners(job)).toBe(true);
    });
    leave();
    expect(worker.hasListeners(job)).toBe(false);
  });

  test("messages that are foreign, or of a newer version, are ignored", async () => {
    const job = newJobId();
    const bus = await open();
    const heard: JobEvent[] = [];
    bus.subscribe(job, (e) => heard.push(e));
    const redis = new Redis(sharedRedisUrl());
    onTestFinished(() => redis.disconnect());
    const channel = `sluice:events:${job}`;
    await vi.waitFor(async () => expect(await redis.publish(channel, "")).toBe(1));
    for (const text of ["x", "01234567", "01234567null", "01234567[", '01234567{"type":"state"}']) {
      await redis.publish(channel, text);
    }
    await redis.publish(channel, `01234567${JSON.stringify({ type: "later", jobId: job })}`);
    await redis.publish(channel, `01234567${JSON.stringify(state(newJobId()))}`);
    await redis.publish(channel, `01234567${JSON.stringify(state(job))}`);
    await vi.waitFor(() => expect(heard).toEqual([state(job)]));
  });

  test("channels without listeners are unsubscribed", async () => {
    const bus = await open();
    const redis = new Redis(sharedRedisUrl());
    onTestFinished(() => redis.disconnect());
    const jobs = Array.from({ length: 2500 }, () => newJobId());
    const channels = jobs.map((job) => `sluice:events:${job}`);
    const listening = async () => {
      const counts = (await redis.pubsub("NUMSUB", ...channels)) as (string | number)[];
      return counts.filter((_, i) => i % 2 === 1).reduce<number>((sum, n) => sum + Number(n), 0);
    };
    const leaves = jobs.map((job) => bus.subscribe(job, () => {}));
    await vi.waitFor(async () => expect(await listening()).toBe(2500));
    for (const leave of leaves) leave();
    await vi.waitFor(async () => expect(await listening()).toBe(0));
  });
});

describe.skipIf(withoutRedis())("events while Redis fails", () => {
  async function behindProxy(): Promise<{ proxy: FaultProxy; url: string }> {
    const url = sharedRedisUrl();
    const proxy = await startFaultProxy(Number(new URL(url).port));
    onTestFinished(() => proxy.close());
    return { proxy, url: proxy.through(url) };
  }

  test("after the connection was cut, and after it was half-open, listeners receive events again", async () => {
    const job = newJobId();
    const { proxy, url } = await behindProxy();
    const lines: { purpose?: string; text: string }[] = [];
    const warn = (fields: { purpose?: string }, text: string) => lines.push({ ...fields, text });
    const log = {
      logger: { warn, info: () => {}, error: () => {} } as never,
      of: (text: string) => lines.flatMap((line) => (line.text.includes(text) ? [line.purpose] : [])).sort(),
    };
    const [bus, other] = [await open({ url, log: log.logger }), await open()];
    const heard: JobEvent[] = [];
    bus.subscribe(job, (e) => heard.push(e));
    await untilHeard(other, job, heard);
    proxy.cut();
    await untilHeard(other, job, heard);

    lines.length = 0;
    proxy.stall();
    // It must detect this by itself, for both connections: nothing is sent, and no error reports that the other side
    // disappeared.
    await vi.waitFor(() => expect(log.of("replaced a connection")).toEqual(["events-in", "events-out"]), {
      timeout: 10_000,
    });
    await vi.waitFor(() => expect(log.of("lost the connection to Redis")).toEqual(["events-in", "events-out"]), {
      timeout: 10_000,
    });
    await proxy.heal();
    await untilHeard(other, job, heard);
  });

  test("a wish for text is repeated after a reconnect of the process that has it", async () => {
    const job = newJobId();
    const { proxy, url } = await behindProxy();
    let now = 0;
    const [listener, worker] = [await open({ url }), await open({ clock: { now: () => now } })];
    worker.subscribe(job, () => {}, "states");
    listener.subscribe(job, () => {});
    await vi.waitFor(() => {
      worker.publish({ type: "restart", jobId: job, attempt: 1 });
      expect(worker.hasListeners(job)).toBe(true);
    });
    now += 30_001;
    proxy.cut();
    // Sooner than the 10 s after which wishes are repeated anyway.
    await vi.waitFor(() => expect(worker.hasListeners(job)).toBe(true), { timeout: 8_000 });
  });

  test("without Redis it starts, notifies its own listeners, drops the rest, and begins when Redis is reachable", async () => {
    const job = newJobId();
    const server = await startRedis();
    onTestFinished(() => server.close());
    await server.kill();
    const lines: object[] = [];
    const log = { warn: (o: object) => lines.push(o), info: (o: object) => lines.push(o), error: () => {} };
    const bus = await open({ url: server.url.replace("redis://", "redis://a-user:pass-word@"), log: log as never });
    const heard: JobEvent[] = [];
    bus.subscribe(job, (e) => heard.push(e));
    bus.publish(state(job, 1));
    expect(heard).toEqual([state(job, 1)]);
    expect(bus.dropped()).toBe(1);
    // One line for each of the two connections, however many attempts there were.
    expect(lines).toHaveLength(2);
    expect(JSON.stringify(lines)).not.toContain("pass-word");
    await bus.close();

    const [late, other] = [await open({ url: server.url }), await open({ url: server.url })];
    late.subscribe(job, (e) => heard.push(e));
    await server.restart();
    await untilHeard(other, job, heard);
  });

  test("events that Redis does not confirm are bounded, and publishing does not wait", async () => {
    const server = await startRedis();
    onTestFinished(() => server.close());
    const bus = await open({ url: server.url, maxUnconfirmed: 100 });
    server.pause();
    for (let i = 0; i < 250; i++) bus.publish(state(newJobId(), i));
    expect(bus.dropped()).toBe(150);
    server.resume();
  });

  test("closing sends what was published", async () => {
    const job = newJobId();
    const overheard = await overhear(job);
    const bus = await open();
    bus.publish(state(job));
    await bus.close();
    await vi.waitFor(() => expect(overheard).toHaveLength(1));
  });
});
